// Package postgres keeps bookings in PostgreSQL. The promises hold by the database's constraints and conditional writes; this package turns what
// they answer into refusals.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Store implements booking.Store.
type Store struct {
	pool      *pgxpool.Pool
	reference referenceCache
}

// NewStore returns a store that works through the pool, which stays the caller's to close. Reference data are used for referenceAge, in a service ReferenceAge.
func NewStore(pool *pgxpool.Pool, referenceAge time.Duration) *Store {
	return &Store{pool: pool, reference: referenceCache{pool: pool, maxAge: referenceAge}}
}

// Options are what a pool is opened with.
type Options struct {
	URL              string
	MaxConns         int32
	StatementTimeout time.Duration // the database gives up on a statement after this
}

// Planning is how PostgreSQL plans our statements, where the address does not say otherwise. Each looks up a few rows by an index, whatever its parameters, in
// tables that memory or a solid-state disk holds: so a plan is made once for a connection, and a page out of order costs little more than the next one. By
// its own settings PostgreSQL, which thinks of turning disks, reads the institutions as a whole for each referral and plans some statements anew each time;
// the facts of a booking then take three times as long.
var Planning = map[string]string{"plan_cache_mode": "force_generic_plan", "random_page_cost": "1.1"}

// Open makes a pool of connections. It does not connect yet.
func Open(ctx context.Context, options Options) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(options.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database's address: %w", err)
	}
	config.MaxConns = options.MaxConns
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "talon"
	params["statement_timeout"] = strconv.FormatInt(options.StatementTimeout.Milliseconds(), 10)
	// Promise 6 needs it. Whoever wants more, such as remote_apply, says so in the address.
	if params["synchronous_commit"] == "" {
		params["synchronous_commit"] = "on"
	}
	for name, value := range Planning {
		if params[name] == "" {
			params[name] = value
		}
	}
	// Nothing of ours waits between the statements of a transaction: whoever does has lost its client and must not hold locks.
	params["idle_in_transaction_session_timeout"] = strconv.FormatInt(options.StatementTimeout.Milliseconds(), 10)
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

// Ready tells whether the database answers and takes writes.
func (s *Store) Ready(ctx context.Context) error {
	writable, err := db.New(s.pool).HealthCheck(ctx)
	if err != nil {
		return fmt.Errorf("ask the database: %w", refused(err))
	}
	if !writable {
		s.pool.Reset() // or the connection might go on asking the standby when the address leads elsewhere
		return booking.Reject(booking.DatabaseUnavailable).Because(errors.New("the database takes no writes"))
	}
	return nil
}

// CreateMkab implements booking.Store.
func (s *Store) CreateMkab(ctx context.Context, lpu uuid.UUID, person *booking.Person, now time.Time) (*booking.Mkab, error) {
	// To repeat it does no harm: a card that was made after all is found.
	return retry(ctx, s.pool.Reset, func() (*booking.Mkab, error) { return s.createMkab(ctx, lpu, person, now) })
}

func (s *Store) createMkab(ctx context.Context, lpu uuid.UUID, person *booking.Person, now time.Time) (*booking.Mkab, error) {
	var mkab *booking.Mkab
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
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
			// Another booking of the same person made the card; it linked the policy, too.
			guid, err = queries.MkabGetOpen(ctx, lpu, person.Guid)
			if errors.Is(err, pgx.ErrNoRows) {
				return booking.Reject(booking.MkabPolicyLinkFailed).Because(errors.New("the card was neither created nor there"))
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

// addCardKeys writes by what a new card is found in any institution.
func addCardKeys(ctx context.Context, queries *db.Queries, lpu, mkab uuid.UUID, person *booking.Person) error {
	if err := queries.PersonLpuAdd(ctx, person.Guid, lpu); err != nil {
		return err
	}
	keys := []db.CardKeyAddParams{
		{Kind: db.CardKeyKindGuid, Value: mkab.String(), LpuGuid: lpu, MkabGuid: mkab},
		{Kind: db.CardKeyKindPolicy, Value: policyKey(person.PolicySeries, person.PolicyNumber), LpuGuid: lpu, MkabGuid: mkab},
	}
	if snils := strings.NewReplacer("-", "", " ", "").Replace(person.Snils); snils != "" {
		keys = append(keys, db.CardKeyAddParams{Kind: db.CardKeyKindSnils, Value: snils, LpuGuid: lpu, MkabGuid: mkab})
	}
	var err error
	queries.CardKeyAdd(ctx, keys).Exec(func(_ int, addErr error) { err = firstError(err, addErr) })
	return err
}

// MipPersonGet reads a person of the local master patient index. No row answers pgx.ErrNoRows.
func (s *Store) MipPersonGet(ctx context.Context, guid uuid.UUID) (db.MipPersonGetRow, error) {
	return retry(ctx, s.pool.Reset, func() (db.MipPersonGetRow, error) { return db.New(s.pool).MipPersonGet(ctx, guid) })
}
