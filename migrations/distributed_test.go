//go:build distributed

package migrations_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/distribution"
	"talon.example/internal/testdb"
	"talon.example/migrations"
)

// structure returns the columns, constraints and indexes. Citus neither keeps all comments, nor do
// the shards of a table on the coordinator have the same names each time.
func structure(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	return slices.DeleteFunc(schema(t, conn), func(line string) bool {
		return strings.HasPrefix(line, "comment ") || strings.HasPrefix(line, "type ")
	})
}

// Promise: a distributed database with rows is migrated like any other, back to an older version
// and to the newest again. The tables that a migration adds are declared afterwards, and no other.
func TestDistributedDatabaseIsMigrated(t *testing.T) {
	t.Parallel()
	url := testdb.New(t)
	testdb.SetOnWorkers(t, connect(t, url), "lock_timeout", "1s") // as a deployment must
	conn := connect(t, url)
	_, err := conn.Exec(t.Context(), `INSERT INTO legal_entity VALUES ('00000000-0000-4000-8000-000000000001', 'Лицо');
		INSERT INTO lpu SELECT guid, guid, '1', 'Поликлиника', 'Europe/Moscow' FROM legal_entity;
		INSERT INTO resource SELECT guid, guid, 'doctor', 'Врач', '92' FROM lpu`)
	require.NoError(t, err)
	latest, err := migrations.Latest()
	require.NoError(t, err)
	newest := structure(t, conn)

	const before = 42 // the version before the tables of retention, held cells and the audit
	for version := latest; version > before; {
		require.NoError(t, migrations.Down(t.Context(), url))
		version, err = migrations.Current(t.Context(), url)
		require.NoError(t, err)
	}
	require.NoError(t, migrations.Up(t.Context(), url))
	requireVersion(t, url, latest)
	require.Equal(t, newest, structure(t, conn))
	require.Equal(t, []string{"Врач"}, lines(t, conn, `SELECT name FROM resource`))

	problems, err := distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Len(t, problems, 1, "%v", problems)
	require.Contains(t, problems[0], "not declared: held_cells, audit_record, retention: ")
	var progress bytes.Buffer
	require.NoError(t, distribution.Distribute(t.Context(), conn, distribution.Options{Shards: 4, Progress: &progress}))
	require.NotContains(t, progress.String(), "resource (")
	problems, err = distribution.Check(t.Context(), conn)
	require.NoError(t, err)
	require.Empty(t, problems)
}
