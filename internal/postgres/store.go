// Package postgres stores bookings in PostgreSQL. Constraints and conditional writes of the
// database enforce the guarantees. This package turns their results into refusals.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// Store implements all ports of package booking. It is safe for concurrent use.
type Store struct {
	pool      *pgxpool.Pool
	writers   *writers
	commits   *commitCheck
	reference *referenceCache
	standby   *Standby // of lists; nil: there is none
	dryRun    bool     // write rolls back

	partitions *atomic.Pointer[time.Time] // the day for which those of events exist
}

// NewStore returns a store that uses the pool. The caller closes the pool. referenceAge is the
// maximum age of cached reference data; a service passes ReferenceAge.
func NewStore(pool *pgxpool.Pool, referenceAge time.Duration) *Store {
	return &Store{
		pool: pool, writers: newWriters(pool), commits: newCommitCheck(pool),
		reference: newReferenceCache(pool, referenceAge), partitions: new(atomic.Pointer[time.Time]),
	}
}

// writers are the places of the transactions that write: a quarter of the connections is reserved
// for reads, so that bookings that wait for locks do not delay lists and searches.
type writers struct {
	places *semaphore.Weighted
	pool   *pgxpool.Pool
	tracer pgxpool.AcquireTracer // of the pool; nil: none
}

func newWriters(pool *pgxpool.Pool) *writers {
	config := pool.Config()
	conns := int64(config.MaxConns)
	tracer, _ := config.ConnConfig.Tracer.(pgxpool.AcquireTracer)
	return &writers{semaphore.NewWeighted(conns - conns/4), pool, tracer}
}

// acquire takes a place. While it waits for one, the tracer of the pool sees a wait for a
// connection: with a place there would be one.
func (w *writers) acquire(ctx context.Context) (err error) {
	if w.places.TryAcquire(1) {
		return nil
	}
	if w.tracer != nil {
		traced := w.tracer.TraceAcquireStart(ctx, w.pool, pgxpool.TraceAcquireStartData{})
		defer func() { w.tracer.TraceAcquireEnd(traced, w.pool, pgxpool.TraceAcquireEndData{Err: err}) }()
	}
	if err := w.places.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for other writes: %w", err)
	}
	return nil
}

// beginWriting waits for a place among the transactions that write. end gives it back. It returns a
// *booking.Refusal while commits hang.
func (s *Store) beginWriting(ctx context.Context) (end func(), err error) {
	if err := s.writers.acquire(ctx); err != nil {
		return nil, err
	}
	if err := s.commits.check(ctx); err != nil {
		s.writers.places.Release(1)
		return nil, err
	}
	return func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.commits.doubtful.Store(true)
		}
		s.writers.places.Release(1)
	}, nil
}

// ReadReferenceWith makes the store read the reference data through another pool than its bookings.
// Bookings that wait for locks can use up their pool for seconds; the reference data must not
// become too old meanwhile. Call it before the store is used.
func (s *Store) ReadReferenceWith(pool *pgxpool.Pool) { s.reference.pool = pool }

// Over returns a store on another pool that shares the reference data.
func (s *Store) Over(pool *pgxpool.Pool) *Store {
	over := *s
	over.pool, over.writers, over.commits = pool, newWriters(pool), newCommitCheck(pool)
	return &over
}

// DryRun returns a store that rolls back what the registry writes, and returns what it would have
// changed.
func (s *Store) DryRun() *Store {
	dry := *s
	dry.dryRun = true
	return &dry
}

// ForgetReference makes requests that arrive later read the reference data again, for a caller that
// has changed them and does not want to wait until they are too old.
func (s *Store) ForgetReference() { s.reference.forget() }

// Ports returns ports that all use the store. Its master patient index is the local one.
func (s *Store) Ports() booking.Ports {
	return booking.Ports{
		Reader:       s,
		Bookings:     s,
		Index:        s,
		Moves:        s,
		Cancels:      s,
		Holds:        s,
		Slots:        s,
		Directions:   s,
		Appointments: s,
		Settings:     s,
		Keys:         s,
		Clients:      s,
		Identities:   s,
	}
}

// Options are the settings of a pool.
type Options struct {
	URL              string
	MaxConns         int32
	StatementTimeout time.Duration // the database cancels a statement after it
	LockTimeout      time.Duration // and one that waits for a lock after it; 0: not before StatementTimeout
	// AsynchronousCommit makes a commit return before it is on disk. Guarantee 6
	// (docs/guarantees.md) does not hold for it.
	AsynchronousCommit bool
	Tracer             pgx.QueryTracer // may also be one of batches and of the pool; nil: none
}

// Planning are the planner settings of our connections. The address can override them. Our
// statements look up a few rows by an index, whatever their parameters, in tables that fit in
// memory or on a solid-state disk. A generic plan is therefore made once per connection, and a
// random page costs little more than a sequential one. With its defaults PostgreSQL scans all
// institutions for each referral and plans some statements on each execution. Reading the facts of
// a booking then takes three times as long.
var Planning = map[string]string{"plan_cache_mode": "force_generic_plan", "random_page_cost": "1.1"}

// SetDefaults adds to the parameters of an address those of our connections: how statements are
// planned, and that a commit is safe (guarantee 6, docs/guarantees.md). The address may set a
// stronger level, such as remote_apply.
func SetDefaults(params map[string]string) {
	params["synchronous_commit"] = cmp.Or(params["synchronous_commit"], "on")
	for name, value := range Planning {
		params[name] = cmp.Or(params[name], value)
	}
}

// connectTimeout bounds the attempt to connect to one host, unless the address has connect_timeout.
// Without a bound an attempt on a silent host takes minutes, while another host may be the primary.
const connectTimeout = 2 * time.Second

// Open returns a pool of connections. It does not connect yet.
func Open(ctx context.Context, options Options) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(options.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database's address: %w", err)
	}
	config.MaxConns = options.MaxConns
	config.ConnConfig.Tracer = options.Tracer
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, connectTimeout)
	config.PingTimeout = config.ConnConfig.ConnectTimeout
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "talon"
	params["statement_timeout"] = strconv.FormatInt(options.StatementTimeout.Milliseconds(), 10)
	if options.LockTimeout > 0 && params["lock_timeout"] == "" {
		params["lock_timeout"] = strconv.FormatInt(options.LockTimeout.Milliseconds(), 10)
	}
	SetDefaults(params)
	if options.AsynchronousCommit {
		params["synchronous_commit"] = "off"
	}
	// The service never pauses between the statements of a transaction. An idle transaction has
	// lost its client and must not hold locks.
	params["idle_in_transaction_session_timeout"] = strconv.FormatInt(options.StatementTimeout.Milliseconds(), 10)
	markConnections(config)
	config.ConnConfig.OnNotice = noteHalfCommit
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		RegisterUUID(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	return pool, nil
}

// probe is a transaction that needs what a booking needs: room for another page of a table, and a
// commit that is safe, also on a synchronous standby. It leaves no row. The message is there so
// that there is something to commit.
const probe = `
	CREATE TEMPORARY TABLE IF NOT EXISTS talon_ready (n int) ON COMMIT DELETE ROWS;
	INSERT INTO talon_ready VALUES (1);
	` + commitMessage

// Ready returns nil if the database can be reached, accepts and commits writes, and has the same
// time as now, and otherwise a *booking.Refusal or the error. The store needs a pool of its own,
// because a commit that hangs keeps its connection until ctx is done.
func (s *Store) Ready(ctx context.Context, now func() time.Time) error {
	writable, err := db.New(s.pool).HealthCheck(ctx)
	if err != nil {
		return fmt.Errorf("query the database: %w", interpretError(err))
	}
	if !writable {
		s.pool.Reset() // open connections would stay on the standby when the address points elsewhere
		return booking.Reject(booking.DatabaseUnavailable).Because(errors.New("the database does not accept writes"))
	}
	if err := s.CheckClock(ctx, now); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, probe, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("try a write: %w", interpretError(err))
	}
	return nil
}

// maxClockDifference is the largest difference between the clocks of the service and the database.
// All instances have to agree on which cells and keys have expired.
const maxClockDifference = 5 * time.Second

// CheckClock returns an error if the database's clock differs by more than maxClockDifference from
// now, apart from the time that the question takes.
func (s *Store) CheckClock(ctx context.Context, now func() time.Time) error {
	before := now()
	var clock time.Time
	if err := s.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&clock); err != nil {
		return fmt.Errorf("read the database's clock: %w", interpretError(err))
	}
	ahead, behind := clock.Sub(now()), before.Sub(clock)
	if difference := max(ahead, behind); difference > maxClockDifference {
		return fmt.Errorf("the clocks of the service and of the database differ by %s, which is more than %s: "+
			"set both by NTP", difference.Round(time.Second), maxClockDifference)
	}
	return nil
}

// CreateMkab implements booking.BookStore.
func (s *Store) CreateMkab(
	ctx context.Context, lpu uuid.UUID, person *booking.Person, now time.Time,
) (*booking.Mkab, error) {
	// A retry is safe: it finds a card that an earlier try has created.
	return retry(ctx, s.pool.Reset, func() (*booking.Mkab, error) { return s.createMkab(ctx, lpu, person, now) })
}

func (s *Store) createMkab(
	ctx context.Context, lpu uuid.UUID, person *booking.Person, now time.Time,
) (*booking.Mkab, error) {
	end, err := s.beginWriting(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var mkab *booking.Mkab
	err = transact(ctx, s.pool, func(tx pgx.Tx) error {
		queries := db.New(tx)
		guid, err := queries.MkabCreate(ctx, db.MkabCreateParams{
			LpuGuid:    lpu,
			Guid:       uuid.New(),
			PersonGuid: person.Guid,
			Surname:    person.Surname,
			Name:       person.Name,
			Patronymic: person.Patronymic,
			BirthDate:  person.BirthDate,
			Sex:        db.Sex(person.Sex),
			Snils:      person.Snils,
			CreatedAt:  now,
		})
		switch {
		case err == nil:
			mkab = &booking.Mkab{Guid: guid}
			linked, err := queries.MkabPolicyLink(ctx, db.MkabPolicyLinkParams{
				LpuGuid: lpu, MkabGuid: guid, Series: person.PolicySeries, Number: person.PolicyNumber,
			})
			if err == nil && linked == 0 {
				err = booking.Reject(booking.MkabPolicyLinkFailed).Because(errors.New("the policy was not linked"))
			}
			return firstError(err, addCardKeys(ctx, queries, lpu, guid, person))
		case errors.Is(err, pgx.ErrNoRows):
			// Another booking of the same person created the card and linked the policy.
			guid, err = queries.MkabGetOpen(ctx, lpu, person.Guid)
			if errors.Is(err, pgx.ErrNoRows) {
				return booking.Reject(booking.MkabPolicyLinkFailed).
					Because(errors.New("the card was neither created nor found"))
			}
			mkab = &booking.Mkab{Guid: guid}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return mkab, nil
}

// addCardKeys writes the keys by which a new card is found from any institution.
func addCardKeys(ctx context.Context, queries *db.Queries, lpu, mkab uuid.UUID, person *booking.Person) (err error) {
	store := func(_ int, addErr error) { err = firstError(err, addErr) }
	queries.PersonLpuAdd(ctx, []db.PersonLpuAddParams{{PersonGuid: person.Guid, LpuGuid: lpu}}).Exec(store)
	policies := []registry.Policy{{Series: person.PolicySeries, Number: person.PolicyNumber}}
	queries.CardKeyAdd(ctx, cardKeys(lpu, mkab, person.Snils, policies)).Exec(store)
	return err
}

// cardKeys returns the keys by which a card is found from any institution.
func cardKeys(lpu, mkab uuid.UUID, snils string, policies []registry.Policy) []db.CardKeyAddParams {
	keys := []db.CardKeyAddParams{{Kind: db.CardKeyKindGuid, Value: mkab.String(), LpuGuid: lpu, MkabGuid: mkab}}
	if digits := strings.NewReplacer("-", "", " ", "").Replace(snils); digits != "" {
		keys = append(keys, db.CardKeyAddParams{Kind: db.CardKeyKindSnils, Value: digits, LpuGuid: lpu, MkabGuid: mkab})
	}
	for _, policy := range policies {
		keys = append(keys, db.CardKeyAddParams{
			Kind: db.CardKeyKindPolicy, Value: policyKey(policy.Series, policy.Number), LpuGuid: lpu, MkabGuid: mkab,
		})
	}
	return keys
}
