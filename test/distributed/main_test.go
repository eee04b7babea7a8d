//go:build distributed

// Package distributed_test has the promises that only a distributed PostgreSQL (Citus) can break.
// It needs TALON_CITUS_URL.
package distributed_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

func TestMain(m *testing.M) {
	if !testdb.Distributed() {
		fmt.Fprintln(os.Stderr, testdb.CitusVariable+" is not set")
		os.Exit(1)
	}
	testdb.Main(m)
}

// connect opens a connection to a database until the test ends.
func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// place is where a row is: the shards of the tables of a group that are always on one node.
type place struct {
	group int    // its number in Citus
	first string // the lowest hash of the shards
}

// placeOf returns the place and the port of the node of the rows of a table with a guid.
func placeOf(t *testing.T, conn *pgx.Conn, table string, guid uuid.UUID) (p place, port int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT t.colocationid, s.shardminvalue, n.nodeport
		FROM pg_dist_shard s
		JOIN pg_dist_partition t ON t.logicalrelid = s.logicalrelid
		JOIN pg_dist_placement pl ON pl.shardid = s.shardid
		JOIN pg_dist_node n ON n.groupid = pl.groupid
		WHERE s.shardid = get_shard_id_for_distribution_column($1::regclass, $2::uuid)`, table, guid).
		Scan(&p.group, &p.first, &port))
	return p, port
}

// guidAt returns a new guid that fits.
func guidAt(fits func(uuid.UUID) bool) uuid.UUID {
	for {
		if guid := uuid.New(); fits(guid) {
			return guid
		}
	}
}
