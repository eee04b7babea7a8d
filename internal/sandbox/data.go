// Package sandbox runs the service with demo data, as make run does. It adds a scenario for every
// documented response, injected faults, and the portal. The demo data are a small region with
// fictional institutions, resources and patients, and a case for every documented rule. All dates
// are relative to the time of loading, so there are always free cells.
package sandbox

import (
	"context"
	_ "embed" // for the SQL
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

var (
	// ErrForeign is returned if the database holds data that do not belong to the demo and
	// therefore must not be deleted.
	ErrForeign = errors.New("the database holds data that are not demo data")
	// ErrLoaded is returned by Load if the demo data are loaded already.
	ErrLoaded = errors.New("the demo data are loaded already")
)

const (
	timeout     = 20 * time.Second // of a load or reset, less than the server's write timeout
	lockTimeout = 10 * time.Second // of waiting for concurrent bookings
)

var (
	//go:embed demo.sql
	loadSQL string
	//go:embed clear.sql
	clearSQL string
)

// Beginner begins transactions: a connection, a pool, or an outer transaction.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Load inserts the demo data, relative to now, into an empty database with the current schema. It
// returns ErrLoaded if they are loaded already, and ErrForeign if the database holds other data.
func Load(ctx context.Context, db Beginner, now time.Time) error {
	err := inExclusiveTx(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
		loaded, err := isLoaded(ctx, tx)
		switch {
		case err != nil:
			return err
		case loaded:
			return ErrLoaded
		default:
			return load(ctx, tx, now)
		}
	})
	if err != nil {
		return fmt.Errorf("load the demo data: %w", err)
	}
	return nil
}

// Reset deletes all data and loads the demo data relative to now, in one transaction. Concurrent
// bookings wait for it. It returns ErrForeign and changes nothing if the database has an
// institution, a legal entity, a client application or a person that is not of the demo.
func Reset(ctx context.Context, db Beginner, now time.Time) error {
	err := inExclusiveTx(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
		_, err := reload(ctx, tx, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("reset the demo data: %w", err)
	}
	return nil
}

// Check returns ErrForeign if the database has an institution, a legal entity, a client application
// or a person that is not of the demo.
func Check(ctx context.Context, db Beginner) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		_, err := isLoaded(ctx, tx)
		return err
	})
}

// Action is what Ensure has done.
type Action string

// The actions of Ensure.
const (
	Kept    Action = "kept"    // the data are current and unchanged
	Loaded  Action = "loaded"  // the database was empty
	Renewed Action = "renewed" // the data were outdated and have been reset
)

// State is the state of the demo data after Ensure.
type State struct {
	Action Action
	// FirstExampleFree reports that FirstExample can be booked: its referral, its cells and its
	// speciality are free.
	FirstExampleFree bool
}

// Ensure loads the demo data into an empty database. It resets outdated data: those whose example
// cell has begun, and those of an earlier version, which had fewer patients or client applications.
// It keeps current data with all bookings. It returns ErrForeign if it would have to write to a
// database with other data.
func Ensure(ctx context.Context, db Beginner, now time.Time) (State, error) {
	var state State
	err := inExclusiveTx(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if state.Action, err = ensure(ctx, tx, now); err != nil {
			return err
		}
		state.FirstExampleFree, err = firstExampleIsFree(ctx, tx, now)
		return err
	})
	if err != nil {
		return State{}, fmt.Errorf("ensure the demo data: %w", err)
	}
	return state, nil
}

func ensure(ctx context.Context, tx pgx.Tx, now time.Time) (Action, error) {
	current, err := queryBool(ctx, tx, `
		SELECT EXISTS (SELECT FROM slot WHERE lpu_guid = $1 AND id = $2 AND start_at >= $3)
			AND (SELECT count(DISTINCT person_guid) FROM mkab) = $4
			AND EXISTS (SELECT FROM client_application WHERE guid = $5)`,
		exampleTarget, FirstExampleSlotID, now, len(Patients), RegionClient)
	if err != nil {
		return "", fmt.Errorf("check the example's cell and the patients: %w", err)
	}
	if current {
		return Kept, nil
	}
	return reload(ctx, tx, now)
}

// inExclusiveTx calls do in a transaction that excludes other loads and resets. Its lock also
// prevents that an institution is inserted between the check for foreign data and the deletion.
func inExclusiveTx(ctx context.Context, db Beginner, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		limits := fmt.Sprintf("SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d", timeout.Milliseconds(),
			lockTimeout.Milliseconds())
		if _, err := tx.Exec(ctx, limits); err != nil {
			return fmt.Errorf("set the timeouts: %w", err)
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE lpu IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("lock the institutions: %w", err)
		}
		return do(ctx, tx)
	})
}

// reload loads the demo data, after deleting those that are loaded.
func reload(ctx context.Context, tx pgx.Tx, now time.Time) (Action, error) {
	loaded, err := isLoaded(ctx, tx)
	if err != nil {
		return "", err
	}
	if !loaded {
		return Loaded, load(ctx, tx, now)
	}
	if _, err := tx.Exec(ctx, clearSQL); err != nil {
		return "", fmt.Errorf("delete the old data: %w", err)
	}
	return Renewed, load(ctx, tx, now)
}

func load(ctx context.Context, tx pgx.Tx, now time.Time) error {
	// A text of several statements cannot have parameters, so the time is passed in a setting of
	// the transaction. It is truncated here, because PostgreSQL would round it to microseconds, at
	// the end of a day up into the next.
	moment := now.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	if _, err := tx.Exec(ctx, "SELECT set_config('talon.demo_now', $1, true)", moment); err != nil {
		return fmt.Errorf("set the time: %w", err)
	}
	if _, err := tx.Exec(ctx, loadSQL); err != nil {
		return fmt.Errorf("insert the data: %w", err)
	}
	return nil
}

// isLoaded reports whether the database has institutions of the demo. It returns ErrForeign if it
// has rows that are neither of the demo nor brought in beside it through the registry. All other
// rows belong to rows of these tables.
func isLoaded(ctx context.Context, tx pgx.Tx) (bool, error) {
	var (
		kind string
		guid uuid.UUID
	)
	err := tx.QueryRow(ctx, `
		SELECT kind, guid
		FROM (
			SELECT 'institution', guid FROM lpu
			UNION ALL SELECT 'legal entity', guid FROM legal_entity
			UNION ALL SELECT 'client application', guid FROM client_application
			UNION ALL SELECT 'person', guid FROM mip_person
		) present (kind, guid)
		WHERE guid::text NOT LIKE 'de300000-%' AND guid <> ALL($1)
			AND NOT (guid IN (SELECT guid FROM source_object) AND EXISTS (SELECT FROM lpu WHERE guid = ANY($1)))
		LIMIT 1`, documentedInstitutions).Scan(&kind, &guid)
	if err == nil {
		return false, fmt.Errorf("%w, for example the %s %s", ErrForeign, kind, guid)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("search for foreign data: %w", err)
	}
	loaded, err := queryBool(ctx, tx, "SELECT EXISTS (SELECT FROM lpu)")
	if err != nil {
		return false, fmt.Errorf("search for institutions: %w", err)
	}
	return loaded, nil
}

// firstExampleIsFree reports whether FirstExample can be booked. It checks only what bookings and
// holds change.
func firstExampleIsFree(ctx context.Context, tx pgx.Tx, now time.Time) (bool, error) {
	free, err := queryBool(ctx, tx, `
		SELECT EXISTS (SELECT FROM direction WHERE lpu_guid = $1 AND guid = $2 AND appointment_guid IS NULL)
			AND 2 = (
				SELECT count(*)
				FROM slot chosen
				JOIN slot cell ON cell.lpu_guid = chosen.lpu_guid AND cell.resource_guid = chosen.resource_guid
					AND cell.start_at IN (chosen.start_at, chosen.end_at)
					AND cell.taken + coalesce(slot_held(cell.holds, $6, $5), 0) < cell.capacity
				WHERE chosen.lpu_guid = $3 AND chosen.id = $4
			)
			AND NOT EXISTS (SELECT FROM speciality_claim WHERE person_guid = $5 AND speciality_code = '92' AND end_at > $6)`,
		exampleSource, exampleDirection, exampleTarget, FirstExampleSlotID, Patient, now)
	if err != nil {
		return false, fmt.Errorf("check the first example: %w", err)
	}
	return free, nil
}

// queryBool returns the single boolean that a query returns.
func queryBool(ctx context.Context, tx pgx.Tx, query string, args ...any) (result bool, err error) {
	err = tx.QueryRow(ctx, query, args...).Scan(&result)
	return result, err
}
