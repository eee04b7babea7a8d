package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
	"talon.example/internal/registry"
)

// WriteReferral implements registry.Store. It runs one transaction in two round trips and the
// commit. It locks the original after its source, as every booking, cancel and move of the referral
// does before anything else. So whether it has a visit is known for certain, and its copy can be
// written.
func (s *Store) WriteReferral(
	ctx context.Context, w registry.Write, referral registry.Referral, now time.Time,
) (registry.ObjectResult, error) {
	return write(ctx, s, func(t *tx) (result registry.ObjectResult, err error) {
		var known *db.Direction
		t.recordWrite(&w, &result.Changed)
		t.lockReferral(w.Owner, w.Guid, &known)
		t.resolveCard(w.Owner, &referral.Card)
		t.rejectUnknownTarget(referral.LpuTo)
		t.rejectForeignNumber(&w, referral.ID)
		if err := t.send(); err != nil || !result.Changed {
			return result, err
		}
		if known != nil && known.AppointmentGuid != nil {
			if stored := storedReferral(known); !stored.SameBooking(&referral) {
				return registry.ObjectResult{}, t.rejectBooked(booking.ObjectBooked, known)
			}
			t.changeCopy(known, &referral)
		}
		t.writeReferral(&w, &referral)
		t.tellReferral(&w, events.ReferralChanged, now)
		return result, nil
	})
}

// lockReferral queues the statement that locks a referral and reads it into known, which stays nil
// if the institution has none. send rejects with GuidForeign if it is a copy.
func (t *tx) lockReferral(lpu, guid uuid.UUID, known **db.Direction) {
	row(t, t.ReferralLock(t.ctx, []db.ReferralLockParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
		func(found db.Direction, err error) error {
			switch {
			case err != nil:
				return ignoreAbsent(err)
			case found.CopiedFromLpuGuid != nil:
				return booking.Reject(booking.GuidForeign)
			}
			*known = &found
			return nil
		})
}

// rejectUnknownTarget queues the statement that reads whether the target institution exists. nil
// means no institution.
func (t *tx) rejectUnknownTarget(lpu *uuid.UUID) {
	if lpu == nil {
		return
	}
	unknown := booking.InvalidField("LpuToGuid", booking.ProblemLpuUnknown)
	requireRow(t, t.LpuGet(t.ctx, []uuid.UUID{*lpu}).QueryRow, unknown)
}

// rejectForeignNumber queues the statement that looks for another referral with the number. send
// then rejects with GuidForeign. The number 0 means none.
func (t *tx) rejectForeignNumber(w *registry.Write, number int64) {
	if number == 0 {
		return
	}
	row(t, t.ReferralWithNumber(t.ctx, []db.ReferralWithNumberParams{{
		LpuGuid: w.Owner, ID: number, Guid: w.Guid,
	}}).QueryRow, func(_ uuid.UUID, err error) error {
		if err == nil {
			return booking.Reject(booking.GuidForeign)
		}
		return ignoreAbsent(err)
	})
}

// rejectBooked returns the refusal of a rule with the visit of a referral.
func (t *tx) rejectBooked(rule booking.Name, known *db.Direction) error {
	refusal := booking.Reject(rule)
	if known.AppointmentLpuGuid != nil && known.AppointmentStartAt != nil && known.AppointmentEndAt != nil {
		visit, err := t.reference.existingAppointment(
			*known.AppointmentGuid, *known.AppointmentLpuGuid, *known.AppointmentStartAt, *known.AppointmentEndAt,
		)
		if err != nil {
			return err
		}
		refusal.Remedies = &booking.Remedies{Appointment: &visit}
	}
	return refusal
}

// writeReferral queues the statement that writes a referral. send rejects with GuidForeign if a
// booking has just written a copy with the guid.
func (t *tx) writeReferral(w *registry.Write, r *registry.Referral) {
	row(t, t.ReferralWrite(t.ctx, []db.ReferralWriteParams{{
		LpuGuid: w.Owner, Guid: w.Guid, ID: r.ID, Type: db.DirectionType(r.Type), Number: r.Number,
		AccessionNumber: r.AccessionNumber, Date: r.Date, DateEnd: r.DateEnd, CreatedAt: r.CreatedAt,
		DocPrvdSenderGuid: r.Sender, MkabGuid: r.Card, Reason: r.Reason, Comment: r.Comment, Urgent: r.Urgent,
		Flags: r.Flags, SpecialityCode: r.SpecialityCode, SpecialityName: r.SpecialityName, MkbCode: r.MkbCode,
		MkbName: r.MkbName, LpuToGuid: r.LpuTo,
	}}).QueryRow, func(_ uuid.UUID, err error) error { return rejectIfAbsent(err, booking.GuidForeign) })
}

// changeCopy queues the statement that writes the fields of a referral into its copy in the
// institution of its visit, if that is another one.
func (t *tx) changeCopy(known *db.Direction, r *registry.Referral) {
	if known.AppointmentLpuGuid == nil || *known.AppointmentLpuGuid == known.LpuGuid {
		return
	}
	exec(t, t.ReferralChangeCopy(t.ctx, []db.ReferralChangeCopyParams{{
		LpuGuid: *known.AppointmentLpuGuid, Guid: known.Guid, CopiedFromLpuGuid: known.LpuGuid,
		AppointmentGuid: *known.AppointmentGuid, Number: r.Number, AccessionNumber: r.AccessionNumber, Date: r.Date,
		DateEnd: r.DateEnd, CreatedAt: r.CreatedAt, DocPrvdSenderGuid: r.Sender, Reason: r.Reason, Comment: r.Comment,
		Urgent: r.Urgent, Flags: r.Flags, SpecialityName: r.SpecialityName, MkbCode: r.MkbCode, MkbName: r.MkbName,
	}}).Exec)
}

// tellReferral queues the event of a referral that its source has written.
func (t *tx) tellReferral(w *registry.Write, what events.Type, now time.Time) {
	t.tell(events.Event{Lpu: w.Owner, Type: what, At: now, Direction: w.Guid, Version: w.Version})
}

func storedReferral(d *db.Direction) registry.Referral {
	return registry.Referral{
		ID: d.ID, Card: d.MkabGuid, Type: booking.DirectionType(d.Type), Number: d.Number,
		AccessionNumber: d.AccessionNumber, Date: d.Date, DateEnd: d.DateEnd, CreatedAt: d.CreatedAt,
		Sender: d.DocPrvdSenderGuid, Reason: d.Reason, Comment: d.Comment, Urgent: d.Urgent, Flags: d.Flags,
		SpecialityCode: d.SpecialityCode, SpecialityName: d.SpecialityName, MkbCode: d.MkbCode, MkbName: d.MkbName,
		LpuTo: d.LpuToGuid,
	}
}

// WithdrawReferral implements registry.Store. It runs one transaction in two round trips and the
// commit. It locks like WriteReferral: a booking that comes first is seen, a later one finds the
// referral withdrawn.
func (s *Store) WithdrawReferral(
	ctx context.Context, w registry.Write, onBooked registry.OnBooked, now time.Time,
) (registry.ObjectResult, error) {
	return write(ctx, s, func(t *tx) (result registry.ObjectResult, err error) {
		var known *db.Direction
		t.recordWrite(&w, &result.Changed)
		t.lockReferral(w.Owner, w.Guid, &known)
		if err := t.send(); err != nil || !result.Changed {
			return result, err
		}
		policy, err := t.policy(w.Owner, onBooked)
		if err != nil {
			return registry.ObjectResult{}, err
		}
		if policy == registry.Refuse && known != nil && known.AppointmentGuid != nil {
			return registry.ObjectResult{}, t.rejectBooked(booking.ObjectBooked, known)
		}
		exec(t, t.ReferralWithdraw(ctx, []db.ReferralWithdrawParams{{LpuGuid: w.Owner, Guid: w.Guid, At: now}}).Exec)
		t.tellReferral(&w, events.ReferralWithdrawn, now)
		return result, nil
	})
}

// Referral implements registry.Store. It takes one round trip.
func (s *Store) Referral(ctx context.Context, lpu, guid uuid.UUID) (referral registry.StoredReferral, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.ReferralGet(ctx, []db.ReferralGetParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
			func(found db.Direction, err error) error {
				if err != nil {
					return rejectIfAbsent(err, booking.ObjectAbsent)
				}
				zone, err := t.reference.zone(lpu)
				if err != nil {
					return err
				}
				referral.Referral = storedReferral(&found)
				referral.CreatedAt = found.CreatedAt.In(zone)
				referral.Withdrawn, err = t.inZoneOf(lpu, found.CancelledAt)
				return err
			})
		t.readVersion(registry.Object{Owner: lpu, Kind: registry.KindReferral, Guid: guid}, &referral.Version)
	})
	return referral, interpretError(err)
}
