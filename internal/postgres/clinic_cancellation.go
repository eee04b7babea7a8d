package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
	"talon.example/internal/clinic"
)

// WriteCancellation implements clinic.CancellationStore. It finds the visit in three round trips
// and runs one transaction in three: lock and read, change, commit. It locks and changes the same
// rows as a patient's cancel.
func (s *Store) WriteCancellation(
	ctx context.Context, lpu, guid uuid.UUID, c clinic.Cancellation, now time.Time,
) (clinic.Visit, error) {
	person, known, err := s.ownedVisit(ctx, lpu, guid)
	if err != nil {
		return clinic.Visit{}, err
	}
	return write(ctx, s, func(t *tx) (visit clinic.Visit, err error) {
		locked, err := t.lockVisit(person, known, now)
		if err != nil {
			return visit, err
		}
		current := locked.visit
		if current == nil { // cancelled
			t.institutionVisit(lpu, guid, now, &visit)
			if err := t.send(); err != nil {
				return visit, err
			}
			if !c.Repeats(visit.Cancellation) {
				return visit, booking.Reject(booking.AppointmentNotActive)
			}
			return visit, nil
		}
		if current.Lpu != lpu {
			return visit, booking.Reject(booking.AppointmentAbsent)
		}
		if refusal := current.RejectCancellation(now); refusal != nil {
			return visit, refusal
		}
		t.cancel(person, locked, booking.Cancellation{
			At: now, CancelReason: booking.CancelReason{Text: nilIfZero(c.Text)},
			Initiator: &c.Initiator, Cause: &c.Cause, Client: &c.Client,
		})
		t.institutionVisit(lpu, guid, now, &visit)
		return visit, t.send()
	})
}
