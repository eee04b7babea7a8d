package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// testScale is a size at which the large tables have the same plans as at full size. For smaller
// tables the test only requires that an index exists.
const testScale = 0.01

// Promise: no query of the service reads a whole table that grows with the region.
func TestPlans(t *testing.T) {
	t.Parallel()
	url := testdb.New(t)
	region := NewRegion(testScale, time.Now())
	region.Rushers = 0 // they are slow to load and do not change any plan
	require.NoError(t, fill(t.Context(), url, region, io.Discard))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })

	testdb.RequireIndexed(t, conn)

	// Without rows the planner may choose any index, and its choice would prove nothing.
	_, err = conn.Exec(t.Context(), `
		INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
			out_of_schedule, is_cito, comment, created_at, updated_at, cancelled_at)
		SELECT d.lpu_guid, gen_random_uuid(), d.guid, d.lpu_guid, d.mkab_guid, m.person_guid, r.guid, d.guid, d.created_at, d.created_at,
			true, false, '', d.created_at, d.created_at, CASE WHEN n % 10 = 0 THEN d.created_at END
		FROM direction d
		JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
		CROSS JOIN LATERAL (SELECT r.guid FROM resource r WHERE r.lpu_guid = d.lpu_guid LIMIT 1) r
		CROSS JOIN LATERAL (SELECT d.id % 100 AS n) numbered`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "ANALYZE appointment")
	require.NoError(t, err)
	t.Run("of the service", func(t *testing.T) {
		scans, err := wholeScans(t.Context(), conn)
		require.NoError(t, err)
		require.Empty(t, scans)
	})

	_, err = conn.Exec(t.Context(), "CREATE TABLE newcomer AS SELECT n FROM generate_series(1, 10000) n")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "ANALYZE newcomer")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		sql   string
		wants []string
	}{
		"a column without an index": {"SELECT guid FROM slot WHERE busy_type = $1", []string{"slot"}},
		"an index's second column":  {"SELECT capacity FROM slot WHERE guid = $1", []string{"slot"}},
		"an index from end to end":  {"SELECT guid FROM mkab ORDER BY lpu_guid, guid LIMIT 1", []string{"mkab"}},
		"an unselective index": {
			"SELECT max(capacity) FROM slot WHERE lpu_guid IS NOT NULL AND $1::boolean", []string{"slot"},
		},
		"an init plan": {"SELECT (SELECT count(*) FROM direction), $1::uuid", []string{"direction"}},
		"a sub-plan": {
			`SELECT (SELECT m.guid FROM mkab m WHERE m.birth_date = s.start_at::date LIMIT 1)
			FROM slot s
			WHERE s.lpu_guid = $1 AND s.guid = $2`, []string{"mkab"},
		},
		"a common table expression": {
			`WITH gone AS (DELETE FROM tap WHERE closed_on < $1 RETURNING mkab_guid)
			SELECT guid FROM mkab WHERE lpu_guid = $2 AND guid = (SELECT mkab_guid FROM gone LIMIT 1)`, []string{"tap"},
		},
		"two tables": {
			"SELECT FROM mip_person_data d JOIN mip_person p ON p.guid = d.person_guid WHERE d.snils <> $1",
			[]string{"mip_person", "mip_person_data"},
		},
		"a small table without an index":    {"SELECT guid FROM resource WHERE name = $1", []string{"resource"}},
		"an empty table without an index":   {"SELECT guid FROM hold WHERE guid = $1", []string{"hold"}},
		"a new table":                       {"SELECT n FROM newcomer WHERE n = $1", []string{"newcomer"}},
		"allowed: a table that stays small": {"SELECT guid FROM lpu WHERE name = $1", nil},
		"allowed: a small table's index":    {"SELECT name FROM resource WHERE lpu_guid = $1 AND guid = $2", nil},
		"allowed: a part of an index":       {"SELECT guid FROM slot WHERE lpu_guid = $1 AND resource_guid = $2", nil},
		"allowed: no table":                 {"SELECT 1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			scans, err := wholeScansOf(t.Context(), conn, []query{{"Query", c.sql}})
			require.NoError(t, err)
			var wants []string
			for _, table := range c.wants {
				wants = append(wants, "Query: "+table)
			}
			require.ElementsMatch(t, wants, scans)
		})
	}
}

func TestIndexScanNeedsAConditionOnTheFirstColumn(t *testing.T) {
	t.Parallel()
	leading := map[string]string{"slot_pkey": "lpu_guid", "mip_person_pkey": "guid"}
	for _, c := range []struct {
		index, cond string
		readsAll    bool
	}{
		{"slot_pkey", "((lpu_guid = $1) AND (guid = $2))", false},
		{"slot_pkey", "(lpu_guid = ANY ($1))", false},
		{"slot_pkey", "(guid = $1)", true},
		{"slot_pkey", "(guid = chosen.lpu_guid)", true},
		{"slot_pkey", "", true},
		{"mip_person_pkey", "(guid = $1)", false},
		{"mip_person_pkey", "(lpu_guid = $1)", true},
	} {
		for _, scan := range []string{"Index Scan", "Index Only Scan", "Bitmap Index Scan"} {
			node := planNode{Type: scan, Index: c.index, Cond: c.cond}
			require.Equal(t, c.readsAll, node.readsAll(leading), "%s: %s", scan, c.cond)
		}
	}
}

// Promise: serviceQueries returns every query of queries/.
func TestServiceQueriesAreAll(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../queries/*.sql")
	require.NoError(t, err)
	var wants []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?m)^-- name: (\w+)`).FindAllSubmatch(text, -1) {
			wants = append(wants, string(match[1]))
		}
	}
	require.NotEmpty(t, wants)

	queries, err := serviceQueries()
	require.NoError(t, err)
	var names []string
	for _, q := range queries {
		names = append(names, q.name)
	}
	require.ElementsMatch(t, wants, names)
}
