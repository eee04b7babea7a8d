package postgres

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // a machine without time zones of its own must not know fewer

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// ReferenceAge is how old the reference data that a request uses may be. So much later at the most a change of an institution, a client application's rights,
// a setting or a kind of cell takes effect.
const ReferenceAge = time.Second

// referenceTimeout bounds one read of the reference data, which several requests may wait for.
const referenceTimeout = 2 * time.Second

// mostReferenceRows bounds each table of the reference data.
const mostReferenceRows = 1_000_000

// reference is the region's reference data as they were at one moment. Nobody changes them.
type reference struct {
	readAt     time.Time // when the read began
	lpus       map[uuid.UUID]referenceLpu
	ofEntity   map[uuid.UUID][]uuid.UUID    // the institutions of a legal entity, in order
	rights     map[uuid.UUID]booking.Rights // by client application that is active
	values     map[uuid.UUID]map[string]string
	receptions []int32  // the kinds of cells that take visits
	inForce    sync.Map // settingsKey → booking.Settings, filled when asked for
	forget     func()   // has the next request wait for newer data
}

type referenceLpu struct {
	legalEntity uuid.UUID
	code        string
	name        string
	zone        *time.Location
	zoneErr     error // this build does not know the zone; other institutions do not suffer
}

type settingsKey struct{ lpu, client uuid.UUID }

// settings returns the settings in force in an institution through a client application. Of a setting that several owners have, the client application's wins,
// then the institution's. The zero guid is the region without an institution.
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

// target returns the institution with what is in force there through a client application; nil: there is no such institution.
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
		Settings: settings, LegalEntity: known.legalEntity, Zone: known.zone, PolyclinicCodeIsOwn: settings.PolyclinicCode == known.code,
		Rights: r.rights[client],
	}, nil
}

// targets returns the institutions that may serve a referral, at most so many: the one asked for, else those of the legal entity that the referral leads to,
// the one that it names first.
func (r *reference) targets(of *booking.Targets, asked *uuid.UUID, most int) ([]booking.TargetLpu, error) {
	var guids []uuid.UUID
	switch {
	case asked != nil:
		guids = []uuid.UUID{*asked}
	case of.LegalEntity != nil:
		guids = append(guids, *of.LpuTo)
		for _, lpu := range r.ofEntity[*of.LegalEntity] {
			if lpu != *of.LpuTo {
				guids = append(guids, lpu)
			}
		}
	}
	var targets []booking.TargetLpu
	for _, guid := range guids[:min(len(guids), most)] {
		known, ok := r.lpus[guid]
		if !ok {
			continue
		}
		if known.zoneErr != nil {
			return nil, known.zoneErr
		}
		targets = append(targets, booking.TargetLpu{Guid: guid, LegalEntity: known.legalEntity, Name: known.name, Zone: known.zone})
	}
	return targets, nil
}

// zone returns an institution's time zone. It refuses for now where the data do not have the institution: it may have come within the last second.
func (r *reference) zone(lpu uuid.UUID) (*time.Location, error) {
	known, ok := r.lpus[lpu]
	if !ok {
		r.forget()
		return nil, booking.Reject(booking.DatabaseUnavailable).Because(fmt.Errorf("the reference data do not have the institution %s yet", lpu))
	}
	return known.zone, known.zoneErr
}

// existing returns a visit with its times in its institution's zone.
func (r *reference) existing(guid, lpu uuid.UUID, start, end time.Time) (booking.ExistingAppointment, error) {
	zone, err := r.zone(lpu)
	if err != nil {
		return booking.ExistingAppointment{}, err
	}
	return booking.ExistingAppointment{Guid: guid, Lpu: lpu, Start: start.In(zone), End: end.In(zone)}, nil
}

// referenceCache keeps the reference data in memory. A request that finds them older than half of maxAge has them read again meanwhile; one that finds them
// older than maxAge waits for that, and fails as if the database were away when they cannot be read. So nothing is read while no request comes.
type referenceCache struct {
	pool    *pgxpool.Pool
	zones   map[string]*time.Location // by name, of the read that runs: loading one reads a file
	maxAge  time.Duration
	current atomic.Pointer[reference]
	reads   singleflight.Group
}

func (c *referenceCache) get(ctx context.Context) (*reference, error) {
	oldest := time.Now().Add(-c.maxAge)
	known := c.current.Load()
	if known.isFrom(oldest) && time.Since(known.readAt) > c.maxAge/2 {
		c.read()
	}
	// The read that is waited for may have begun too early for this request. The next one has not.
	for ; !known.isFrom(oldest); known = c.current.Load() {
		select {
		case done := <-c.read():
			if done.Err != nil {
				return nil, fmt.Errorf("read the reference data: %w", done.Err)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("read the reference data: %w", ctx.Err())
		}
	}
	return known, nil
}

// isFrom tells whether the data are there and were read at a moment or later.
func (r *reference) isFrom(moment time.Time) bool { return r != nil && !r.readAt.Before(moment) }

// read begins a read of the reference data, or joins the one that runs.
func (c *referenceCache) read() <-chan singleflight.Result {
	return c.reads.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), referenceTimeout)
		defer cancel()
		next, err := c.load(ctx)
		if err == nil {
			c.current.Store(next)
		}
		return nil, err
	})
}

// load reads all tables in one round trip, as they are at one moment.
func (c *referenceCache) load(ctx context.Context) (*reference, error) {
	r := &reference{
		readAt: time.Now(), lpus: map[uuid.UUID]referenceLpu{}, ofEntity: map[uuid.UUID][]uuid.UUID{}, rights: map[uuid.UUID]booking.Rights{}, values: map[uuid.UUID]map[string]string{},
		receptions: []int32{},
	}
	r.forget = func() { c.current.CompareAndSwap(r, nil) }
	most := []int32{mostReferenceRows + 1}
	err := snapshot(ctx, c.pool, func(t *tx) {
		allRows(t, t.LpuAll(ctx, most).Query, func(rows []db.Lpu) error {
			for _, row := range rows {
				zone, err := c.zone(row.TimeZone)
				r.lpus[row.Guid] = referenceLpu{row.LegalEntityGuid, row.Code, row.Name, zone, err}
				r.ofEntity[row.LegalEntityGuid] = append(r.ofEntity[row.LegalEntityGuid], row.Guid)
			}
			return nil
		})
		allRows(t, t.ClientApplicationAll(ctx, most).Query, func(rows []db.ClientApplicationAllRow) error {
			for _, row := range rows {
				r.rights[row.Guid] = booking.Rights{
					SameLpu: booking.Access(row.VisitDirection), OtherLpu: booking.Access(row.VisitDirectionOtherLpu), OutOfSchedule: row.OutOfSchedule,
				}
			}
			return nil
		})
		allRows(t, t.SettingAll(ctx, most).Query, func(rows []db.SettingAllRow) error {
			for _, row := range rows {
				if r.values[row.OwnerGuid] == nil {
					r.values[row.OwnerGuid] = map[string]string{}
				}
				r.values[row.OwnerGuid][row.Code] = row.Value
			}
			return nil
		})
		allRows(t, t.BusyTypeReceptions(ctx, most).Query, func(codes []int32) error {
			r.receptions = append(r.receptions, codes...)
			return nil
		})
	})
	return r, err
}

// allRows is rows for a table that is read whole. More rows than mostReferenceRows are an error: a part of them would be the wrong data.
func allRows[R any](t *tx, query func(func(int, []R, error)), read func([]R) error) {
	rows(t, query, func(rows []R) error {
		if len(rows) > mostReferenceRows {
			return fmt.Errorf("a table of the reference data has more than %d rows (%T)", mostReferenceRows, rows)
		}
		return read(rows)
	})
}

// zone loads a time zone, once for all reads.
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
