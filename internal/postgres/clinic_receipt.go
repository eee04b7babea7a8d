package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/clinic"
)

// WriteReceipt implements clinic.ReceiptStore. It runs one transaction in three round trips: lock,
// write and read, commit. It locks only the row of the visit, so that it cannot deadlock.
func (s *Store) WriteReceipt(
	ctx context.Context, lpu, guid uuid.UUID, receipt clinic.Receipt, now time.Time,
) (clinic.Visit, error) {
	return write(ctx, s, func(t *tx) (visit clinic.Visit, err error) {
		current, err := t.lockReceipt(lpu, guid)
		if err != nil {
			return visit, err
		}
		changed, err := current.Confirm(receipt)
		if err != nil {
			return visit, err
		}
		if changed {
			exec(t, t.VisitConfirm(ctx, []db.VisitConfirmParams{{
				LpuGuid: lpu, Guid: guid, Status: string(receipt.Status), Version: receipt.Version,
				Reason: receipt.Reason, Number: receipt.Number, At: now,
			}}).Exec)
		}
		t.institutionVisit(lpu, guid, now, &visit)
		return visit, t.send()
	})
}

// lockReceipt locks a visit of an institution. It loses with AppointmentAbsent if there is none. A
// statement that has waited for a move within the institution finds the old row deleted, and not
// yet the new one. So an absent visit is looked up again, by a statement that does not wait.
func (t *tx) lockReceipt(lpu, guid uuid.UUID) (visit *clinic.ConfirmedVisit, err error) {
	row(t, t.VisitLock(t.ctx, []db.VisitLockParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
		func(row db.VisitLockRow, err error) error {
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			visit = &clinic.ConfirmedVisit{
				Version: row.Version, Cancelled: row.Cancelled,
				Receipt: receiptOf(row.ReceiptStatus, row.ReceiptVersion, row.ReceiptReason, row.ReceiptNumber),
			}
			return err
		})
	if err := t.send(); err != nil || visit != nil {
		return visit, err
	}
	row(t, t.VisitPerson(t.ctx, []db.VisitPersonParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
		func(_ db.VisitPersonRow, err error) error {
			if err == nil {
				return errVisitMoving
			}
			return rejectIfAbsent(err, booking.AppointmentAbsent)
		})
	return nil, t.send()
}
