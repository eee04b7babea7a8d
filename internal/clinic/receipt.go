package clinic

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// ReceiptStatus is whether a visit is in the books of its institution.
type ReceiptStatus string

// The statuses of a receipt.
const (
	ReceiptAccepted ReceiptStatus = "accepted"
	ReceiptRejected ReceiptStatus = "rejected"
)

// Receipt says whether a visit is in the books of its institution (квитанция).
type Receipt struct {
	Version int64 // of the visit that it confirms
	Status  ReceiptStatus
	Reason  string // why it was rejected, not blank; empty if it was accepted
	Number  string // of the visit in the institution's books; empty if not given
}

// StoredReceipt is a receipt with the time at which it was stored.
type StoredReceipt struct {
	Receipt

	At time.Time
}

// ReceiptStore stores receipts.
type ReceiptStore interface {
	// WriteReceipt locks a visit and stores its receipt, if ConfirmedVisit.Confirm allows it. It
	// returns the visit. It returns a *booking.Refusal if the institution has no such visit.
	WriteReceipt(ctx context.Context, lpu, visit uuid.UUID, receipt Receipt, now time.Time) (Visit, error)
}

// ConfirmedVisit is what decides whether a visit takes a receipt.
type ConfirmedVisit struct {
	Version   int64
	Cancelled bool
	Receipt   *Receipt // nil if it has none
}

// Confirm reports whether a receipt changes the visit. It rejects a new receipt of a cancelled
// visit, or of another version than the current one.
func (v *ConfirmedVisit) Confirm(receipt Receipt) (changed bool, _ error) {
	switch {
	case v.Receipt != nil && *v.Receipt == receipt:
		return false, nil
	case v.Cancelled:
		return false, booking.Reject(booking.AppointmentNotActive)
	case v.Version != receipt.Version:
		return false, booking.Reject(booking.AppointmentVersionMismatch)
	default:
		return true, nil
	}
}

// Confirm stores the receipt of a visit and returns the visit. The same receipt changes nothing. It
// rejects with AppointmentAbsent, with AppointmentNotActive, with AppointmentVersionMismatch, and
// with FieldInvalid if the reason is missing, blank or not expected.
func (s *Service) Confirm(ctx context.Context, lpu, visit uuid.UUID, receipt Receipt) (Visit, error) {
	switch {
	case receipt.Status == ReceiptRejected && strings.TrimSpace(receipt.Reason) == "":
		return Visit{}, booking.InvalidField("Reason", booking.ProblemMissing)
	case receipt.Status == ReceiptAccepted && receipt.Reason != "":
		return Visit{}, booking.InvalidField("Reason", booking.ProblemReason)
	}
	confirmed, err := s.store.WriteReceipt(ctx, lpu, visit, receipt, s.now())
	if err != nil {
		return Visit{}, fmt.Errorf("write the receipt: %w", err)
	}
	return confirmed, nil
}
