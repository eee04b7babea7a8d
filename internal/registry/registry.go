// Package registry contains what institutions' systems bring in: the schedules of resources, the
// cards, cases and referrals of patients, and the policies for what is withdrawn although it is
// booked. The institution's system owns
// what is offered; the service owns what is taken.
//
// It knows no HTTP and no SQL. Store is implemented by package postgres.
package registry

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Store applies what an institution's system sends.
type Store interface {
	CardStore
	CaseStore
	PersonStore
	ReferralStore

	// WriteWindow locks the resource's schedule, computes the Plan of the window, and writes it in
	// the same transaction. It returns a *booking.Refusal if the resource does not exist or the
	// window is rejected, and then changes nothing.
	WriteWindow(ctx context.Context, window Window, now time.Time) (WindowResult, error)
	// ChangeCell does what WriteWindow does with a window of one cell.
	ChangeCell(ctx context.Context, change CellChange, now time.Time) (WindowResult, error)
	// WriteAbsence locks the resource's schedule, and writes the absence with its cells.
	WriteAbsence(ctx context.Context, a Absence, onBooked OnBooked, now time.Time) (AbsenceResult, error)
	// LiftAbsence marks the absence as lifted, and opens its cells.
	LiftAbsence(ctx context.Context, lpu, resource, absence uuid.UUID, now time.Time) (AbsenceResult, error)
	// Absences returns the absences of a resource that overlap a period and are not lifted.
	Absences(ctx context.Context, lpu, resource uuid.UUID, period Period) ([]Absence, error)
	// Schedule returns the cells of a resource that begin within a period, and the windows that
	// decide it. It returns a *booking.Refusal if there is no such resource.
	Schedule(ctx context.Context, lpu, resource uuid.UUID, period Period, now time.Time) (Schedule, error)
}

// Service contains the use cases of the registry. It is safe for concurrent use.
type Service struct {
	store Store
	now   func() time.Time
}

// NewService returns a service on the store. now returns the current time.
func NewService(store Store, now func() time.Time) *Service { return &Service{store, now} }
