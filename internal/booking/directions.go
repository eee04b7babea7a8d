package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// DirectionStatus is the status of a referral.
type DirectionStatus string

// The statuses of a referral. If several apply, the last of this list wins.
const (
	DirectionStatusNotBooked DirectionStatus = "NotBooked"
	// DirectionStatusExpired: the last day is over in the holder's zone. A setting decides whether
	// it can still be booked.
	DirectionStatusExpired   DirectionStatus = "Expired"
	DirectionStatusBooked    DirectionStatus = "Booked"
	DirectionStatusCompleted DirectionStatus = "Completed" // its appointment is over, also as a no-show
	DirectionStatusCancelled DirectionStatus = "Cancelled" // withdrawn by the institution
)

// DirectionLister lists referrals.
type DirectionLister interface {
	// Directions reads a page of a person's referrals, newest first. now decides which are expired
	// or completed.
	Directions(
		ctx context.Context, person uuid.UUID, filter DirectionFilter, page Page, now time.Time,
	) ([]PatientDirection, error)
}

// PatientDirection is a patient's referral as its holder stores it. All times are in the holder's
// zone; dates are midnight of the day.
type PatientDirection struct {
	Guid           uuid.UUID
	Holder         uuid.UUID // the institution that holds the original; LpuFrom of a booking
	Type           DirectionType
	Number         string
	Status         DirectionStatus
	Date           time.Time
	DateEnd        time.Time
	CreatedAt      time.Time
	Urgent         bool
	From           LpuName
	To             *LpuName // nil: any institution
	SpecialityCode string
	SpecialityName string
	MkbCode        string
	MkbName        string
	Visit          *ExistingAppointment
}

// LpuName is the guid and name of an institution.
type LpuName struct {
	Guid uuid.UUID
	Name string
}

// LpuPlace is an institution with what a patient needs to go there. Address and Phone are empty if
// unknown.
type LpuPlace struct {
	Guid    uuid.UUID
	Name    string
	Address string
	Phone   string
	Zone    *time.Location
}

func (d *PatientDirection) position() Position { return Position{d.CreatedAt, d.Guid, d.Holder} }

// DirectionFilter selects referrals. Zero fields are ignored.
type DirectionFilter struct {
	Guid             *uuid.UUID
	Number           *string
	Type             DirectionType
	Statuses         []DirectionStatus
	DateFrom, DateTo *time.Time // dates, both inclusive
}

// Directions returns a page of the patient's referrals over all institutions, newest first, and the
// position of the next page, or nil if there is none.
func (s *Service) Directions(
	ctx context.Context, patient Patient, filter DirectionFilter, page Page,
) ([]PatientDirection, *Position, error) {
	found, err := s.ports.Directions.Directions(ctx, patient.Person, filter, page.PlusOne(), s.now())
	if err != nil {
		return nil, nil, fmt.Errorf("list the referrals: %w", err)
	}
	items, next := SplitPage(found, page.Limit, (*PatientDirection).position)
	return items, next, nil
}

// Direction returns the newest of the patient's referrals that match the filter. It rejects with
// DirectionAbsent if none does, also for a referral of another patient.
func (s *Service) Direction(ctx context.Context, patient Patient, filter DirectionFilter) (*PatientDirection, error) {
	found, err := s.ports.Directions.Directions(ctx, patient.Person, filter, Page{Limit: 1}, s.now())
	if err != nil {
		return nil, fmt.Errorf("read the referral: %w", err)
	}
	if len(found) == 0 {
		return nil, Reject(DirectionAbsent)
	}
	return &found[0], nil
}
