package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sort"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // time zones must not depend on the machine

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// ReferenceAge is the maximum age of the reference data that a request uses. A change of an
// institution, of the rights of a client application, of a setting or of a kind of cell takes
// effect within it.
const ReferenceAge = time.Second

// referenceTimeout bounds one read of the reference data. Several requests may wait for the same
// read.
const referenceTimeout = 2 * time.Second

// maxReferenceRows bounds the rows of each table of the reference data.
const maxReferenceRows = 1_000_000

// reference is a snapshot of the region's reference data. It is immutable, apart from the cache of
// settings, and safe for concurrent use.
type reference struct {
	readAt     time.Time // when the read began
	lpus       map[uuid.UUID]referenceLpu
	ordered    []uuid.UUID                     // institutions, ordered by guid
	ofEntity   map[uuid.UUID][]uuid.UUID       // institutions by legal entity, ordered by guid
	clients    map[uuid.UUID]referenceClient   // the active client applications
	values     map[uuid.UUID]map[string]string // settings by owner and code
	busyTypes  []int32                         // the kinds of cells
	receptions []int32                         // those that accept visits
	inForce    sync.Map                        // settingsKey → booking.Settings, filled on demand
	invalidate func()                          // makes the next request wait for newer data
}

type referenceLpu struct {
	booking.TargetLpu

	code    string
	zoneErr error // the zone is unknown to this build; other institutions are unaffected
}

// referenceClient are the rights of a client application: when it acts for a patient, and for
// itself.
type referenceClient struct {
	rights booking.Rights
	system booking.SystemRights
}

type settingsKey struct{ lpu, client uuid.UUID }

// settings returns the settings in force in an institution through a client application. A value of
// the client application overrides one of the institution, which overrides one of the region. The
// zero guid means no institution, or no client application.
func (r *reference) settings(lpu, client uuid.UUID) (booking.Settings, error) {
	key := settingsKey{lpu, client}
	if known, ok := r.inForce.Load(key); ok {
		return known.(booking.Settings), nil //nolint:forcetypeassert // only settings are stored
	}
	values := map[string]string{}
	maps.Copy(values, r.values[uuid.Nil])
	for _, owner := range []uuid.UUID{lpu, client} {
		if owner != uuid.Nil {
			maps.Copy(values, r.values[owner])
		}
	}
	settings, err := booking.NewSettings(values)
	if err != nil {
		return booking.Settings{}, fmt.Errorf("read the settings: %w", err)
	}
	r.inForce.Store(key, settings)
	return settings, nil
}

// target returns the institution with the settings and rights in force there through a client
// application, or nil if there is no such institution.
func (r *reference) target(lpu, client uuid.UUID) (*booking.Lpu, error) {
	known, ok := r.lpus[lpu]
	if !ok {
		return nil, nil //nolint:nilnil // a fact that does not exist is nil
	}
	settings, err := r.settings(lpu, client)
	if err := firstError(known.zoneErr, err); err != nil {
		return nil, err
	}
	return &booking.Lpu{
		Settings: settings, LegalEntity: known.LegalEntity, Zone: known.Zone,
		PolyclinicCodeIsOwn: settings.PolyclinicCode == known.code, Rights: r.clients[client].rights,
	}, nil
}

// targets returns the wanted institutions of a referral.
func (r *reference) targets(referral *booking.Targets, wanted booking.TargetFilter) ([]booking.TargetLpu, error) {
	var guids []uuid.UUID
	switch {
	case wanted.Lpu != nil:
		guids = []uuid.UUID{*wanted.Lpu}
	case wanted.Page && referral.LpuTo == nil:
		guids = after(wanted.After, r.ordered)
	case wanted.Page && referral.LegalEntity != nil:
		guids = after(wanted.After, r.ofEntity[*referral.LegalEntity])
	case referral.LegalEntity != nil:
		guids = append(guids, *referral.LpuTo)
		for _, lpu := range r.ofEntity[*referral.LegalEntity] {
			if lpu != *referral.LpuTo {
				guids = append(guids, lpu)
			}
		}
	}
	var targets []booking.TargetLpu
	for _, guid := range guids {
		if len(targets) == wanted.Most {
			break
		}
		known, ok := r.lpus[guid]
		if !ok || wanted.Page && known.zoneErr != nil {
			continue // one institution must not hide the others of the region
		}
		if known.zoneErr != nil {
			return nil, known.zoneErr
		}
		targets = append(targets, known.TargetLpu)
	}
	return targets, nil
}

// after returns the guids greater than the given one. They must be ordered.
func after(guid uuid.UUID, ordered []uuid.UUID) []uuid.UUID {
	first := sort.Search(len(ordered), func(i int) bool { return bytes.Compare(ordered[i][:], guid[:]) > 0 })
	return ordered[first:]
}

// registered returns an institution. It rejects with LpuAbsent if there is none.
func (r *reference) registered(lpu uuid.UUID) (booking.LpuPlace, error) {
	known, ok := r.lpus[lpu]
	if !ok {
		return booking.LpuPlace{}, booking.Reject(booking.LpuAbsent)
	}
	return known.LpuPlace, known.zoneErr
}

// zone returns an institution's time zone. It fails like place.
func (r *reference) zone(lpu uuid.UUID) (*time.Location, error) {
	place, err := r.place(lpu)
	return place.Zone, err
}

// place returns an institution. It fails with DatabaseUnavailable if the reference data lack the
// institution, because it may have been added within the last second. The next request then reads
// newer data.
func (r *reference) place(lpu uuid.UUID) (booking.LpuPlace, error) {
	known, ok := r.lpus[lpu]
	if !ok {
		r.invalidate()
		cause := fmt.Errorf("the reference data do not have the institution %s yet", lpu)
		return booking.LpuPlace{}, booking.Reject(booking.DatabaseUnavailable).Because(cause)
	}
	return known.LpuPlace, known.zoneErr
}

// existingAppointment returns a visit with its times in its institution's zone.
func (r *reference) existingAppointment(
	guid, lpu uuid.UUID, start, end time.Time,
) (booking.ExistingAppointment, error) {
	zone, err := r.zone(lpu)
	if err != nil {
		return booking.ExistingAppointment{}, err
	}
	return booking.ExistingAppointment{Guid: guid, Lpu: lpu, Start: start.In(zone), End: end.In(zone)}, nil
}

// referenceCache caches the reference data in memory and is safe for concurrent use. A request that
// finds them older than maxAge/2 starts a read in the background. A request that finds them older
// than maxAge waits for a read, and fails if it fails. Nothing is read while no requests arrive.
//
// As every request needs them, they also tell whether the database is away: after a read that
// failed, requests fail at once with errAway instead of waiting for connections, and one of them
// tries again every awayPause.
type referenceCache struct {
	pool    *pgxpool.Pool
	zones   map[string]*time.Location // by name; used by the running read only, because loading one reads a file
	maxAge  time.Duration
	current atomic.Pointer[reference]
	reads   singleflight.Group
	breaker *gobreaker.CircuitBreaker[struct{}] // open while the database is away
	changed atomic.Pointer[time.Time]           // older data are not used, whatever maxAge
}

// awayPause is how long no read is tried after one that failed.
const awayPause = 500 * time.Millisecond

// errAway is returned for requests that arrive while the database is away.
var errAway = errors.New("the database is away")

func newReferenceCache(pool *pgxpool.Pool, maxAge time.Duration) *referenceCache {
	return &referenceCache{
		pool: pool, maxAge: maxAge, breaker: newAwayBreaker(1),
	}
}

// newAwayBreaker returns a breaker that a number of failures in succession opens, for awayPause.
func newAwayBreaker(failures uint32) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     awayPause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNoTime) },
	})
}

// forget makes requests that arrive later read the reference data again, although they are not too
// old. A read that is running does not suffice, because it may not see the change.
func (c *referenceCache) forget() { c.changed.Store(new(time.Now())) }

// get returns reference data that are at most maxAge old.
func (c *referenceCache) get(ctx context.Context) (*reference, error) {
	oldest := time.Now().Add(-c.maxAge)
	if changed := c.changed.Load(); changed != nil && changed.After(oldest) {
		oldest = *changed
	}
	known := c.current.Load()
	if known.isReadSince(oldest) && time.Since(known.readAt) > c.maxAge/2 {
		c.read()
	}
	// A read that was already running may be too old for this request. The next one is not.
	for ; !known.isReadSince(oldest); known = c.current.Load() {
		_, err := c.breaker.Execute(func() (struct{}, error) { return struct{}{}, waitFor(ctx, c.read()) })
		switch {
		case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
			return nil, booking.Reject(booking.DatabaseUnavailable).Because(errAway)
		case err != nil:
			return nil, fmt.Errorf("read the reference data: %w", err)
		}
	}
	return known, nil
}

// errNoTime marks an error of a request that ended before what it was waiting for.
var errNoTime = errors.New("the request has ended")

// waitFor waits for the end of something that several requests wait for.
func waitFor(ctx context.Context, end <-chan singleflight.Result) error {
	select {
	case done := <-end:
		return done.Err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errNoTime, ctx.Err())
	}
}

// isReadSince reports whether r is not nil and was read at a moment or later.
func (r *reference) isReadSince(moment time.Time) bool { return r != nil && !r.readAt.Before(moment) }

// read starts a read of the reference data, or joins the running one.
func (c *referenceCache) read() <-chan singleflight.Result {
	return c.reads.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), referenceTimeout)
		defer cancel()
		_, err := retry(ctx, c.pool.Reset, func() (struct{}, error) {
			next, err := c.load(ctx)
			if err == nil {
				c.current.Store(next)
			}
			return struct{}{}, err
		})
		return nil, err
	})
}

// load reads all tables in one round trip and one snapshot.
func (c *referenceCache) load(ctx context.Context) (*reference, error) {
	r := &reference{
		readAt: time.Now(), lpus: map[uuid.UUID]referenceLpu{}, ofEntity: map[uuid.UUID][]uuid.UUID{},
		clients: map[uuid.UUID]referenceClient{}, values: map[uuid.UUID]map[string]string{},
		receptions: []int32{},
	}
	r.invalidate = c.forget
	limit := []int32{maxReferenceRows + 1}
	err := snapshot(ctx, c.pool, nil, func(t *tx) {
		boundedRows(t, t.LpuAll(ctx, limit).Query, func(rows []db.Lpu) error {
			for _, row := range rows {
				zone, err := c.zone(row.TimeZone)
				place := booking.LpuPlace{
					Guid: row.Guid, Name: row.Name, Address: row.Address, Phone: row.Phone, Zone: zone,
				}
				r.lpus[row.Guid] = referenceLpu{
					booking.TargetLpu{LpuPlace: place, LegalEntity: row.LegalEntityGuid}, row.Code, err,
				}
				r.ordered = append(r.ordered, row.Guid)
				r.ofEntity[row.LegalEntityGuid] = append(r.ofEntity[row.LegalEntityGuid], row.Guid)
			}
			return nil
		})
		boundedRows(t, t.ClientApplicationAll(ctx, limit).Query, func(rows []db.ClientApplicationAllRow) error {
			for _, row := range rows {
				r.clients[row.Guid] = referenceClient{
					accessRights(row.VisitDirection, row.VisitDirectionOtherLpu, row.OutOfSchedule),
					booking.SystemRights{Scopes: row.Scopes, Lpus: row.LpuGuids, EveryLpu: row.EveryLpu},
				}
			}
			return nil
		})
		boundedRows(t, t.SettingAll(ctx, limit).Query, func(rows []db.SettingAllRow) error {
			for _, row := range rows {
				if r.values[row.OwnerGuid] == nil {
					r.values[row.OwnerGuid] = map[string]string{}
				}
				r.values[row.OwnerGuid][row.Code] = row.Value
			}
			return nil
		})
		boundedRows(t, t.BusyTypeAll(ctx, limit).Query, func(rows []db.BusyTypeAllRow) error {
			for _, row := range rows {
				r.busyTypes = append(r.busyTypes, row.Code)
				if row.Reception {
					r.receptions = append(r.receptions, row.Code)
				}
			}
			return nil
		})
	})
	return r, err
}

// boundedRows is rows for a whole table. It fails if the table has more than maxReferenceRows rows,
// because part of the reference data would be wrong data.
func boundedRows[R any](t *tx, query func(func(int, []R, error)), read func([]R) error) {
	rows(t, query, func(rows []R) error {
		if len(rows) > maxReferenceRows {
			return fmt.Errorf("a table of the reference data has more than %d rows (%T)", maxReferenceRows, rows)
		}
		return read(rows)
	})
}

// zone loads a time zone and caches it for later reads. Only the running read may call it.
func (c *referenceCache) zone(name string) (*time.Location, error) {
	if zone, ok := c.zones[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("load the time zone of an institution: %w", err)
	}
	if c.zones == nil {
		c.zones = map[string]*time.Location{}
	}
	c.zones[name] = zone
	return zone, nil
}
