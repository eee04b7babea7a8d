package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// Promise: the errors that the coordinator of a distributed database raises because of its nodes
// are refusals. A lost node is a transient failure, like a lost connection. A violated constraint
// is found in the message, where its name has the number of a shard.
func TestErrorsOfNodes(t *testing.T) {
	t.Parallel()
	remote := func(code, routine, message string) *pgconn.PgError {
		return &pgconn.PgError{
			Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: code, Routine: routine, Message: message,
		}
	}
	for name, c := range map[string]struct {
		err  *pgconn.PgError
		rule booking.Name
	}{
		"the node refuses connections": {remote("08006", "ReportConnectionError",
			"connection to the remote node talon@10.0.0.2:5432 failed with the following error: connection not open"),
			booking.DatabaseUnavailable},
		"the node was killed": {remote("XX000", "ReportResultError", "server closed the connection unexpectedly"),
			booking.DatabaseUnavailable},
		"the node was stopped": {remote("57P01", "ReportResultError",
			"terminating connection due to administrator command"), booking.DatabaseUnavailable},
		"rows that were copied violate a constraint": {remote("XX000", "ReportCopyError",
			`duplicate key value violates unique constraint "slot_pkey_102020"`), booking.CellForeign},
		"a row violates a constraint": {remote("23505", "ReportResultError",
			`duplicate key value violates unique constraint "appointment_one_in_force_102033"`),
			booking.DirectionAlreadyBooked},
		"a commit whose answer was lost": {remote("XX000", "ErrorIfPostCommitFailedShardPlacements",
			"could not commit transaction for shard 102017 on at least one active node"), booking.DatabaseUnavailable},
		"a row of the coordinator violates a constraint": {&pgconn.PgError{
			Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "23505", Routine: "_bt_check_unique",
			ConstraintName: "webhook_pkey_102123",
		}, booking.DatabaseUnavailable},
		"the coordinator ends": {&pgconn.PgError{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "XX000",
			Message: "postmaster was shut down, exiting"}, booking.DatabaseUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refusal *booking.Refusal
			require.ErrorAs(t, interpretError(c.err), &refusal)
			require.Equal(t, c.rule, refusal.Rule)
		})
	}
	t.Run("a bug", func(t *testing.T) {
		t.Parallel()
		var refusal *booking.Refusal
		err := interpretError(remote("XX000", "create_plan", "unrecognized node type"))
		require.NotErrorAs(t, err, &refusal)
	})
	t.Run("of an unknown constraint", func(t *testing.T) {
		t.Parallel()
		err := interpretError(remote("23514", "ReportResultError",
			`new row for relation "slot_102020" violates check constraint "secret"`))
		require.ErrorContains(t, err, `constraint "secret"`)
		require.ErrorContains(t, err, "message withheld")
	})
}

// Promise: an error names the table, the column and the constraint that it is about, and no empty
// ones.
func TestErrorsNameTheirPlace(t *testing.T) {
	t.Parallel()
	away := &pgconn.PgError{Code: "08006", Message: "connection not open"}
	require.EqualError(t, withoutValues(away, away), "the database returned SQLSTATE 08006: connection not open")
	violated := &pgconn.PgError{Code: "23505", TableName: "slot", ConstraintName: "slot_pkey"}
	require.EqualError(t, withoutValues(violated, violated),
		`the database returned SQLSTATE 23505 (table "slot", constraint "slot_pkey"): message withheld`)
}
