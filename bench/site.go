package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
)

// site is a region in its database, with a service that uses it.
type site struct {
	server     *server
	region     Region
	url        string
	conn       *pgx.Conn // for queries and maintenance by the benchmark
	postmaster process
	service    *service
	script     script
	next       int64 // number of the first booking that no measurement has used
}

// Sample is the result of one measurement: the client's view and the costs.
type Sample struct {
	Load

	ServiceCPU  float64 `json:"service_cpu_us,omitempty"` // CPU time per request, as the next two
	PostgresCPU float64 `json:"postgres_cpu_us"`
	ClientCPU   float64 `json:"client_cpu_us"`
	WAL         float64 `json:"wal_bytes"`                  // per request
	PeakMiB     float64 `json:"service_peak_mib,omitempty"` // peak memory of the service
}

// copyScale is the size of the regions that are copied.
const copyScale = 0.01

// openCopy copies the database of a small region under another name, and opens the copy.
func openCopy(ctx context.Context, server *server, program, database string, progress io.Writer) (*site, error) {
	region, err := ensureData(ctx, server, copyScale, progress)
	if err != nil {
		return nil, err
	}
	if err := server.copyDatabase(ctx, databaseName(copyScale), database); err != nil {
		return nil, err
	}
	copied := *server
	copied.url = func(string) string { return server.url(database) }
	return openSite(ctx, &copied, program, region)
}

// addSystemClient adds a client application that acts for itself, with the given number.
func (s *site) addSystemClient(ctx context.Context, number int64, scopes []string) error {
	_, err := s.conn.Exec(ctx,
		`INSERT INTO client_application (guid, name, scopes, every_lpu) VALUES ($1, 'МИС', $2, true)`,
		guid(kindClient, number), scopes)
	if err != nil {
		return fmt.Errorf("add the client application: %w", err)
	}
	return nil
}

// openSite opens the database of the region, removes its bookings and starts the service. With an
// empty program it starts no service.
func openSite(ctx context.Context, server *server, program string, region Region) (_ *site, err error) {
	s := &site{server: server, region: region, url: server.url(databaseName(region.Scale))}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if s.conn, err = pgx.Connect(ctx, s.url); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	s.postmaster = clusterProcess(ctx, s.conn)
	if err := s.reset(ctx); err != nil {
		return nil, err
	}
	if s.script, err = recordScript(ctx, s.url, region); err != nil {
		return nil, err
	}
	if server.own {
		if err := s.prewarm(ctx); err != nil {
			return nil, err
		}
	}
	if program != "" {
		if s.service, err = startService(ctx, program, s.url); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *site) close(ctx context.Context) error {
	var err error
	if s.service != nil {
		err = s.service.stop()
	}
	if s.conn != nil {
		err = errors.Join(err, s.conn.Close(context.WithoutCancel(ctx)))
	}
	return err
}

// prewarm loads the tables and indexes into PostgreSQL's memory, where those of a database in use
// are. Each booking is of another patient and would otherwise include the first read of its pages.
func (s *site) prewarm(ctx context.Context) error {
	for _, sql := range []string{
		"CREATE EXTENSION IF NOT EXISTS pg_prewarm",
		"SELECT sum(pg_prewarm(oid)) FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace",
	} {
		if _, err := s.conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("prewarm the database: %w", err)
		}
	}
	return nil
}

// reset deletes all bookings, so that each measurement starts with the same data, and writes the
// dirty pages.
func (s *site) reset(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`CREATE TEMPORARY TABLE undone ON COMMIT DROP AS SELECT lpu_guid, direction_guid, direction_lpu_guid FROM appointment`,
			`CREATE TEMPORARY TABLE freed ON COMMIT DROP AS SELECT lpu_guid, unnest(slot_guids) AS slot_guid FROM appointment`,
			`TRUNCATE appointment, person_appointment, speciality_claim, idempotency_key`,
			`UPDATE slot s SET taken = 0 FROM freed f WHERE s.lpu_guid = f.lpu_guid AND s.guid = f.slot_guid`,
			`UPDATE direction d SET appointment_guid = NULL FROM undone u WHERE d.lpu_guid = u.direction_lpu_guid AND d.guid = u.direction_guid`,
			`DELETE FROM direction d USING undone u WHERE d.lpu_guid = u.lpu_guid AND d.guid = u.direction_guid AND d.copied_from_lpu_guid IS NOT NULL`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete the bookings: %w", err)
	}
	// The emptied tables are not vacuumed: after VACUUM the planner would assume that they are
	// empty, and choose full scans while they grow.
	for _, sql := range []string{"VACUUM slot, direction", "CHECKPOINT"} {
		if _, err := s.conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// ledger contains counts of rows that must be equal after a measurement, and the number of cells
// with wrong counters.
type ledger struct {
	appointments, cells, referrals, claims, overbooked int64
}

func (s *site) ledger(ctx context.Context) (l ledger, err error) {
	err = s.conn.QueryRow(ctx, `
		WITH active AS (
			SELECT lpu_guid, guid, direction_lpu_guid, direction_guid, person_guid, resource_guid, start_at, end_at, slot_guids[1] AS slot_guid FROM appointment WHERE cancelled_at IS NULL
		)
		SELECT
			(SELECT count(*) FROM active),
			(SELECT count(*) FROM active a JOIN slot s ON s.lpu_guid = a.lpu_guid AND s.guid = a.slot_guid
				WHERE (a.resource_guid, a.start_at, a.end_at) = (s.resource_guid, s.start_at, s.end_at)),
			(SELECT count(*) FROM active a JOIN direction d ON d.lpu_guid = a.direction_lpu_guid AND d.guid = a.direction_guid AND d.appointment_guid = a.guid),
			(SELECT count(*) FROM speciality_claim c JOIN active a ON a.lpu_guid = c.lpu_guid AND a.guid = c.appointment_guid
				JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid AND d.speciality_code = c.speciality_code
				WHERE (c.person_guid, c.start_at, c.end_at) = (a.person_guid, a.start_at, a.end_at)),
			(SELECT count(*) FROM (SELECT lpu_guid, slot_guid, count(*) FROM active GROUP BY 1, 2) t (lpu, guid, taken)
				JOIN slot s ON s.lpu_guid = t.lpu AND s.guid = t.guid WHERE s.taken <> t.taken OR s.taken > s.capacity)`,
	).Scan(&l.appointments, &l.cells, &l.referrals, &l.claims, &l.overbooked)
	if err != nil {
		return ledger{}, fmt.Errorf("count the bookings: %w", err)
	}
	return l, nil
}

// settleRequests is the number of unmeasured requests before each measurement of the service. They
// renew the cached plans of its connections, which reset has invalidated.
const settleRequests = 512

// measure resets the database, sends the settle requests unmeasured, runs load and returns the
// sample. It returns an error if the responses do not match the tables. books is set if successful
// requests of settle and load create bookings.
func (s *site) measure(
	ctx context.Context, settle [][]byte, books bool, load func(ctx context.Context) (Load, error),
) (Sample, error) {
	if err := s.reset(ctx); err != nil {
		return Sample{}, err
	}
	if len(settle) > 0 {
		settled, err := runWrk(ctx, s.service.address, limitClients, settle)
		if err != nil {
			return Sample{}, err
		}
		if settled.Outcomes[outcomeOK] != int64(len(settle)) {
			return Sample{}, fmt.Errorf("not all of %d requests before the measurement succeeded: %v",
				len(settle), settled.Outcomes)
		}
	}
	if s.service != nil {
		if err := s.service.process().resetPeak(); err != nil {
			return Sample{}, err
		}
	}
	before, err := s.meter(ctx)
	if err != nil {
		return Sample{}, err
	}
	result, err := load(ctx)
	if err != nil {
		return Sample{}, err
	}
	after, err := s.meter(ctx)
	if err != nil {
		return Sample{}, err
	}
	sample := newSample(result, before, after)
	if s.service != nil {
		sample.PeakMiB = float64(s.service.process().peakMemory()) / (1 << 20)
	}
	counts, err := s.ledger(ctx)
	if err != nil {
		return Sample{}, err
	}
	var want int64
	if books {
		want = sample.activeBookings + int64(len(settle))
	}
	if counts != (ledger{want, want, want, want, 0}) {
		return Sample{}, fmt.Errorf("%d bookings were confirmed, but the tables contain %+v", want, counts)
	}
	return sample, nil
}

// meter is a reading of the counters of the machine and the database.
type meter struct {
	service, postgres time.Duration
	wal               int64
}

// newSample returns the sample of a load. It divides the differences of the meters by the number of
// requests.
func newSample(load Load, before, after meter) Sample {
	perRequest := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(load.Requests) }
	return Sample{
		Load:        load,
		PostgresCPU: perRequest(after.postgres - before.postgres),
		ServiceCPU:  perRequest(after.service - before.service),
		ClientCPU:   perRequest(load.client),
		WAL:         float64(after.wal-before.wal) / float64(load.Requests),
	}
}

func (s *site) meter(ctx context.Context) (m meter, err error) {
	if err := s.conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&m.wal); err != nil {
		return meter{}, fmt.Errorf("read the WAL position: %w", err)
	}
	m.postgres = clusterTime(s.postmaster)
	if s.service != nil {
		used, err := s.service.process().usage()
		if err != nil {
			return meter{}, fmt.Errorf("read the CPU time of the service: %w", err)
		}
		m.service = used.own
	}
	return m, nil
}

// take reserves n unused bookings and returns a function that returns the i-th of them.
func (s *site) take(n int64) func(int64) Booking {
	base := s.next
	s.next += n
	return func(i int64) Booking { return s.region.Booking(base + i) }
}

// limit measures n bookings by the database alone. rate is in bookings per second; 0 means as fast
// as possible.
func (s *site) limit(ctx context.Context, rate float64, n int64) (Sample, error) {
	base := s.next
	s.next += n
	return s.measure(ctx, nil, true, func(ctx context.Context) (Load, error) {
		return runLimit(ctx, s.server, s.url, s.script, rate, base, n)
	})
}

// book measures n bookings by the service, whose requests send sends.
func (s *site) book(
	ctx context.Context, n int64, booking func(int64) Booking, send func(context.Context, [][]byte) (Load, error),
) (Sample, error) {
	caller := s.service.caller()
	requests, err := caller.requests(n, booking)
	if err != nil {
		return Sample{}, err
	}
	settle, err := caller.requests(settleRequests, s.take(settleRequests))
	if err != nil {
		return Sample{}, err
	}
	return s.measure(ctx, settle, true, func(ctx context.Context) (Load, error) { return send(ctx, requests) })
}

// closed measures n bookings by the service in a closed loop: each connection always has one
// request in flight.
func (s *site) closed(ctx context.Context, connections int, n int64, booking func(int64) Booking) (Sample, error) {
	return s.book(ctx, n, booking, func(ctx context.Context, requests [][]byte) (Load, error) {
		return runWrk(ctx, s.service.address, connections, requests)
	})
}

// search measures n searches for free cells in a closed loop.
func (s *site) search(ctx context.Context, connections int, n int64) (Sample, error) {
	requests, err := s.service.caller().searches(n, s.take(n))
	if err != nil {
		return Sample{}, err
	}
	settle, err := s.service.caller().searches(settleRequests, s.take(settleRequests))
	if err != nil {
		return Sample{}, err
	}
	return s.measure(ctx, settle, false, func(ctx context.Context) (Load, error) {
		return runWrk(ctx, s.service.address, connections, requests)
	})
}

// steady measures n bookings by the service at a rate, in bookings per second.
func (s *site) steady(ctx context.Context, rate float64, n int64, booking func(int64) Booking) (Sample, error) {
	return s.book(ctx, n, booking, func(ctx context.Context, requests [][]byte) (Load, error) {
		return runSteady(ctx, s.service.caller().host, rate, requests)
	})
}

// day measures a day of patients, who arrive at a rate in patients per second.
func (s *site) day(ctx context.Context, rate float64, patients int64) (Sample, error) {
	settle, err := s.service.caller().requests(settleRequests, s.take(settleRequests))
	if err != nil {
		return Sample{}, err
	}
	booking := s.take(patients)
	return s.measure(ctx, settle, true, func(ctx context.Context) (Load, error) {
		return runDay(ctx, s.service.address, *s.service.caller(), rate, patients, booking)
	})
}

// mixed replaces every fifth booking with one that is refused.
func mixed(booking func(int64) Booking) func(int64) Booking {
	return func(i int64) Booking {
		if i%5 == 4 {
			return booking(i).Full()
		}
		return booking(i)
	}
}

// full replaces every booking with one of a full cell.
func full(booking func(int64) Booking) func(int64) Booking {
	return func(i int64) Booking { return booking(i).Full() }
}

// mismatched replaces every booking with one of a resource of another speciality.
func (r Region) mismatched(booking func(int64) Booking) func(int64) Booking {
	return func(i int64) Booking { return r.Mismatched(booking(i)) }
}
