package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// DirectionStatus is what has become of a referral.
type DirectionStatus string

// The statuses of a referral; the first that applies, from the last to the first of these.
const (
	DirectionStatusNotBooked DirectionStatus = "NotBooked"
	DirectionStatusExpired   DirectionStatus = "Expired" // its last day is over where it is held; whether it can be booked all the same is a setting
	DirectionStatusBooked    DirectionStatus = "Booked"
	DirectionStatusCompleted DirectionStatus = "Completed" // its appointment has ended
	DirectionStatusCancelled DirectionStatus = "Cancelled" // the institution withdrew it
)

// PatientDirection is a referral as its patient sees it: the original. Its days are the first moments of them in the zone of the institution that holds it,
// which its times are in, too.
type PatientDirection struct {
	Guid           uuid.UUID
	Holder         uuid.UUID // the institution that holds it, which a booking names as its source
	Type           DirectionType
	Number         string
	Status         DirectionStatus
	Date           time.Time
	DateEnd        time.Time
	CreatedAt      time.Time
	Urgent         bool
	From           LpuName
	To             *LpuName // nil: any
	SpecialityCode string
	SpecialityName string
	MkbCode        string
	MkbName        string
	Visit          *ExistingAppointment
}

// LpuName names an institution.
type LpuName struct {
	Guid uuid.UUID
	Name string
}

func (d PatientDirection) position() Position { return Position{d.CreatedAt, d.Guid, d.Holder} }

// DirectionFilter says which referrals are wanted; what is not given does not matter.
type DirectionFilter struct {
	Guid             *uuid.UUID
	Number           *string
	Type             DirectionType
	Statuses         []DirectionStatus
	DateFrom, DateTo *time.Time // days, both included
}

// Directions lists the patient's own referrals over all institutions, newest first, and where the next page begins, if there is one.
func (s *Service) Directions(ctx context.Context, patient Patient, filter DirectionFilter, page Page) ([]PatientDirection, *Position, error) {
	found, err := s.store.Directions(ctx, patient.Person, filter, page.oneMore(), s.now())
	if err != nil {
		return nil, nil, fmt.Errorf("list the referrals: %w", err)
	}
	items, next := cut(found, page.Limit)
	return items, next, nil
}

// Direction gives the newest of the patient's own referrals that are wanted. Another person's is absent.
func (s *Service) Direction(ctx context.Context, patient Patient, filter DirectionFilter) (*PatientDirection, error) {
	found, err := s.store.Directions(ctx, patient.Person, filter, Page{Limit: 1}, s.now())
	if err != nil {
		return nil, fmt.Errorf("read the referral: %w", err)
	}
	if len(found) == 0 {
		return nil, Reject(DirectionAbsent)
	}
	return &found[0], nil
}
