package distribution_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/distribution"
	"talon.example/internal/testdb"
	"talon.example/migrations"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// stubs are what the declarations need of Citus, on a plain PostgreSQL. They record what is
// declared, and refuse what Citus would.
const stubs = `
	CREATE FUNCTION citus_version() RETURNS text LANGUAGE sql AS $$ SELECT 'stub' $$;
	CREATE TABLE pg_dist_partition (
		logicalrelid regclass PRIMARY KEY, partmethod text NOT NULL, partkey text, colocationid integer NOT NULL,
		repmodel text NOT NULL
	);
	CREATE TABLE pg_dist_node (
		nodeid integer, groupid integer, nodename text, nodeport integer, isactive boolean, shouldhaveshards boolean,
		noderole text
	);
	INSERT INTO pg_dist_node VALUES (1, 0, 'coordinator', 1, true, false, 'primary'), (2, 1, 'worker', 2, true, true, 'primary');
	CREATE TABLE pg_dist_object (classid oid, objid oid);
	CREATE FUNCTION create_distributed_function(name text) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO pg_dist_object VALUES ('pg_proc'::regclass, name::regprocedure) $$;
	CREATE TABLE pg_dist_colocation (colocationid integer, shardcount integer);
	CREATE TABLE pg_dist_local_group (groupid integer);
	INSERT INTO pg_dist_local_group VALUES (0);
	CREATE TABLE node_result (nodeid integer, success boolean, result jsonb);
	INSERT INTO node_result SELECT nodeid, true, '{
		"citus.recover_2pc_interval": "5000", "lock_timeout": "1000", "synchronous_commit": "on", "fsync": "on",
		"max_prepared_transactions": "100", "max_connections": "100"}' FROM pg_dist_node;
	UPDATE node_result SET result = result || '{"lock_timeout": "0"}' WHERE nodeid = 1;
	CREATE FUNCTION column_to_column_name(regclass, text) RETURNS text LANGUAGE sql AS $$ SELECT $2 $$;
	CREATE FUNCTION master_run_on_worker(names text[], ports integer[], commands text[], parallel boolean)
		RETURNS TABLE (success boolean, result text) LANGUAGE sql AS $$
		SELECT r.success, r.result::text FROM pg_dist_node n JOIN node_result r USING (nodeid),
			pg_sleep(CASE r.result WHEN '"silent"' THEN 60 ELSE 0 END)
		WHERE n.nodename = names[1] AND n.nodeport = ports[1] $$;
	CREATE SEQUENCE colocation;
	-- The version can be read after its local rows are truncated, as on a node.
	ALTER TABLE talon_schema_version RENAME TO versions;
	CREATE VIEW talon_schema_version AS TABLE versions;
	CREATE FUNCTION truncate_local_data_after_distributing_table(name regclass) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF EXISTS (SELECT FROM pg_constraint WHERE confrelid = name AND conrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition)) THEN
			RAISE EXCEPTION 'a local table refers to %', name;
		END IF;
		EXECUTE format('TRUNCATE %s CASCADE', name);
	END $$;
	CREATE FUNCTION create_reference_table(name text) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO pg_dist_partition VALUES (name::regclass, 'n', NULL, 0, 't') $$;
	CREATE FUNCTION citus_add_local_table_to_metadata(name text) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO pg_dist_partition VALUES (name::regclass, 'n', NULL, 0, 's') $$;
	CREATE FUNCTION create_distributed_table(name text, key text, colocate_with text, shard_count integer DEFAULT 0)
		RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('LOCK TABLE %I IN EXCLUSIVE MODE', name);
		IF current_setting('citus.enable_local_reference_table_foreign_keys') <> 'off' THEN
			RAISE EXCEPTION 'local tables that refer to reference tables cannot be distributed';
		END IF;
		IF colocate_with = 'none' THEN
			IF shard_count = 0 THEN RAISE EXCEPTION 'no number of shards'; END IF;
			INSERT INTO pg_dist_colocation VALUES (nextval('colocation'), shard_count);
			INSERT INTO pg_dist_partition VALUES (name::regclass, 'h', key, currval('colocation'), 's');
		ELSE
			INSERT INTO pg_dist_partition SELECT name::regclass, 'h', key, p.colocationid, 's'
			FROM pg_dist_partition p WHERE p.logicalrelid = colocate_with::regclass;
			IF NOT FOUND THEN RAISE EXCEPTION '% is not distributed', colocate_with; END IF;
		END IF;
	END $$`

// open returns a connection to a new database with the stubs, which is never distributed.
func open(t *testing.T) *pgx.Conn {
	t.Helper()
	address := testdb.Fresh(t)
	require.NoError(t, migrations.Up(t.Context(), address))
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	exec(t, conn, stubs)
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func lines(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

func distribute(t *testing.T, conn *pgx.Conn) error {
	t.Helper()
	return distribution.Distribute(t.Context(), conn, distribution.Options{Shards: 4, Progress: io.Discard})
}

// Promise: the declarations suit the schema. Each table is declared once, after those that it
// refers to. A table of a group refers to reference tables, and by its distribution column to
// tables of its group. The distribution column is part of every unique index.
func TestDeclarationsSuitTheSchema(t *testing.T) {
	t.Parallel()
	conn := open(t)
	require.NoError(t, distribute(t, conn))
	require.Empty(t, lines(t, conn, `
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
			AND c.relname NOT IN ('pg_dist_partition', 'pg_dist_node', 'pg_dist_local_group', 'pg_dist_object', 'pg_dist_colocation',
				'node_result', 'versions')
			AND c.oid NOT IN (SELECT logicalrelid FROM pg_dist_partition)`), "tables that are not declared")
	require.Empty(t, lines(t, conn, `
		SELECT f.conname FROM pg_constraint f
		JOIN pg_dist_partition mine ON mine.logicalrelid = f.conrelid
		JOIN pg_dist_partition other ON other.logicalrelid = f.confrelid
		WHERE f.contype = 'f' AND NOT (other.repmodel = 't' OR (
			mine.colocationid = other.colocationid AND mine.partmethod = 'h'
			AND mine.partkey = (SELECT attname FROM pg_attribute WHERE attrelid = f.conrelid AND attnum = f.conkey[1])
			AND other.partkey = (SELECT attname FROM pg_attribute WHERE attrelid = f.confrelid AND attnum = f.confkey[1])))`),
		"foreign keys to another node")
	require.Empty(t, lines(t, conn, `
		SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_dist_partition p ON p.logicalrelid = i.indrelid
		WHERE i.indisunique AND p.partmethod = 'h'
			AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) AND a.attname = p.partkey)`),
		"unique indexes without the distribution column")
	var order []string
	for _, table := range distribution.Tables() {
		for _, target := range lines(t, conn, fmt.Sprintf(
			`SELECT confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND conrelid = '%s'::regclass`, table.Name)) {
			require.Contains(t, order, target, "%s is declared before what it refers to", table.Name)
		}
		require.NotContains(t, order, table.Name)
		order = append(order, table.Name)
	}
}

// Promise: an interrupted distribution continues where it stopped. A complete one changes nothing.
func TestDistributeIsRepeatable(t *testing.T) {
	t.Parallel()
	conn := open(t)
	exec(t, conn, `ALTER TABLE hold RENAME TO gone`)
	require.ErrorContains(t, distribute(t, conn), "hold (")
	exec(t, conn, `ALTER TABLE gone RENAME TO hold`)
	require.NoError(t, distribute(t, conn))
	all := lines(t, conn, `SELECT logicalrelid::text FROM pg_dist_partition`)
	require.Len(t, all, len(distribution.Tables()))
	var progress strings.Builder
	require.NoError(t, distribution.Distribute(t.Context(), conn, distribution.Options{Shards: 4, Progress: &progress}))
	require.Equal(t, fmt.Sprintf("%d of %[1]d tables are declared, each group has 4 shards\n", len(all)),
		progress.String())
	require.Equal(t, all, lines(t, conn, `SELECT logicalrelid::text FROM pg_dist_partition`))
	problems, err := distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// Promise: a filled table leaves no rows on the coordinator, also if its distribution was
// interrupted after the declarations. The check names those that are left. A dry run prints the
// statements.
func TestLocalRowsAreTruncated(t *testing.T) {
	t.Parallel()
	conn := open(t)
	const fill = `
		INSERT INTO legal_entity VALUES ('00000000-0000-4000-8000-000000000001', 'Лицо');
		INSERT INTO lpu SELECT guid, guid, '1', 'Поликлиника', 'Europe/Moscow' FROM legal_entity;
		INSERT INTO resource SELECT guid, guid, 'doctor', 'Врач', '92' FROM lpu`
	exec(t, conn, fill)
	var plan strings.Builder
	options := distribution.Options{Shards: 4, DryRun: true, Progress: &plan}
	require.NoError(t, distribution.Distribute(t.Context(), conn, options))
	require.Contains(t, plan.String(), "SELECT truncate_local_data_after_distributing_table('resource');\n"+
		"SELECT truncate_local_data_after_distributing_table('lpu');\n"+
		"SELECT truncate_local_data_after_distributing_table('legal_entity');\n")
	central := lines(t, conn, `SELECT count(*)::text FROM event_recorder`)
	require.NoError(t, distribute(t, conn))
	require.Empty(t, lines(t, conn, `SELECT name FROM resource UNION SELECT name FROM lpu UNION SELECT name FROM legal_entity`))
	require.Equal(t, central, lines(t, conn, `SELECT count(*)::text FROM event_recorder`))

	exec(t, conn, fill)
	problems, err := distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0],
		"still has the rows that are on the nodes: legal_entity, lpu, resource: run talon distribute")
	require.NoError(t, distribute(t, conn))
	problems, err = distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// Promise: all groups have one number of shards, also if an interrupted distribution is continued
// without it. Another number is refused.
func TestShardsOfDeclaredGroups(t *testing.T) {
	t.Parallel()
	conn := open(t)
	exec(t, conn, `ALTER TABLE hold RENAME TO gone`)
	require.Error(t, distribute(t, conn))
	exec(t, conn, `ALTER TABLE gone RENAME TO hold`)
	other := distribution.Options{Shards: 8, Progress: io.Discard}
	err := distribution.Distribute(t.Context(), conn, other)
	require.ErrorIs(t, err, distribution.ErrNotReady)
	require.ErrorContains(t, err, "has 4 shards, not 8: run talon distribute without --shards")
	require.NoError(t, distribution.Distribute(t.Context(), conn, distribution.Options{Progress: io.Discard}))
	require.Equal(t, []string{"4"}, lines(t, conn, `SELECT DISTINCT shardcount::text FROM pg_dist_colocation`))
	require.ErrorContains(t, distribution.Distribute(t.Context(), conn, other), "has 4 shards, not 8")

	conn = open(t)
	require.NoError(t, distribution.Distribute(t.Context(), conn, distribution.Options{Progress: io.Discard}))
	require.Equal(t, []string{"32"}, lines(t, conn, `SELECT DISTINCT shardcount::text FROM pg_dist_colocation`))
}

// Promise: a table that another session has locked ends a distribution and a check soon, and the
// error names the session. They can be repeated then.
func TestLockedTable(t *testing.T) {
	t.Parallel()
	conn := open(t)
	other, err := pgx.ConnectConfig(t.Context(), conn.Config())
	require.NoError(t, err)
	holder := fmt.Sprintf("waited 3s for a lock of the process %d (", other.PgConn().PID())
	exec(t, other, `BEGIN; LOCK TABLE slot IN ROW EXCLUSIVE MODE`)
	var progress strings.Builder
	err = distribution.Distribute(t.Context(), conn, distribution.Options{Shards: 4, Progress: &progress})
	require.ErrorContains(t, err, "slot (")
	require.ErrorContains(t, err, holder)
	require.Regexp(t, `(?m)^resource \(\d+ of \d+\), \d+ (bytes|kB): \d+\.\d s$`, progress.String())
	exec(t, other, `LOCK TABLE slot`)
	require.ErrorContains(t, distribute(t, conn), holder)
	_, err = distribution.Check(t.Context(), conn)
	require.ErrorContains(t, err, holder)
	require.NoError(t, other.Close(t.Context()))
	require.NoError(t, distribute(t, conn))
}

// Promise: two distributions never run at once, and no service starts meanwhile.
func TestOneDistribution(t *testing.T) {
	t.Parallel()
	conn := open(t)
	service, err := pgx.ConnectConfig(t.Context(), conn.Config())
	require.NoError(t, err)
	defer service.Close(t.Context())
	exec(t, service, `SET plan_cache_mode = auto`)
	inside := writer(func(line []byte) (int, error) { // called while it runs
		require.ErrorContains(t, distribution.CheckService(t.Context(), service, false), "talon distribute is running")
		require.ErrorContains(t, distribute(t, service),
			fmt.Sprintf("another talon distribute is running in the process %d", conn.PgConn().PID()))
		return len(line), nil
	})
	require.NoError(t, distribution.Distribute(t.Context(), conn, distribution.Options{Progress: inside}))
	require.NoError(t, distribution.CheckService(t.Context(), service, false))
	require.NoError(t, distribution.Distribute(t.Context(), service, distribution.Options{Progress: io.Discard}))
}

// writer is a function that is called for each Write.
type writer func([]byte) (int, error)

func (w writer) Write(line []byte) (int, error) { return w(line) }

// Promise: a dry run prints every statement, for psql, and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	conn := open(t)
	var progress strings.Builder
	options := distribution.Options{Shards: 8, DryRun: true, Progress: &progress}
	require.NoError(t, distribution.Distribute(t.Context(), conn, options))
	require.Contains(t, progress.String(),
		"SELECT create_distributed_table('resource', 'lpu_guid', colocate_with => 'none', shard_count => 8);\n"+
			"SELECT create_distributed_table('slot', 'lpu_guid', colocate_with => 'resource');\n")
	require.Contains(t, progress.String(), "SELECT create_distributed_function('slot_holds(slot_hold[],timestamp with time zone)');\n")
	require.Empty(t, lines(t, conn, `SELECT logicalrelid::text FROM pg_dist_partition`))
	exec(t, conn, progress.String())
	require.Len(t, lines(t, conn, `SELECT logicalrelid::text FROM pg_dist_partition`), len(distribution.Tables()))
}

// Promise: a database that is not ready is left alone. The error names everything that is wrong.
func TestNotReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, change string
		wants        []string
	}{
		{"without Citus", `DROP FUNCTION citus_version`, []string{"extension citus"}},
		{"an old schema", `DELETE FROM talon_schema_version WHERE version_id = (SELECT max(version_id) FROM talon_schema_version)`,
			[]string{"run talon migrate"}},
		{"on a worker", `UPDATE pg_dist_local_group SET groupid = 1`, []string{"leads to a worker"}},
		{"alone", `DELETE FROM pg_dist_node`, []string{"citus_set_coordinator_host", "citus_add_node"}},
		{"declared otherwise", `SELECT create_reference_table('slot')`, []string{"slot is declared as reference, not as lpu_guid"}},
		{"apart", `INSERT INTO pg_dist_partition VALUES ('resource'::regclass, 'h', 'lpu_guid', 1, 's'), ('slot'::regclass, 'h', 'lpu_guid', 2, 's')`,
			[]string{"slot is not together"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := open(t)
			exec(t, conn, c.change)
			before := lines(t, conn, `SELECT logicalrelid::text FROM pg_dist_partition`)
			err := distribute(t, conn)
			require.ErrorIs(t, err, distribution.ErrNotReady)
			for _, want := range c.wants {
				require.ErrorContains(t, err, want)
			}
			require.Equal(t, before, lines(t, conn, `SELECT logicalrelid::text FROM pg_dist_partition`))
		})
	}
	t.Run("while a service runs", func(t *testing.T) {
		t.Parallel()
		conn := open(t)
		config := conn.Config()
		config.RuntimeParams["application_name"] = "talon"
		service, err := pgx.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		require.ErrorContains(t, distribute(t, conn), "stop them first")
		require.NoError(t, service.Close(t.Context()))
	})
}

// Promise: what prevents a distribution is a problem of a distributed database, too: an old schema,
// a worker as its address, and nodes that nobody knows.
func TestCheckOfBasics(t *testing.T) {
	t.Parallel()
	conn := open(t)
	require.NoError(t, distribute(t, conn))
	exec(t, conn, `DELETE FROM talon_schema_version WHERE version_id = (SELECT max(version_id) FROM talon_schema_version)`)
	exec(t, conn, `UPDATE pg_dist_local_group SET groupid = 1`)
	exec(t, conn, `DELETE FROM pg_dist_node`)
	problems, err := distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	for _, want := range []string{"run talon migrate", "leads to a worker", "run on it SELECT citus_set_coordinator_host", "citus_add_node"} {
		require.True(t, slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, want) }), want)
	}
	require.Len(t, problems, 4)
}

// Promise: the check names what is missing, and each setting of a node that would break a guarantee
// or hold locks for long.
func TestCheck(t *testing.T) {
	t.Parallel()
	conn := open(t)
	problems, err := distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "not declared: legal_entity, lpu")
	require.NoError(t, distribute(t, conn))
	exec(t, conn, `SET plan_cache_mode = force_generic_plan`)
	problems, err = distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "plan_cache_mode is force_generic_plan")
	exec(t, conn, `DROP FUNCTION citus_version`)
	problems, err = distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Equal(t, []string{"the database is not distributed: it has no extension citus"}, problems)
}

// Promise: the check names each setting of a node that is out of its bounds, or weaker than on the
// coordinator, whose own locks and commits the service's sessions set.
func TestCheckOfSettings(t *testing.T) {
	t.Parallel()
	conn := open(t)
	require.NoError(t, distribute(t, conn))
	for _, c := range []struct {
		node            int
		settings, wants string // wants is empty if they are right
	}{
		{1, `{"citus.recover_2pc_interval": "-1"}`, "coordinator:1: citus.recover_2pc_interval is -1 ms"},
		{1, `{"citus.recover_2pc_interval": "10001"}`, "coordinator:1: citus.recover_2pc_interval is 10001 ms"},
		{1, `{"citus.recover_2pc_interval": "10000"}`, ""},
		{2, `{"lock_timeout": "0"}`, "worker:2: lock_timeout is 0 ms"},
		{2, `{"lock_timeout": "5001"}`, "worker:2: lock_timeout is 5001 ms"},
		{2, `{"max_prepared_transactions": "99"}`, "worker:2: max_prepared_transactions is 99"},
		{2, `{"synchronous_commit": "local"}`, "worker:2: synchronous_commit is local, and on at the coordinator"},
		{2, `{"synchronous_commit": "remote_apply"}`, ""},
		{1, `{"synchronous_commit": "off"}`, ""},
		{2, `{"fsync": "off"}`, "worker:2: fsync is off"},
		{1, `{"fsync": "off"}`, ""},
	} {
		exec(t, conn, `SET synchronous_commit = on; CREATE TABLE right_result AS TABLE node_result`)
		exec(t, conn, fmt.Sprintf(`UPDATE node_result SET result = result || '%s' WHERE nodeid = %d`, c.settings, c.node))
		problems, err := distribution.Check(t.Context(), conn)
		require.NoError(t, err)
		if c.wants == "" {
			require.Empty(t, problems, c.settings)
		} else {
			require.Len(t, problems, 1, c.settings)
			require.Contains(t, problems[0], c.wants)
		}
		exec(t, conn, `TRUNCATE node_result; INSERT INTO node_result TABLE right_result; DROP TABLE right_result`)
	}
}

// Promise: a node that is away, or silent, is named, and neither the check nor a distribution waits
// longer for it than the timeout. The others are checked.
func TestNodesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	conn := open(t)
	exec(t, conn, `INSERT INTO pg_dist_node VALUES (3, 2, 'other', 3, true, true, 'primary')`)
	exec(t, conn, `INSERT INTO node_result VALUES (3, false, '"no route"')`)
	exec(t, conn, `UPDATE node_result SET result = '"silent"' WHERE nodeid = 2`)
	exec(t, conn, `UPDATE node_result SET result = result || '{"max_prepared_transactions": "0"}' WHERE nodeid = 1`)
	problems, err := distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	for _, want := range []string{
		"worker:2 does not answer: it is silent for 5s", `other:3 does not answer: "no route"`,
		"coordinator:1: max_prepared_transactions is 0",
	} {
		require.True(t, slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, want) }), want)
	}
	err = distribute(t, conn)
	require.ErrorIs(t, err, distribution.ErrNotReady)
	require.ErrorContains(t, err, "worker:2 does not answer")
}

// Promise: a service does not start on a distributed database with generic plans, on a worker, or
// with a standby. A plain database has generic plans and standbys.
func TestService(t *testing.T) {
	t.Parallel()
	conn := open(t)
	exec(t, conn, `SET plan_cache_mode = force_generic_plan`)
	require.ErrorContains(t, distribution.CheckService(t.Context(), conn, false), "append plan_cache_mode=auto")
	for _, mode := range []string{"AUTO", "force_custom_plan"} {
		exec(t, conn, `SET plan_cache_mode = `+mode)
		require.NoError(t, distribution.CheckService(t.Context(), conn, false))
	}
	require.ErrorContains(t, distribution.CheckService(t.Context(), conn, true), "leave TALON_READ_DATABASE_URL empty")
	exec(t, conn, `UPDATE pg_dist_local_group SET groupid = 1`)
	require.ErrorContains(t, distribution.CheckService(t.Context(), conn, false),
		"leads to a worker: give the address of the coordinator")
	exec(t, conn, `DROP FUNCTION citus_version`)
	exec(t, conn, `SET plan_cache_mode = force_generic_plan`)
	require.NoError(t, distribution.CheckService(t.Context(), conn, true))
}
