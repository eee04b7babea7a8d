package clinic

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Cancellation is a cancel of a visit by its institution.
type Cancellation struct {
	Initiator booking.Initiator
	Cause     booking.CancelCause
	Text      string    // shown to the patient; may be empty
	Client    uuid.UUID // the institution's system
}

// CancellationStore cancels visits.
type CancellationStore interface {
	// WriteCancellation locks a visit as a patient's cancel does, cancels it and releases all that
	// it holds, if booking.BookedVisit.RejectCancellation allows it. The cancellation that the
	// visit already has changes nothing. It returns the visit. It returns a *booking.Refusal if the
	// institution has no such visit, or if the visit has another cancellation.
	WriteCancellation(
		ctx context.Context, lpu, visit uuid.UUID, cancellation Cancellation, now time.Time,
	) (Visit, error)
}

// Repeats reports whether a stored cancellation has the content of this one. The client
// applications may differ.
func (c Cancellation) Repeats(stored *booking.Cancellation) bool {
	return stored != nil && stored.Initiator != nil && *stored.Initiator == c.Initiator &&
		stored.Cause != nil && *stored.Cause == c.Cause &&
		(stored.Text == nil && c.Text == "" || stored.Text != nil && *stored.Text == c.Text)
}

// Cancel cancels a visit for its institution and returns it. The same cancellation changes nothing.
// It rejects with AppointmentAbsent, with AppointmentNotActive, with AppointmentAttended and
// AttendanceFinal, and with FieldInvalid if the initiator cannot have the cause or CauseOther has
// no text.
func (s *Service) Cancel(ctx context.Context, lpu, visit uuid.UUID, cancellation Cancellation) (Visit, error) {
	switch {
	case !cancellation.Cause.AllowedFor(cancellation.Initiator):
		return Visit{}, booking.InvalidField("Reason", booking.ProblemCause)
	case cancellation.Cause == booking.CauseOther && strings.TrimSpace(cancellation.Text) == "":
		return Visit{}, booking.InvalidField("Text", booking.ProblemMissing)
	}
	cancelled, err := s.store.WriteCancellation(ctx, lpu, visit, cancellation, s.now())
	if err != nil {
		return Visit{}, fmt.Errorf("write the cancellation: %w", err)
	}
	return cancelled, nil
}
