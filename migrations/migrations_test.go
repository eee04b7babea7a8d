package migrations_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
	"talon.example/migrations"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// lines returns the rows of a query whose only column is a text.
func lines(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

// reference contains the small tables that every query may join. The tables of the master patient
// index are among them, because the index represents a separate system.
var reference = []string{
	"legal_entity", "lpu", "setting", "client_application", "busy_type", "mip_person", "mip_person_data",
	"event_recorder", "webhook", "webhook_deliverer",
}

// schema returns a description of every object that migrations create, one per line, sorted. It
// omits the table of versions.
func schema(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return lines(t, conn, `
		WITH made AS (
			SELECT oid, relname, relkind, reloptions FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'talon_schema_version%'
		)
		SELECT format('%s %s %s', relkind, relname, reloptions) FROM made
		UNION ALL
		SELECT format('column %s.%s %s %s not null %s identity %s default %s', relname, attname, attnum, format_type(atttypid, atttypmod), attnotnull,
			attidentity, pg_get_expr(adbin, adrelid))
		FROM made JOIN pg_attribute ON attrelid = made.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
		UNION ALL
		SELECT format('constraint %s.%s %s', relname, conname, pg_get_constraintdef(c.oid)) FROM made JOIN pg_constraint c ON conrelid = made.oid
		UNION ALL
		SELECT pg_get_indexdef(made.oid) FROM made WHERE relkind = 'i'
		UNION ALL
		SELECT format('trigger %s.%s', relname, pg_get_triggerdef(t.oid)) FROM made JOIN pg_trigger t ON tgrelid = made.oid WHERE NOT tgisinternal
		UNION ALL
		SELECT format('comment %s.%s %s', relname, objsubid, description) FROM made JOIN pg_description ON objoid = made.oid AND classoid = 'pg_class'::regclass
		UNION ALL
		SELECT format('type %s %s %s', typname, typtype, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
		FROM pg_type t WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%talon_schema_version'
		UNION ALL
		SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL
		SELECT format('extension %s', extname) FROM pg_extension WHERE extname <> 'plpgsql'
		ORDER BY 1`)
}

// Promise: the migrations create the schema in an empty database, can be reverted completely, and
// then create exactly the same schema again.
func TestUpDownUp(t *testing.T) {
	t.Parallel()
	url := testdb.Fresh(t)
	conn := connect(t, url)
	empty := schema(t, conn)
	require.Empty(t, empty)
	latest, err := migrations.Latest()
	require.NoError(t, err)
	require.Positive(t, latest)
	requireVersion(t, url, 0)

	require.NoError(t, migrations.Up(t.Context(), url))
	requireVersion(t, url, latest)
	first := schema(t, conn)
	require.Greater(t, len(first), 100)
	require.NoError(t, migrations.Up(t.Context(), url), "a second Up changes nothing")
	require.Equal(t, first, schema(t, conn))

	for version := latest; version > 0; {
		require.NoError(t, migrations.Down(t.Context(), url))
		version, err = migrations.Current(t.Context(), url)
		require.NoError(t, err)
	}
	require.Equal(t, empty, schema(t, conn))
	require.Error(t, migrations.Down(t.Context(), url), "Down without an applied migration fails")

	require.NoError(t, migrations.Up(t.Context(), url))
	requireVersion(t, url, latest)
	require.Equal(t, first, schema(t, conn))
}

func requireVersion(t *testing.T, url string, want int64) {
	t.Helper()
	current, err := migrations.Current(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, want, current)
}

// Promise: a migration is never edited. Otherwise a database that has applied it would differ from
// a new one, and no error would show the difference.
func TestMigrationsAreFrozen(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations.FS, "*.sql")
	require.NoError(t, err)
	var sums strings.Builder
	for _, file := range files {
		content, err := fs.ReadFile(migrations.FS, file)
		require.NoError(t, err)
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), file)
	}
	frozen, err := os.ReadFile("testdata/frozen.sha256")
	require.NoError(t, err)
	require.Equal(t, string(frozen), sums.String(), "do not edit a migration, write a new one; "+
		"add the checksum of a new migration to testdata/frozen.sha256 (sha256sum *.sql)")
}

// Promise: Up rejects a database created by a build before the first release with
// ErrBeforeBaseline, and does not change it.
func TestBeforeTheBaseline(t *testing.T) {
	t.Parallel()
	url := testdb.Fresh(t)
	conn := connect(t, url)
	_, err := conn.Exec(t.Context(), `CREATE TABLE talon_schema_version (id integer, version_id bigint, is_applied boolean); CREATE TABLE lpu (guid uuid);
		INSERT INTO talon_schema_version VALUES (1, 0, true), (2, 15, true)`)
	require.NoError(t, err)
	before := schema(t, conn)
	require.ErrorIs(t, migrations.Up(t.Context(), url), migrations.ErrBeforeBaseline)
	require.Equal(t, before, schema(t, conn))
	requireVersion(t, url, 15)
}

// Promise: a migration that does not get a lock within a second stops waiting, so that the requests
// queued behind it proceed. It retries until it gets the lock.
func TestUpGivesWay(t *testing.T) {
	t.Parallel()
	url := testdb.Fresh(t)
	require.NoError(t, migrations.Up(t.Context(), url))
	const referrals = 23 // the next migration creates the table of visits, which refers to the referrals
	for version := int64(referrals + 1); version > referrals; {
		require.NoError(t, migrations.Down(t.Context(), url))
		var err error
		version, err = migrations.Current(t.Context(), url)
		require.NoError(t, err)
	}
	holder, watcher := connect(t, url), connect(t, url)
	tx, err := holder.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE direction IN ROW EXCLUSIVE MODE`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- migrations.Up(t.Context(), url) }()
	waiting := func() (n int) {
		require.NoError(t, watcher.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return waiting() > 0 }, 20*time.Second, 5*time.Millisecond,
		"the migration does not wait for the lock")
	require.Eventually(t, func() bool { return waiting() == 0 }, 20*time.Second, 5*time.Millisecond,
		"the migration does not stop waiting")
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-done)
}

// migrated returns the URL of a database with the newest schema that is not distributed.
func migrated(t *testing.T) string {
	t.Helper()
	url := testdb.Fresh(t)
	require.NoError(t, migrations.Up(t.Context(), url))
	return url
}

// Promise: every table has a comment.
func TestTablesAreCommented(t *testing.T) {
	t.Parallel()
	conn := connect(t, migrated(t))
	require.Empty(t, lines(t, conn, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
		AND relname <> 'talon_schema_version' AND coalesce(obj_description(oid, 'pg_class'), '') = ''`))
	require.Greater(t, len(tables(t, conn)), len(reference))
}

// tables returns the names of the tables that are not in reference, without the table of versions.
// It fails the test if a table in reference does not exist.
func tables(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	found := lines(t, conn, `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'talon_schema_version'`)
	for _, table := range reference {
		require.Contains(t, found, table)
	}
	return slices.DeleteFunc(found, func(table string) bool { return slices.Contains(reference, table) })
}

// Promise: the schema can be distributed. The distribution column of each table is the first column
// of its primary key: lpu_guid for the rows of an institution, person_guid for the rows of a
// person, owner_guid for the writes of sources, subject for failed identifications, client_guid for
// used assertions, value for the keys that find cards, and the guid of the import for imports.
// Every unique index begins with the distribution column. A foreign key between two distributed
// tables compares their distribution columns. Only the key of event_outbox begins with the order in
// which it is read, and contains lpu_guid.
func TestMadeToBeDistributed(t *testing.T) {
	t.Parallel()
	conn := connect(t, testdb.New(t))
	first := func(sql string, table string) []string { return lines(t, conn, sql, table) }
	for _, table := range tables(t, conn) {
		primary := first(`SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
			WHERE indrelid = $1::text::regclass AND indisprimary`, table)
		require.Len(t, primary, 1, "%s has no primary key", table)
		key := primary[0]
		if table == "event_outbox" {
			require.Equal(t, []string{"PRIMARY KEY (number, lpu_guid)"},
				first(`SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'p'`, table))
			continue
		}
		keys := []string{
			"lpu_guid", "person_guid", "owner_guid", "subject", "client_guid", "value", "guid", "import_guid",
			"webhook_guid",
		}
		require.Contains(t, keys, key, table)
		for _, leads := range first(`SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
			WHERE indrelid = $1::text::regclass AND indisunique`, table) {
			require.Equal(t, key, leads, "the first column of a unique index of %s", table)
		}
		for _, reaches := range first(`SELECT format('%s %s.%s', mine.attname, confrelid::regclass, theirs.attname) FROM pg_constraint
			JOIN pg_attribute mine ON mine.attrelid = conrelid AND mine.attnum = conkey[1]
			JOIN pg_attribute theirs ON theirs.attrelid = confrelid AND theirs.attnum = confkey[1]
			WHERE conrelid = $1::text::regclass AND contype = 'f'`, table) {
			target, _, _ := strings.Cut(strings.Fields(reaches)[1], ".")
			if !slices.Contains(reference, target) {
				require.Equal(t, key+" "+target+"."+key, reaches, "a foreign key of %s", table)
			}
		}
	}
	for _, table := range reference {
		for _, reaches := range first(`SELECT confrelid::regclass::text FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'f'`, table) {
			require.Contains(t, reference, reaches, table)
		}
	}
}

// Promise: the schema rejects data that the domain forbids, with a named constraint.
func TestConstraints(t *testing.T) {
	t.Parallel()
	conn := connect(t, testdb.New(t))
	lpu, other, mkab, direction := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	resource, slot, visit := uuid.New(), uuid.New(), uuid.New()
	exec := func(sql string, args ...any) error {
		_, err := conn.Exec(t.Context(), sql, args...)
		return err
	}
	for _, row := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO legal_entity VALUES ($1, '')`, []any{lpu}},
		{`INSERT INTO lpu VALUES ($1, $1, '1', '', 'UTC'), ($2, $1, '2', '', 'UTC')`, []any{lpu, other}},
		{`INSERT INTO busy_type VALUES (1, '', true)`, nil},
		{`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at) VALUES ($1, $2, $2, '', '', '2000-01-01', 'male', now())`, []any{lpu, mkab}},
		{`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
			VALUES ($1, $2, 'Consult', '', '2000-01-01', '2000-01-01', now(), $3, $1)`, []any{lpu, direction, mkab}},
		{`INSERT INTO resource VALUES ($1, $2, 'doctor', '', '')`, []any{lpu, resource}},
		{`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type, capacity)
			VALUES ($1, $2, 1, $3, '2000-01-01 10:00Z', '2000-01-01 10:15Z', 1, 1, 2)`, []any{lpu, slot, resource}},
		{`INSERT INTO appointment VALUES ($1, $2, $3, $1, $4, $4, $5, $5, '2000-01-01 10:00Z', '2000-01-01 10:15Z', false, false, '', now(), NULL, now(), NULL, NULL, ARRAY[$6::uuid])`,
			[]any{lpu, visit, direction, mkab, resource, slot}},
		{`INSERT INTO speciality_claim VALUES ($1, '92', $2, $3, '', now(), now())`, []any{mkab, visit, lpu}},
		{`INSERT INTO mkab_policy VALUES ($1, $2, '', '1')`, []any{lpu, mkab}},
		{`INSERT INTO client_application VALUES ($1, '')`, []any{mkab}},
	} {
		require.NoError(t, exec(row.sql, row.args...), row.sql)
	}
	const anotherVisit = `INSERT INTO appointment SELECT lpu_guid, gen_random_uuid(), direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid,
		client_guid, start_at, end_at, out_of_schedule, is_cito, comment, created_at, `
	for _, attempt := range []struct{ sql, constraint string }{
		{`UPDATE slot SET taken = 2`, ""},
		{`UPDATE slot SET taken = 3`, "slot_capacity"},
		{`UPDATE slot SET capacity = 1`, "slot_capacity"},
		{`UPDATE slot SET taken = -1`, "slot_capacity"},
		{`UPDATE slot SET end_at = start_at`, "slot_period"},
		{`UPDATE slot SET id = 0`, "slot_id_check"},
		{`UPDATE slot SET flag_access = -1`, "slot_flag_access_check"},
		{`INSERT INTO slot SELECT lpu_guid, gen_random_uuid(), id, resource_guid, start_at, end_at, capacity, 0, flag_access, busy_type FROM slot`, "slot_id"},
		{`UPDATE slot SET busy_type = 2`, "slot_busy_type_fkey"},
		{`UPDATE slot SET resource_guid = guid`, "slot_resource"},
		{`DELETE FROM direction`, "appointment_direction"},

		{`INSERT INTO mkab SELECT lpu_guid, gen_random_uuid(), person_guid, '', '', '', birth_date, sex, '', false, false, created_at, now() FROM mkab`, ""},
		{`INSERT INTO mkab SELECT lpu_guid, gen_random_uuid(), person_guid, '', '', '', birth_date, sex, '', false, false, created_at FROM mkab LIMIT 1`, "mkab_one_open"},
		{`UPDATE mkab SET closed_at = NULL`, "mkab_one_open"},
		{`UPDATE mkab_policy SET number = ''`, "mkab_policy_number_check"},

		{anotherVisit + `now(), now(), NULL, NULL, slot_guids FROM appointment`, ""}, // a cancelled visit
		{anotherVisit + `NULL, now(), NULL, NULL, slot_guids FROM appointment LIMIT 1`, "appointment_one_in_force"},
		{`UPDATE appointment SET cancelled_at = NULL`, "appointment_one_in_force"},
		{`UPDATE appointment SET end_at = '2000-01-01Z'`, "appointment_period"},
		{`UPDATE appointment SET end_at = start_at`, ""}, // a visit out of schedule has no length
		{`UPDATE appointment SET slot_guids = '{}'`, "appointment_slots"},
		{`UPDATE appointment SET resource_guid = guid`, "appointment_resource"},
		{`UPDATE appointment SET attendance = 'arrived', attendance_at = now(), attendance_since = now() WHERE cancelled_at IS NOT NULL`, "appointment_attendance"},
		{`UPDATE appointment SET attendance = 'arrived'`, "appointment_attendance"},
		{`UPDATE appointment SET attendance = 'came', attendance_at = now(), attendance_since = now() WHERE cancelled_at IS NULL`, "appointment_attendance"},
		{`UPDATE appointment SET attendance = 'no_show', attendance_at = now(), attendance_since = now() WHERE cancelled_at IS NULL`, ""},
		{anotherVisit + `NULL, now(), NULL, NULL, slot_guids FROM appointment LIMIT 1`, ""}, // after a no-show
		{`UPDATE appointment SET attendance = 'none', attendance_at = NULL, attendance_since = NULL`, "appointment_one_in_force"},
		{`UPDATE appointment SET receipt_status = 'accepted'`, "appointment_receipt"},
		{`UPDATE appointment SET receipt_status = 'unknown', receipt_version = 1, receipt_at = now()`, "appointment_receipt"},
		{`UPDATE appointment SET receipt_status = 'rejected', receipt_version = 1, receipt_at = now()`, ""},
		{`UPDATE appointment SET booked_by = 'doctor'`, "appointment_booked_by"},
		{`UPDATE appointment SET booked_by = 'institution', moved_at = now(), moved_by = 'patient'`, ""},
		{`UPDATE appointment SET moved_at = NULL`, "appointment_move"},
		{`UPDATE appointment SET move_reason = 'x'`, "appointment_move"},
		{`UPDATE appointment SET moved_by = 'institution'`, "appointment_move"},
		{`UPDATE appointment SET moved_by = 'institution', move_cause = 'tired'`, "appointment_move"},
		{`UPDATE appointment SET moved_by = 'institution', move_cause = 'other'`, "appointment_move"},
		{`UPDATE appointment SET moved_by = 'institution', move_cause = 'other', move_reason = 'x'`, ""},
		{`INSERT INTO direction SELECT lpu_guid, gen_random_uuid(), id, NULL, type, '', '', date, date, created_at, NULL, mkab_guid, '', '', false, 0, '', '', '', '',
			lpu_from_guid FROM direction`, "direction_id"},
		{`UPDATE direction SET mkab_guid = guid`, "direction_mkab"},
		{`INSERT INTO speciality_claim SELECT person_guid, speciality_code, gen_random_uuid(), lpu_guid, '', now(), now() FROM speciality_claim`, "speciality_claim_pkey"},

		{`UPDATE client_application SET visit_direction = -1`, "client_application_visit_direction_check"},
		{`UPDATE client_application SET visit_direction_other_lpu = -1`, "client_application_visit_direction_other_lpu_check"},
		{`UPDATE client_application SET secret_hash = sha256('')`, ""},
		{`UPDATE client_application SET secret_hash = 'secret'`, "client_application_secret"},
		{`UPDATE client_application SET scopes = '{visit:read,admin}', every_lpu = true`, ""},
		{`UPDATE client_application SET scopes = '{root}'`, "client_application_scopes"},
		{`UPDATE client_application SET scopes = array_fill('admin'::text, '{9}')`, "client_application_scopes"},
		{`UPDATE client_application SET scopes = '{NULL}'`, "client_application_scopes"},
		{`UPDATE client_application SET every_lpu = false`, "client_application_scope_of"},
		{`UPDATE client_application SET lpu_guids = ARRAY[guid]`, "client_application_lpus"},
		{`UPDATE client_application SET every_lpu = false, lpu_guids = ARRAY[guid]`, ""},
		{`UPDATE client_application SET lpu_guids = lpu_guids || NULL::uuid`, "client_application_lpus"},
		{`UPDATE client_application SET lpu_guids = array_fill(guid, '{101}')`, "client_application_lpus"},
		{`UPDATE client_application SET previous_secret_hash = sha256(''), previous_secret_until = now()`, ""},
		{`UPDATE client_application SET previous_secret_until = NULL`, "client_application_previous_secret"},
		{`UPDATE client_application SET previous_secret_hash = 'secret'`, "client_application_previous_secret"},
		{`UPDATE client_application SET public_keys = '{"keys": []}'`, ""},
		{`UPDATE client_application SET public_keys = '{}'`, "client_application_public_keys"},
		{`UPDATE client_application SET public_keys = jsonb_build_object('keys', '[]'::jsonb, 'x', repeat('x', 65536))`, "client_application_public_keys"},
		{`INSERT INTO client_assertion VALUES (gen_random_uuid(), sha256(''), now()), (gen_random_uuid(), sha256(''), now())`, ""},
		{`INSERT INTO client_assertion SELECT client_guid, jti_hash, now() FROM client_assertion`, "client_assertion_pkey"},
		{`UPDATE client_assertion SET jti_hash = 'jti'`, "client_assertion_jti"},
		{`INSERT INTO failed_identification VALUES (sha256(''), 1, now()), (uuid_send(gen_random_uuid()), 1, now())`, ""},
		{`INSERT INTO failed_identification VALUES (sha256(''), 1, now())`, "failed_identification_pkey"},
		{`INSERT INTO failed_identification VALUES ('00000000001', 1, now())`, "failed_identification_subject"},
		{`UPDATE failed_identification SET failures = 0`, "failed_identification_failures_check"},
		{`UPDATE lpu SET code = '1'`, "lpu_code_key"},
		{`UPDATE lpu SET time_zone = 'Europe/Kaliningrad'`, ""},
		{`UPDATE direction SET flags = -1`, "direction_flags_check"},
		{`UPDATE direction SET comment = repeat('ж', 4000)`, ""},
		{`UPDATE direction SET comment = repeat('ж', 4001)`, "22001"}, // too long
		{`INSERT INTO setting SELECT guid, 'PolyclinicCode', 'что угодно' FROM lpu`, ""},
		{`INSERT INTO setting SELECT guid, 'PolyclinicCode', '' FROM lpu`, "setting_pkey"},
		{`INSERT INTO setting SELECT guid, '2dr_RecordWithoutMKAB', 'true' FROM lpu`, "setting_value"},
		{`INSERT INTO setting SELECT guid, 'scheduleDays', '14', true FROM client_application`, ""},
		{`DELETE FROM lpu WHERE code = '2'`, "setting_lpu"},
		{`DELETE FROM client_application`, "setting_client"},
	} {
		err := exec(attempt.sql)
		if attempt.constraint == "" {
			require.NoError(t, err, attempt.sql)
			continue
		}
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr, attempt.sql)
		// A distributed database has the name only in the message, with the number of a shard.
		require.Contains(t, err.Error(), attempt.constraint, attempt.sql)
	}
}

// Promise: PostgreSQL inlines the functions with the conditions of a cell, and the status of a
// visit, into the queries that use them.
func TestConditionsOfACellAreInlined(t *testing.T) {
	t.Parallel()
	conn := connect(t, migrated(t))
	_, err := conn.Exec(t.Context(), `SET plan_cache_mode = force_generic_plan`) // as in the service
	require.NoError(t, err)
	for function, condition := range map[string]string{
		"slot_open_to": `slot_open_to(s.busy_type, s.blocked, s.flag_access, s.restriction, '{1}', 4,
			CAST($1::text[] AS slot_restriction[]))`,
		"appointment_status": `appointment_status(s.start_at, s.end_at, 'none', now()) = 'Booked'`,
		"slot_taken":         `slot_taken(s.guid, s.taken, s.holds, now(), $1::uuid, NULL) < s.capacity`,
		"slot_bookable": `slot_bookable(s.guid, s.taken, s.capacity, s.holds, s.busy_type, s.blocked, s.flag_access,
			s.restriction, '{1}', 4, (SELECT CAST('{none}'::text[] AS slot_restriction[])), now(), $1::uuid, NULL)`,
	} {
		_, err := conn.Exec(t.Context(), `PREPARE of_`+function+` AS SELECT guid FROM slot s WHERE `+condition)
		require.NoError(t, err, function)
		plan := strings.Join(lines(t, conn, `EXPLAIN (VERBOSE) EXECUTE of_`+function+`(NULL)`), "\n")
		require.Contains(t, plan, "Seq Scan on public.slot", function)
		require.NotContains(t, plan, function+"(", "%s is called for each row", function)
	}
}
