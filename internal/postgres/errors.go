package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"talon.example/internal/booking"
)

// refusedByConstraint says which rule a constraint keeps. The guards of the statements answer before it comes to these.
var refusedByConstraint = map[string]booking.Name{
	"appointment_one_active": booking.DirectionAlreadyBooked,
	"slot_capacity":          booking.SlotTaken,
	// A referral was brought in with the very number that a copy was given; the next try gives another.
	"direction_id": booking.DatabaseUnavailable,
}

// SQLSTATEs (or their class, of two characters) that say «not now» rather than «never». While we connect, any that is not of the overloaded says it.
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
		"57014", // the statement ran into its time-out
		"25P03", // the transaction ran into its time-out
		"55P03", // the statement waited for a lock longer than lock_timeout, which the address or the role may set
	}
)

// refused turns an error of the database into the refusal that it stands for; one that stands for none is returned as it is.
func refused(err error) error {
	if err == nil {
		return nil
	}
	var (
		refusal *booking.Refusal
		connect *pgconn.ConnectError
		answer  *pgconn.PgError
	)
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return booking.Reject(booking.Overloaded).Because(err)
	// Before the next case: a server that is out of connections says so while we connect.
	case errors.As(err, &answer) && hasState(answer, overloadedStates):
		return booking.Reject(booking.Overloaded).Because(discreet(err, answer))
	case errors.As(err, &connect), isBroken(err):
		return booking.Reject(booking.DatabaseUnavailable).Because(err)
	case answer == nil:
		return err
	}
	cause := discreet(err, answer)
	if name, ok := refusedByConstraint[constraintOf(answer)]; ok {
		return booking.Reject(name).Because(cause)
	}
	// FATAL ends the session: whatever the reason, the connection is lost.
	if hasState(answer, unavailableStates) || answer.SeverityUnlocalized == "FATAL" || outlived(err) {
		return booking.Reject(booking.DatabaseUnavailable).Because(cause)
	}
	return cause
}

// quotedName is a name in an error message, without the number of the shard that a distributed database appends to it.
var quotedName = regexp.MustCompile(`["«](\w+?)(?:_\d{6,})?["»]`)

// constraintOf returns the constraint that an error is about. The coordinator of a distributed database passes on the errors of its workers without the field,
// so that the name is known from the message alone.
func constraintOf(answer *pgconn.PgError) string {
	if answer.ConstraintName != "" || !strings.HasPrefix(answer.Code, "23") {
		return answer.ConstraintName
	}
	for _, name := range quotedName.FindAllStringSubmatch(answer.Message, -1) {
		if _, known := refusedByConstraint[name[1]]; known {
			return name[1]
		}
	}
	return ""
}

// outlived tells whether the database has changed under its connections, so that only new ones can help.
func outlived(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case "25006": // read-only: a failover made this server a standby
		return true
	case "0A000": // a migration changed a type that a prepared statement answers; the routine tells it from all else that is not supported
		return answer.Routine == "RevalidateCachedQuery"
	default:
		return false
	}
}

// talkativeStates are those whose messages quote what was stored or sent, a patient's data perhaps: bad data, constraints, and what triggers raise.
var talkativeStates = []string{"22", "23", "44", "P0"}

// discreet says for the log what the database answered, without a patient's data.
func discreet(err error, answer *pgconn.PgError) error {
	message := answer.Message
	if hasState(answer, talkativeStates) {
		message = "message withheld"
	}
	cause := fmt.Errorf("the database answered SQLSTATE %s (table %q, column %q, constraint %q): %s",
		answer.Code, answer.TableName, answer.ColumnName, answer.ConstraintName, message)
	if errors.Is(err, errMaybeDone) {
		return fmt.Errorf("%w: %w", errMaybeDone, cause)
	}
	return cause
}

// isBroken tells whether the connection was lost on the way.
func isBroken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed)
}

func hasState(answer *pgconn.PgError, states []string) bool {
	for _, state := range states {
		if strings.HasPrefix(answer.Code, state) {
			return true
		}
	}
	return false
}
