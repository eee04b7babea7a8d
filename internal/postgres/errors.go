package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"talon.example/internal/booking"
)

// rejectionByConstraint maps a constraint to the rule that it enforces. The guards of the
// statements normally reject a request before it violates a constraint.
var rejectionByConstraint = map[string]booking.Name{
	"appointment_one_in_force": booking.DirectionAlreadyBooked,
	"slot_capacity":            booking.SlotTaken,
	"slot_id":                  booking.CellForeign,
	"slot_pkey":                booking.CellForeign,
	"absence_pkey":             booking.VersionConflict, // of another resource at the same time
	// By a deletion. execReferring rejects what refers to a row that does not exist.
	"lpu_legal_entity_guid_fkey": booking.ObjectInUse,
	"mkab_lpu_guid_fkey":         booking.ObjectInUse,
	"resource_lpu_guid_fkey":     booking.ObjectInUse,
	"setting_lpu":                booking.ObjectInUse,
	// Another institution has just taken the code. The retry finds it.
	"lpu_code_key": booking.DatabaseUnavailable,
	// An imported referral has the number that a copy was assigned. The retry assigns another, or
	// finds the referral that has the number.
	"direction_id": booking.DatabaseUnavailable,
	// A booking has just created the person's card. The retry finds it.
	"mkab_one_open": booking.DatabaseUnavailable,
	// The same request has just added the webhook. The retry finds it.
	"webhook_pkey": booking.DatabaseUnavailable,
}

// SQLSTATEs, or their two-character classes, of transient failures. While a connection is being
// opened, every state that is not in overloadedStates counts as unavailable.
var (
	unavailableStates = []string{
		"08",    // connection exceptions
		"57P01", // the server is being shut down, or an administrator ended the connection
		"57P02", // the server is recovering from a crash of one of its processes
		"40001", // serialization failure
		"40P01", // deadlock
	}
	overloadedStates = []string{
		"53",    // out of connections, memory or disk
		"57014", // the statement exceeded its timeout
		"25P03", // the transaction exceeded its timeout
		"55P03", // a lock wait exceeded lock_timeout, which the address or the role may set
	}
)

// interpretError returns the refusal for a database error: Overloaded,
// DatabaseUnavailable, or the rule of the violated constraint. Refusals, and errors that did not
// come from the database, are returned unchanged. Other errors of the database are returned without
// a patient's data.
func interpretError(err error) error {
	if err == nil {
		return nil
	}
	var (
		refusal *booking.Refusal
		connect *pgconn.ConnectError
		pgErr   *pgconn.PgError
	)
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return booking.Reject(booking.Overloaded).Because(err)
	// This case comes before the next one: a server out of connections returns the error during
	// connect. It is not retried, because that would take more connections from others.
	case errors.As(err, &pgErr) && hasState(pgErr, overloadedStates):
		return booking.Reject(booking.Overloaded).Because(withoutValues(err, pgErr))
	case errors.As(err, &connect), isBroken(err):
		return booking.Reject(booking.DatabaseUnavailable).Because(err)
	case pgErr == nil:
		return err
	}
	cause := withoutValues(err, pgErr)
	if name, ok := rejectionByConstraint[constraintOf(pgErr)]; ok {
		return booking.Reject(name).Because(cause)
	}
	// FATAL ends the session, so that the connection is lost whatever the reason.
	if hasState(pgErr, unavailableStates) || pgErr.SeverityUnlocalized == "FATAL" || lostNode(pgErr) ||
		needsNewConnection(err) {
		return booking.Reject(booking.DatabaseUnavailable).Because(cause)
	}
	return cause
}

// remoteRoutines are the routines of the coordinator of a distributed database that raise the
// errors of its nodes. Such an error has the state of the node's error. Where the node did not
// report any, because its connection was lost, or because it rejected rows that were copied to it,
// the state is XX000. The last two check the connections before a commit, and what a commit has
// returned.
var remoteRoutines = []string{
	"ReportConnectionError", "ReportResultError", "ReportCopyError",
	"CheckRemoteTransactionsHealth", "ErrorIfPostCommitFailedShardPlacements",
}

// isRemote reports whether the coordinator raised the error because of a node whose error has no
// state.
func isRemote(pgErr *pgconn.PgError) bool {
	return pgErr.Code == "XX000" && slices.Contains(remoteRoutines, pgErr.Routine)
}

// lostNode reports whether the coordinator of a distributed database has lost its connection to a
// node, or cannot open one. The transaction was not committed on that node, unless the error was
// raised by the commit.
func lostNode(pgErr *pgconn.PgError) bool {
	return hasState(pgErr, []string{"08", "57P"}) || isRemote(pgErr)
}

// A distributed database appends the number of a shard to names.
var (
	quotedName  = regexp.MustCompile(`["«](\w+?)(?:_\d{6,})?["»]`)
	shardNumber = regexp.MustCompile(`_\d{6,}$`)
)

// constraintOf returns the name of the violated constraint, or "". The coordinator of a distributed
// database forwards errors of its nodes without the field, so that the name has to be read from the
// message, which names it last. A name that is not in rejectionByConstraint only serves the log.
func constraintOf(pgErr *pgconn.PgError) string {
	if pgErr.ConstraintName != "" || !strings.HasPrefix(pgErr.Code, "23") && !isRemote(pgErr) {
		return shardNumber.ReplaceAllString(pgErr.ConstraintName, "")
	}
	last := ""
	for _, name := range quotedName.FindAllStringSubmatch(pgErr.Message, -1) {
		last = name[1]
		if _, known := rejectionByConstraint[last]; known {
			break
		}
	}
	return last
}

// needsNewConnection reports whether a database has changed under its open connections, so that a
// retry needs a new one.
func needsNewConnection(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	switch pgErr.Code {
	case "25006": // read-only: a failover made this server a standby
		return true
	case "0A000": // a migration changed the result type of a prepared statement; other causes have another routine
		return pgErr.Routine == "RevalidateCachedQuery"
	default:
		return false
	}
}

// statesWithValues are the SQLSTATE classes whose messages can quote stored or sent values, and so
// a patient's data: invalid data, constraint violations and errors raised by triggers.
var statesWithValues = []string{"22", "23", "44", "P0"}

// withoutValues returns a description of a database error for the log, without a patient's data.
func withoutValues(err error, pgErr *pgconn.PgError) error {
	message := pgErr.Message
	if hasState(pgErr, statesWithValues) || pgErr.Routine == "ReportCopyError" {
		message = "message withheld"
	}
	cause := fmt.Errorf("the database returned SQLSTATE %s%s: %s", pgErr.Code, place(pgErr), message)
	if errors.Is(err, errCommitUnknown) {
		return fmt.Errorf("%w: %w", errCommitUnknown, cause)
	}
	return cause
}

// place returns what a database error is about, in parentheses, or "" if it does not say so.
func place(pgErr *pgconn.PgError) string {
	var parts []string
	for _, part := range []struct{ kind, name string }{
		{"table", pgErr.TableName}, {"column", pgErr.ColumnName}, {"constraint", constraintOf(pgErr)},
	} {
		if part.name != "" {
			parts = append(parts, fmt.Sprintf("%s %q", part.kind, part.name))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// isBroken reports whether the connection was lost.
func isBroken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgconn.ErrConnClosed)
}

func hasState(pgErr *pgconn.PgError, states []string) bool {
	for _, state := range states {
		if strings.HasPrefix(pgErr.Code, state) {
			return true
		}
	}
	return false
}
