// Package registry contains what institutions' systems bring in: the schedules of resources, the
// cards, cases and referrals of patients, and the policies for what is withdrawn although it is
// booked. The institution's system owns what is offered; the service owns what is taken.
//
// It knows no HTTP and no SQL. Store is implemented by package postgres.
package registry

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Store applies what sources send. Its methods that write run one transaction each. They return a
// *booking.Refusal if the write is rejected, and then change nothing. Those that write an object
// lock the row of its source first.
type Store interface {
	ScheduleStore
	StateStore
	InstitutionStore
	ResourceStore
	SettingsStore
	CardStore
	ReferralStore
	PersonStore
	CaseStore
}

// ScheduleStore writes and reads schedules.
type ScheduleStore interface {
	// WriteWindow locks the resource's schedule, computes the Plan of the window, and writes it in
	// the same transaction. It returns a *booking.Refusal if the resource does not exist or the
	// window is rejected, and then changes nothing.
	WriteWindow(ctx context.Context, window Window, now time.Time) (WindowResult, error)
	// ConfirmWindows returns which of several windows of an institution are applied already,
	// exactly and without conflicts, and records that their source has confirmed the schedules.
	ConfirmWindows(ctx context.Context, lpu uuid.UUID, windows []Window, now time.Time) ([]bool, error)
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

// StateStore has what became of the messages for schedules.
type StateStore interface {
	// RecordRejection records that a message was rejected, in the state of the source of its
	// resource. It does nothing if the resource has no source.
	RecordRejection(ctx context.Context, rejected Rejection) error
	// Sources returns the state of the schedules of an institution, at most most, of resources with
	// a greater guid than after, and the summary of all. It returns a *booking.Refusal if there is
	// no such institution.
	Sources(ctx context.Context, lpu, after uuid.UUID, most int, now time.Time) ([]Source, SourceSummary, error)
	// WorkList returns visits that an institution has to solve, in order of start and guid. It
	// returns a *booking.Refusal if there is no such institution.
	WorkList(ctx context.Context, filter WorkFilter, page booking.Page, now time.Time) ([]WorkItem, error)
}

// InstitutionStore writes and reads legal entities and institutions.
type InstitutionStore interface {
	WriteLegalEntity(ctx context.Context, w Write, entity LegalEntity) (ObjectResult, error)
	DeleteLegalEntity(ctx context.Context, w Write) (ObjectResult, error)
	StoredLegalEntity(ctx context.Context, object Object) (Versioned[LegalEntity], error)
	WriteLpu(ctx context.Context, w Write, lpu Lpu) (ObjectResult, error)
	DeleteLpu(ctx context.Context, w Write) (ObjectResult, error)
	StoredLpu(ctx context.Context, object Object) (Versioned[Lpu], error)
}

// ResourceStore writes and reads resources.
type ResourceStore interface {
	WriteResource(ctx context.Context, w Write, resource Resource) (ObjectResult, error)
	DeleteResource(ctx context.Context, w Write) (ObjectResult, error)
	Resource(ctx context.Context, lpu, guid uuid.UUID) (Versioned[Resource], error)
	Resources(ctx context.Context, lpu, after uuid.UUID, limit int) ([]ListedResource, error)
}

// SettingsStore writes and reads settings, and the rights of client applications.
type SettingsStore interface {
	WriteSettings(ctx context.Context, w Write, owner SettingsOwner, settings []Setting) (ObjectResult, error)
	OwnSettings(ctx context.Context, owner SettingsOwner, object Object) (Versioned[[]Setting], error)
	WriteClientRights(ctx context.Context, w Write, rights booking.Rights) (ObjectResult, error)
	ClientRights(ctx context.Context, object Object) (Versioned[booking.Rights], error)
}

// Service contains the use cases of the registry. It is safe for concurrent use.
type Service struct {
	store Store
	now   func() time.Time
}

// NewService returns a service on the store. now returns the current time.
func NewService(store Store, now func() time.Time) *Service { return &Service{store, now} }
