package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: the project's own SQL has no findings.
func TestProject(t *testing.T) {
	t.Parallel()
	findings, err := lint("../../..")
	require.NoError(t, err)
	require.Empty(t, findings)
}

// Promise: a migration that locks a table while it reads or writes all rows, or that breaks the
// previous release, is rejected with the reason.
func TestMigrations(t *testing.T) {
	t.Parallel()
	for up, wants := range map[string][]string{
		`CREATE INDEX slot_by_time ON slot (start_at);`:                                        {"CONCURRENTLY"},
		`CREATE INDEX CONCURRENTLY slot_by_time ON slot (start_at);`:                           {"NO TRANSACTION"},
		`ALTER TABLE slot ADD COLUMN note text, ADD COLUMN more text;`:                         {"2 subcommands"},
		`ALTER TABLE slot ADD COLUMN note text NOT NULL;`:                                      {"without a default"},
		`ALTER TABLE slot ADD COLUMN seen timestamptz NOT NULL DEFAULT clock_timestamp();`:     {"is a function"},
		`ALTER TABLE slot ADD COLUMN twice integer GENERATED ALWAYS AS (capacity * 2) STORED;`: {"CONSTR_GENERATED"},
		`ALTER TABLE slot ADD CONSTRAINT few CHECK (capacity < 100);`:                          {"NOT VALID"},
		`ALTER TABLE slot ADD CONSTRAINT one UNIQUE (id);`:                                     {"USING INDEX"},
		`ALTER TABLE slot ALTER COLUMN busy_type SET NOT NULL;`:                                {"SET NOT NULL"},
		`ALTER TABLE slot ALTER COLUMN capacity TYPE bigint;`:                                  {"rewrite"},
		`ALTER TABLE slot DROP COLUMN blocked;`:                                                {"previous release"},
		`ALTER TABLE slot RENAME COLUMN blocked TO closed;`:                                    {"RENAME"},
		`UPDATE slot SET blocked = false;`:                                                     {"batches"},
		`DELETE FROM slot WHERE taken = 0;`:                                                    {"batches"},
		`DROP TABLE tap;`:                                                                      {"previous release"},
		`DROP INDEX slot_by_resource, tap_open;`:                                               {"several objects", "CONCURRENTLY"},
		`LOCK TABLE slot;`:                                                                     {"locks a table"},
		`CREATE INDEX a ON slot (id); ALTER TABLE slot DROP COLUMN blocked;`:                   {"CONCURRENTLY", "previous release"},

		`ALTER TABLE slot ADD COLUMN note text;`:                                                                       nil,
		`ALTER TABLE slot ADD COLUMN note text NOT NULL DEFAULT '';`:                                                   nil,
		`ALTER TABLE slot ADD CONSTRAINT few CHECK (capacity < 100) NOT VALID;`:                                        nil,
		`ALTER TABLE slot VALIDATE CONSTRAINT few;`:                                                                    nil,
		`ALTER TABLE slot ADD CONSTRAINT one UNIQUE USING INDEX slot_one;`:                                             nil,
		`CREATE TABLE note (guid uuid PRIMARY KEY); CREATE INDEX note_by ON note (guid); UPDATE note SET guid = guid;`: nil,
		`-- +goose NO TRANSACTION
		CREATE INDEX CONCURRENTLY slot_by_time ON slot (start_at);`: nil,
	} {
		findings, err := lintMigration("-- +goose Up\n" + up + "\n-- +goose Down\nSELECT 1;")
		require.NoError(t, err, up)
		require.Len(t, findings, len(wants), "%s: %q", up, findings)
		for i, want := range wants {
			require.Contains(t, findings[i], want, up)
		}
	}
	_, err := lintMigration("-- +goose Up\nSELECT 1;")
	require.ErrorContains(t, err, "Down")
	_, err = lintMigration("-- +goose Up\nSELEKT 1;\n-- +goose Down\n")
	require.ErrorContains(t, err, "SELEKT")
}

// Promise: a query that a distributed database cannot run on one node is rejected.
func TestQueries(t *testing.T) {
	t.Parallel()
	keys, err := readKeys("../../..")
	require.NoError(t, err)
	for sql, want := range map[string]string{
		`SELECT guid FROM slot WHERE guid = @guid`:                                                                                               "slot.lpu_guid is not compared",
		`SELECT s.guid FROM slot s WHERE s.lpu_guid = @lpu_guid OR s.guid = @guid`:                                                               "s.lpu_guid is not compared",
		`SELECT 1 AS one FROM slot s JOIN resource r ON r.lpu_guid = s.lpu_guid WHERE s.lpu_guid = @lpu_guid`:                                    "r.lpu_guid is not compared",
		`SELECT 1 AS one FROM resource r CROSS JOIN LATERAL (SELECT * FROM slot s WHERE s.lpu_guid = r.lpu_guid) s WHERE r.lpu_guid = @lpu_guid`: "s.lpu_guid is not compared",
		`UPDATE slot SET taken = 0 WHERE lpu_guid = @lpu_guid AND EXISTS (SELECT 1 AS one FROM hold WHERE guid = @guid)`:                         "hold.person_guid is not compared",
		`INSERT INTO hold (guid) VALUES (@guid)`:                                                                                                 "hold.person_guid is not written",
		`WITH gone AS (DELETE FROM slot WHERE lpu_guid = @lpu_guid RETURNING guid) SELECT guid FROM gone`:                                        "a common table expression writes",
		`SELECT guid FROM slot WHERE lpu_guid = @lpu_guid AND restriction::text = @restriction`:                                                  "the enum restriction is compared as text",

		`SELECT bookable(s) AS free FROM slot s WHERE s.lpu_guid = @lpu_guid`:   "a function takes a whole row",
		`SELECT bookable(s.*) AS free FROM slot s WHERE s.lpu_guid = @lpu_guid`: "a function takes a whole row",

		`SELECT count(*) AS n FROM slot WHERE lpu_guid = @lpu_guid`:                                                                            "",
		`SELECT guid FROM slot WHERE lpu_guid = ANY(@lpus::uuid[])`:                                                                            "",
		`SELECT sqlc.embed(s) FROM slot s JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = s.resource_guid WHERE @lpu_guid = s.lpu_guid`: "",
		`DELETE FROM hold WHERE person_guid = sqlc.arg(person_guid)::uuid`:                                                                     "",
		`SELECT name FROM lpu WHERE name = @name`:                                                                                              "",
	} {
		findings, err := lintQuery(keys, sql)
		require.NoError(t, err, sql)
		if want == "" {
			require.Empty(t, findings, sql)
		} else {
			require.Len(t, findings, 1, sql)
			require.Contains(t, findings[0], want, sql)
		}
	}
	findings, err := lintQueries(keys, `-- name: IdempotencyKeySweep :one
		SELECT 1 AS one FROM idempotency_key WHERE person_guid = @person_guid;`)
	require.NoError(t, err)
	require.Len(t, findings, 1)
	require.True(t, strings.HasPrefix(findings[0], "IdempotencyKeySweep runs on one node"))
}
