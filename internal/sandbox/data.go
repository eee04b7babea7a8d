// Package sandbox runs the service with demo data, as make run does. It adds a scenario for every
// documented response, injected faults, and the portal. The demo data are a small region with
// fictional institutions, resources and patients, and a case for every documented rule. All dates
// are relative to the time of loading, so there are always free cells.
package sandbox

import (
	"bytes"
	"context"
	_ "embed" // for the SQL
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/internal/app"
	"talon.example/internal/registry"
)

var (
	// ErrForeign is returned if the database holds data that do not belong to the demo and
	// therefore must not be deleted.
	ErrForeign = errors.New("the database holds data that are not demo data")
	// ErrLoaded is returned by Load if the demo data are loaded already.
	ErrLoaded = errors.New("the demo data are loaded already")
)

const (
	loadTimeout  = 2 * time.Minute  // of a load at the start; a distributed database takes long
	resetTimeout = 20 * time.Second // less than the server's write timeout
	lockTimeout  = 10 * time.Second // of waiting for concurrent bookings
	loadLock     = 0x7461_6c6f_6e   // of loads and resets, which run one at a time
)

var (
	//go:embed demo/before.sql
	beforeSQL string
	//go:embed demo/after.sql
	afterSQL string
	//go:embed clear.sql
	clearSQL string
)

// Load brings the demo data, relative to now, into an empty database with the current schema. It
// returns ErrLoaded if they are loaded already, and ErrForeign if the database holds other data.
func Load(ctx context.Context, database string, now time.Time) error {
	err := exclusively(ctx, database, loadTimeout, func(ctx context.Context, conn *pgx.Conn) error {
		loaded, err := isLoaded(ctx, conn)
		switch {
		case err != nil:
			return err
		case loaded:
			return ErrLoaded
		default:
			return load(ctx, conn, now)
		}
	})
	if err != nil {
		return fmt.Errorf("load the demo data: %w", err)
	}
	return nil
}

// Reset deletes all data and loads the demo data relative to now. Until it returns, requests meet
// data that are not complete. It returns ErrForeign and changes nothing if the database has an
// institution, a legal entity, a client application or a person that neither is of the demo nor was
// brought in beside it through the registry.
func Reset(ctx context.Context, database string, now time.Time) error {
	err := exclusively(ctx, database, resetTimeout, func(ctx context.Context, conn *pgx.Conn) error {
		return load(ctx, conn, now)
	})
	if err != nil {
		return fmt.Errorf("reset the demo data: %w", err)
	}
	return nil
}

// Check returns ErrForeign where Reset does.
func Check(ctx context.Context, db querier) error {
	_, err := isLoaded(ctx, db)
	return err
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
// cell has begun, those of an earlier version, which had fewer patients or client applications, and
// those of a load that did not end. It keeps current data with all bookings. It returns ErrForeign
// if it would have to write to a database with other data.
func Ensure(ctx context.Context, database string, now time.Time) (State, error) {
	var state State
	err := exclusively(ctx, database, loadTimeout, func(ctx context.Context, conn *pgx.Conn) (err error) {
		if state.Action, err = ensure(ctx, conn, now); err != nil {
			return err
		}
		state.FirstExampleFree, err = firstExampleIsFree(ctx, conn, now)
		return err
	})
	if err != nil {
		return State{}, fmt.Errorf("ensure the demo data: %w", err)
	}
	return state, nil
}

func ensure(ctx context.Context, conn *pgx.Conn, now time.Time) (Action, error) {
	current, err := queryBool(ctx, conn, `
		SELECT EXISTS (SELECT 1 FROM slot WHERE lpu_guid = $1 AND id = $2 AND start_at >= $3)
			AND (SELECT count(DISTINCT person_guid) FROM mkab WHERE person_guid::text LIKE 'de300000-%') = $4
			AND EXISTS (SELECT 1 FROM client_application WHERE guid = $5 AND visit_direction <> 0)`,
		exampleTarget, FirstExampleSlotID, now, len(Patients), RegionClient)
	if err != nil {
		return "", fmt.Errorf("check the example's cell and the patients: %w", err)
	}
	if current {
		return Kept, nil
	}
	loaded, err := isLoaded(ctx, conn)
	if err != nil {
		return "", err
	}
	if !loaded {
		return Loaded, load(ctx, conn, now)
	}
	return Renewed, load(ctx, conn, now)
}

// settings are those of a load. A database that is not distributed ignores the last two: the
// functions of after.sql are for this session alone, and the shards of a table are written one
// after the other, because other tables refer to them.
const settings = `
	SET lock_timeout = %d;
	SET citus.enable_ddl_propagation = off;
	SET citus.multi_shard_modify_mode = 'sequential'`

// exclusively calls do with a connection while no other load or reset runs,
// for at most the timeout.
func exclusively(
	ctx context.Context, database string, timeout time.Duration, do func(context.Context, *pgx.Conn) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return withConnection(ctx, database, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", loadLock); err != nil {
			return fmt.Errorf("wait for another load: %w", err)
		}
		if _, err := conn.Exec(ctx, fmt.Sprintf(settings, lockTimeout.Milliseconds())); err != nil {
			return fmt.Errorf("set how to load: %w", err)
		}
		return do(ctx, conn)
	})
}

// load deletes the demo data and loads them. What the registry brings in is imported, like the file
// of an institution; the rest is inserted before and after it. Rights of booking come last, so that
// nobody books in data that are not complete.
func load(ctx context.Context, conn *pgx.Conn, now time.Time) error {
	region, err := regionMessages(now)
	if err != nil {
		return err
	}
	last, err := lastMessages(now)
	if err != nil {
		return err
	}
	clock := func() time.Time { return now }
	imports, closeAll, err := app.OpenImports(ctx, conn.Config().ConnString(), slog.New(slog.DiscardHandler), clock)
	if err != nil {
		return err //nolint:wrapcheck // it says what failed
	}
	defer closeAll()
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return clearAll(ctx, tx) }); err != nil {
		return fmt.Errorf("delete the old data: %w", err)
	}
	if err := importMessages(ctx, conn, imports, region); err != nil {
		return fmt.Errorf("import the region: %w", err)
	}
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return insertRest(ctx, tx, now) }); err != nil {
		return fmt.Errorf("insert what is not imported: %w", err)
	}
	if err := importMessages(ctx, conn, imports, last); err != nil {
		return fmt.Errorf("import what follows the visits: %w", err)
	}
	return nil
}

// clearAll deletes all data, and inserts what the messages need.
func clearAll(ctx context.Context, tx pgx.Tx) error {
	// No institution is inserted between the check for foreign data and the deletion.
	if _, err := tx.Exec(ctx, "LOCK TABLE lpu IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return fmt.Errorf("lock the institutions: %w", err)
	}
	if _, err := isLoaded(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, clearSQL+beforeSQL)
	return err //nolint:wrapcheck // load wraps it
}

// insertRest inserts what the registry does not bring in.
func insertRest(ctx context.Context, tx pgx.Tx, now time.Time) error {
	// A text of several statements cannot have parameters, so the time is passed in a setting of
	// the transaction. It is truncated here, because PostgreSQL would round it to microseconds, at
	// the end of a day up into the next.
	moment := now.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	if _, err := tx.Exec(ctx, "SELECT set_config('talon.demo_now', $1, true)", moment); err != nil {
		return fmt.Errorf("set the time: %w", err)
	}
	restore, err := copyTables(ctx, tx)
	if err != nil {
		return fmt.Errorf("copy the tables: %w", err)
	}
	_, err = tx.Exec(ctx, afterSQL+restore)
	return err //nolint:wrapcheck // load wraps it
}

// copied are the distributed tables that after.sql uses, those that are referred to first.
var copied = []string{
	"resource", "slot", "schedule_source", "schedule_window", "absence", "mkab", "direction", "appointment",
	"person_appointment", "speciality_claim", "hold", "idempotency_key", "mip_person", "import", "import_error",
}

// copyTables hides the copied tables behind temporary copies of the same names until the end of the
// transaction, because a distributed database cannot execute the joins of after.sql on more than
// one node. It returns the statements that write the rows back.
func copyTables(ctx context.Context, tx pgx.Tx) (restore string, err error) {
	const copies = `
		SELECT string_agg(format('CREATE TEMPORARY TABLE %1$I (LIKE public.%1$I INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED) ON COMMIT DROP;
			INSERT INTO pg_temp.%1$I (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM public.%1$I;', t.name, c.list), E'\n'),
			string_agg(format('INSERT INTO public.%1$I (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM pg_temp.%1$I ON CONFLICT (%3$s) DO %4$s;',
				t.name, c.list, c.key, coalesce('UPDATE SET ' || c.changed, 'NOTHING')), E'\n' ORDER BY t.place)
		FROM unnest($1::text[]) WITH ORDINALITY t (name, place)
		CROSS JOIN LATERAL (
			SELECT string_agg(quote_ident(a.attname), ', ') AS list, string_agg(quote_ident(a.attname), ', ') FILTER (WHERE k.key) AS key,
				string_agg(format('%1$I = excluded.%1$I', a.attname), ', ') FILTER (WHERE NOT k.key) AS changed
			FROM pg_attribute a
			JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
			CROSS JOIN LATERAL (SELECT a.attnum = ANY(i.indkey) AS key) k
			WHERE a.attrelid = ('public.' || t.name)::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		) c`
	var create string
	if err := tx.QueryRow(ctx, copies, copied).Scan(&create, &restore); err != nil {
		return "", err //nolint:wrapcheck // insertRest wraps it
	}
	_, err = tx.Exec(ctx, create)
	return restore, err //nolint:wrapcheck // insertRest wraps it
}

// importMessages imports messages, as talon import does. The import is no part of the data.
func importMessages(ctx context.Context, conn *pgx.Conn, imports *registry.Imports, lines []byte) error {
	accepted, err := imports.Upload(ctx, app.Administrator, registry.ImportOptions{OnError: registry.SkipBad},
		registry.Lines(bytes.NewReader(lines)))
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	result, err := imports.Finish(ctx, accepted.Guid, func(*registry.Import) {})
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	bad, err := imports.Errors(ctx, uuid.Nil, accepted.Guid, 0, 1)
	switch {
	case err != nil:
		return fmt.Errorf("read the errors: %w", err)
	case len(bad) > 0:
		return fmt.Errorf("%d lines are bad, the first is line %d: %s", result.Done.Failed, bad[0].Line, bad[0].Error)
	case result.State != registry.ImportCompleted:
		return fmt.Errorf("the import is %s: %s", result.State, result.Problem)
	}
	if _, err := conn.Exec(ctx, "DELETE FROM import WHERE guid = $1", accepted.Guid); err != nil {
		return fmt.Errorf("delete the import: %w", err)
	}
	return nil
}

// querier is a connection, a pool, or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// isLoaded reports whether the database has institutions of the demo. It returns ErrForeign if it
// has rows that are neither of the demo nor brought in beside it through the registry. All other
// rows belong to rows of these tables.
func isLoaded(ctx context.Context, db querier) (bool, error) {
	var (
		kind string
		guid uuid.UUID
	)
	err := db.QueryRow(ctx, `
		SELECT kind, guid
		FROM (
			SELECT 'institution'::text AS kind, guid FROM lpu
			UNION ALL SELECT 'legal entity' AS kind, guid FROM legal_entity
			UNION ALL SELECT 'client application' AS kind, guid FROM client_application
			UNION ALL SELECT 'person' AS kind, guid FROM mip_person
		) present
		WHERE guid::text NOT LIKE 'de300000-%' AND guid <> ALL($1)
			AND NOT (guid IN (SELECT guid FROM source_object) AND EXISTS (SELECT 1 FROM lpu WHERE guid = ANY($1)))
		LIMIT 1`, documentedInstitutions).Scan(&kind, &guid)
	if err == nil {
		return false, fmt.Errorf("%w, for example the %s %s", ErrForeign, kind, guid)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("search for foreign data: %w", err)
	}
	loaded, err := queryBool(ctx, db, "SELECT EXISTS (SELECT 1 FROM lpu)")
	if err != nil {
		return false, fmt.Errorf("search for institutions: %w", err)
	}
	return loaded, nil
}

// firstExampleIsFree reports whether FirstExample can be booked. It checks only what bookings and
// holds change.
func firstExampleIsFree(ctx context.Context, db querier, now time.Time) (bool, error) {
	free, err := queryBool(ctx, db, `
		SELECT EXISTS (SELECT 1 FROM direction WHERE lpu_guid = $1 AND guid = $2 AND appointment_guid IS NULL)
			AND 2 = (
				SELECT count(*)
				FROM slot chosen
				JOIN slot cell ON cell.lpu_guid = chosen.lpu_guid AND cell.resource_guid = chosen.resource_guid
					AND cell.start_at IN (chosen.start_at, chosen.end_at)
					AND cell.taken + coalesce(slot_held(cell.holds, $6, $5), 0) < cell.capacity
				WHERE chosen.lpu_guid = $3 AND chosen.id = $4
			)
			AND NOT EXISTS (SELECT 1 FROM speciality_claim WHERE person_guid = $5 AND speciality_code = '92' AND end_at > $6)`,
		exampleSource, exampleDirection, exampleTarget, FirstExampleSlotID, Patient, now)
	if err != nil {
		return false, fmt.Errorf("check the first example: %w", err)
	}
	return free, nil
}

// queryBool returns the single boolean that a query returns.
func queryBool(ctx context.Context, db querier, query string, args ...any) (result bool, err error) {
	err = db.QueryRow(ctx, query, args...).Scan(&result)
	return result, err
}
