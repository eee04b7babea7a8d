package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Referral is a referral (направление) that an institution has issued, as its source describes it.
type Referral struct {
	ID                             int64 // 0: the service assigns one, or keeps the one that it has
	Card                           uuid.UUID
	Type                           booking.DirectionType
	Number, AccessionNumber        string
	Date, DateEnd                  time.Time // days
	CreatedAt                      time.Time
	Sender                         *uuid.UUID
	Reason, Comment                string
	Urgent                         bool
	Flags                          int32
	SpecialityCode, SpecialityName string
	MkbCode, MkbName               string
	LpuTo                          *uuid.UUID
}

// StoredReferral is a referral as it is stored.
type StoredReferral struct {
	Referral

	Version   int64      // 0 if no source has written the referral
	Withdrawn *time.Time // nil if it is in force
}

// ReferralStore writes referrals as CardStore writes cards.
type ReferralStore interface {
	WriteReferral(ctx context.Context, w Write, referral Referral, now time.Time) (ObjectResult, error)
	WithdrawReferral(ctx context.Context, w Write, onBooked OnBooked, now time.Time) (ObjectResult, error)
	Referral(ctx context.Context, lpu, guid uuid.UUID) (StoredReferral, error)
}

// SameBooking reports whether a booking by one of the referrals is also one by the other: whether
// their type, speciality, card and target institution are the same.
func (r *Referral) SameBooking(other *Referral) bool {
	sameTarget := r.LpuTo == nil && other.LpuTo == nil ||
		r.LpuTo != nil && other.LpuTo != nil && *r.LpuTo == *other.LpuTo
	return sameTarget && r.Type == other.Type && r.SpecialityCode == other.SpecialityCode && r.Card == other.Card
}

// WriteReferral creates or replaces a referral, and ends its withdrawal. The institution holds the
// original. It rejects with VersionStale and VersionConflict, with ObjectBooked if the referral has
// a visit and its type, speciality, card or target institution would change, with GuidForeign if
// the guid or the number belongs to another referral or to a copy, and with FieldInvalid if a field
// is wrong or the card or the target institution does not exist.
func (s *Service) WriteReferral(
	ctx context.Context, lpu, guid uuid.UUID, version int64, referral Referral,
) (ObjectResult, error) {
	if refusal := referral.check(); refusal != nil {
		return ObjectResult{}, refusal
	}
	referral.CreatedAt = referral.CreatedAt.UTC()
	w, err := newWrite(Object{lpu, KindReferral, guid}, version, referral)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteReferral(ctx, w, referral, s.now())
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the referral: %w", err)
	}
	return result, nil
}

// check rejects a referral with impossible times.
func (r *Referral) check() *booking.Refusal {
	refusal := firstRefusal(
		booking.CheckYear("Date", r.Date), booking.CheckYear("DateEnd", r.DateEnd),
		booking.CheckYear("DateCreate", r.CreatedAt),
	)
	if refusal == nil && r.DateEnd.Before(r.Date) {
		return booking.InvalidField("DateEnd", booking.ProblemBeforeDate)
	}
	return refusal
}

// WithdrawReferral withdraws a referral: nobody can book with it. If it has a visit, Refuse rejects
// with ObjectBooked, and Keep keeps the visit. The withdrawal is recorded even if there is no such
// referral. It also rejects with VersionStale and VersionConflict, and with GuidForeign if the guid
// belongs to a copy.
func (s *Service) WithdrawReferral(
	ctx context.Context, lpu, guid uuid.UUID, version int64, onBooked OnBooked,
) (ObjectResult, error) {
	if refusal := onBooked.check("onBooked"); refusal != nil {
		return ObjectResult{}, refusal
	}
	w, err := newDeletion(Object{lpu, KindReferral, guid}, version)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WithdrawReferral(ctx, w, onBooked, s.now())
	if err != nil {
		return ObjectResult{}, fmt.Errorf("withdraw the referral: %w", err)
	}
	return result, nil
}

// Referral returns an original of an institution. It rejects with ObjectAbsent.
func (s *Service) Referral(ctx context.Context, lpu, guid uuid.UUID) (StoredReferral, error) {
	referral, err := s.store.Referral(ctx, lpu, guid)
	if err != nil {
		return StoredReferral{}, fmt.Errorf("read the referral: %w", err)
	}
	return referral, nil
}
