// Package sandbox is what make run starts: the service on demo data, with a scenario for every documented response, injected faults, and
// the portal. The data are a small region of made-up institutions, resources and patients, with a case for every
// documented rule. All of it is relative to the moment it is loaded at, so that there is always something to book.
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
	// ErrForeign says that the database holds what is not the demo's, which is not ours to delete.
	ErrForeign = errors.New("the database holds data that are not the demo's")
	// ErrLoaded says that the demo data are there already.
	ErrLoaded = errors.New("the demo data are there already")
)

// No load or reset takes longer, whatever the caller's context allows; nor does it wait longer for the bookings under way.
const (
	timeout     = 30 * time.Second
	lockTimeout = 10 * time.Second
)

var (
	//go:embed demo.sql
	loadSQL string
	//go:embed clear.sql
	clearSQL string
)

// Beginner begins transactions: a connection, a pool, or a transaction.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Load makes the demo data of the moment now in an empty database. It answers ErrLoaded where they are, ErrForeign where other data are.
func Load(ctx context.Context, db Beginner, now time.Time) error {
	err := alone(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
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

// Reset puts the demo data back as on the first day, the moment now: it deletes everything and loads anew, in one transaction. It answers
// ErrForeign, and changes nothing, where there is an institution, a legal entity, a client application or a person that is not the demo's.
// Bookings wait meanwhile.
func Reset(ctx context.Context, db Beginner, now time.Time) error {
	err := alone(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
		_, err := loadAnew(ctx, tx, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("reset the demo data: %w", err)
	}
	return nil
}

// Check answers ErrForeign where the database holds an institution, a legal entity, a client application or a person that is not the demo's.
func Check(ctx context.Context, db Beginner) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		_, err := isLoaded(ctx, tx)
		return err
	})
}

// Action is what Ensure did.
type Action string

// What Ensure does: nothing, a load, a reset.
const (
	Kept    Action = "kept"
	Loaded  Action = "loaded"
	Renewed Action = "renewed"
)

// State is how Ensure leaves the demo data.
type State struct {
	Action Action
	// FirstExampleFree tells that FirstExample succeeds: neither its referral nor its cells nor its speciality is booked.
	FirstExampleFree bool
}

// Ensure loads the demo data where there is nothing yet, resets them where the time of the example's cell has passed or an earlier version has loaded them,
// which had fewer patients, and else leaves them alone, with all that was booked. It answers ErrForeign where it would have to write next to other data.
func Ensure(ctx context.Context, db Beginner, now time.Time) (State, error) {
	var state State
	err := alone(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
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
	fresh, err := ask(ctx, tx, `
		SELECT EXISTS (SELECT FROM slot WHERE lpu_guid = $1 AND id = $2 AND start_at >= $3)
			AND (SELECT count(DISTINCT person_guid) FROM mkab) = $4`, exampleTarget, FirstExampleSlotID, now, len(Patients))
	if err != nil {
		return "", fmt.Errorf("look for the example's cell and the patients: %w", err)
	}
	if fresh {
		return Kept, nil
	}
	return loadAnew(ctx, tx, now)
}

// alone does something in a transaction, one such at a time: the lock also keeps institutions from coming between the look and the deletion.
func alone(ctx context.Context, db Beginner, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		limits := fmt.Sprintf("SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d", timeout.Milliseconds(), lockTimeout.Milliseconds())
		if _, err := tx.Exec(ctx, limits); err != nil {
			return fmt.Errorf("limit the waits: %w", err)
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE lpu IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("lock the institutions: %w", err)
		}
		return do(ctx, tx)
	})
}

func loadAnew(ctx context.Context, tx pgx.Tx, now time.Time) (Action, error) {
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
	// Several statements in one text take no parameters; a setting of the transaction stands in for the one that they need. PostgreSQL would round
	// it to microseconds, at the end of a day into the next.
	moment := now.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	if _, err := tx.Exec(ctx, "SELECT set_config('talon.demo_now', $1, true)", moment); err != nil {
		return fmt.Errorf("set the time: %w", err)
	}
	if _, err := tx.Exec(ctx, loadSQL); err != nil {
		return fmt.Errorf("insert the data: %w", err)
	}
	return nil
}

// isLoaded tells whether the demo's institutions are there. It answers ErrForeign where there is anything else of what the service itself never
// writes; all other data belong to these.
func isLoaded(ctx context.Context, tx pgx.Tx) (bool, error) {
	var (
		what string
		guid uuid.UUID
	)
	err := tx.QueryRow(ctx, `
		SELECT what, guid
		FROM (
			SELECT 'institution', guid FROM lpu
			UNION ALL SELECT 'legal entity', guid FROM legal_entity
			UNION ALL SELECT 'client application', guid FROM client_application
			UNION ALL SELECT 'person', guid FROM mip_person
		) there (what, guid)
		WHERE guid::text NOT LIKE 'de300000-%' AND guid <> ALL($1)
		LIMIT 1`, documentedInstitutions).Scan(&what, &guid)
	if err == nil {
		return false, fmt.Errorf("%w: the %s %s, for one", ErrForeign, what, guid)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("look for other data: %w", err)
	}
	loaded, err := ask(ctx, tx, "SELECT EXISTS (SELECT FROM lpu)")
	if err != nil {
		return false, fmt.Errorf("look for institutions: %w", err)
	}
	return loaded, nil
}

// firstExampleIsFree asks what bookings can change; the rest is as it was loaded.
func firstExampleIsFree(ctx context.Context, tx pgx.Tx, now time.Time) (bool, error) {
	free, err := ask(ctx, tx, `
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
		return false, fmt.Errorf("look at the example: %w", err)
	}
	return free, nil
}

// ask is for questions of yes or no.
func ask(ctx context.Context, tx pgx.Tx, question string, args ...any) (yes bool, err error) {
	err = tx.QueryRow(ctx, question, args...).Scan(&yes)
	return yes, err
}
