// Package booking is the heart of Talon: what an appointment by referral (запись на прием по направлению) asks for, the facts that decide it, the
// table of the documented rules, and the use case that puts them together. It knows no HTTP, no SQL and no generated code.
package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Store is where bookings live. Its methods answer a *Refusal where the database decides a rule.
type Store interface {
	VisitStore
	SlotFinder
	Keys
	Identities

	// Facts reads all that the rules need, in one round trip.
	Facts(ctx context.Context, patient Patient, request Request, now time.Time) (*Facts, error)
	// CreateMkab makes the person's card in an institution and links the policy to it, or finds the open one that another booking made meanwhile.
	CreateMkab(ctx context.Context, lpu uuid.UUID, person *Person, now time.Time) (*Mkab, error)
	// Create writes the booking in one transaction, which succeeds only if nobody was faster.
	Create(ctx context.Context, appointment NewAppointment) (*HeldDirection, error)
	// Settings reads what is in force through the patient's client application: in an institution, or for the zero guid in the region and each of its
	// institutions, what is alike once.
	Settings(ctx context.Context, patient Patient, lpu uuid.UUID) ([]Settings, error)
	// Directions reads a page of a person's referrals, newest first; now tells what has expired and what has ended.
	Directions(ctx context.Context, person uuid.UUID, filter DirectionFilter, page Page, now time.Time) ([]PatientDirection, error)
	// Appointments reads a page of a person's appointments, the newest start first; now tells what has ended.
	Appointments(ctx context.Context, person uuid.UUID, filter AppointmentFilter, page Page, now time.Time) ([]PatientAppointment, error)
}

// MasterIndex is the region's master patient index (МИП). Person answers a *Refusal where the index does not know the person, holds no data, or
// cannot be asked.
type MasterIndex interface {
	Person(ctx context.Context, guid uuid.UUID) (*Person, error)
}

// NewAppointment is a booking that all rules allow.
type NewAppointment struct {
	Guid       uuid.UUID
	CreatedAt  time.Time
	Patient    Patient
	Request    Request
	Direction  *Direction
	Resource   *Resource
	Slots      []Slot // empty out of schedule
	Access     Access // the client's mask, which the cells must still share a bit with
	Mkab       uuid.UUID
	Start, End time.Time

	// OneActivePerSpeciality is the region's setting; consultations claim their speciality, and may take over an active claim only where it is off.
	OneActivePerSpeciality bool
	Zone                   *time.Location

	Key *TakenKey // where the request has one; the answer is written to it
}

// HeldDirection is a referral as the target institution holds it, with its appointment: the answer to a booking. Times are in that
// institution's zone, days are their first moments in it. The tags are those of stored responses.
type HeldDirection struct {
	ID          int64       `json:"id"` // in the target institution's own list
	Direction   Direction   `json:"direction"`
	Mkab        uuid.UUID   `json:"mkab_guid"`
	LpuTo       uuid.UUID   `json:"lpu_guid"`
	Appointment Appointment `json:"appointment"`
}

// Appointment is a booked visit (запись на прием).
type Appointment struct {
	Guid      uuid.UUID `json:"guid"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	CreatedAt time.Time `json:"created_at"`
}

// Service books appointments, moves and cancels them, and holds cells for them.
type Service struct {
	store Store
	index MasterIndex
	now   func() time.Time
}

// NewService puts the use cases on top of a store and an index. now is the clock that all rules go by.
func NewService(store Store, index MasterIndex, now func() time.Time) *Service {
	return &Service{store, index, now}
}

// Book books an appointment by referral: facts, rules, write. It answers a *Refusal where a rule forbids it. Nothing is left of a booking
// that fails but the medical card, where one had to be made. key, where there is one, has it booked once; replayed tells that it was booked before.
func (s *Service) Book(ctx context.Context, patient Patient, request Request, key *Key) (held *HeldDirection, replayed bool, err error) {
	return s.once(ctx, patient, key, func(taken *TakenKey) (*HeldDirection, error) { return s.book(ctx, patient, request, taken) })
}

func (s *Service) book(ctx context.Context, patient Patient, request Request, key *TakenKey) (*HeldDirection, error) {
	now := s.now()
	facts, err := s.store.Facts(ctx, patient, request, now)
	if err != nil {
		return nil, fmt.Errorf("load the facts: %w", err)
	}
	if refusal := Check(facts); refusal != nil {
		return nil, s.offerNearest(ctx, facts, refusal)
	}
	if facts.Mkab == nil {
		if err := s.createMkab(ctx, facts); err != nil {
			return nil, err
		}
	}

	wanted := facts.appointment(uuid.Must(uuid.NewV7())) // ordered by time, which keeps the index of a growing table compact
	wanted.Key = key
	held, err := s.store.Create(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("create the appointment: %w", s.explain(ctx, facts, err))
	}
	return held, nil
}

// appointment is the booking that the facts allow, ready to be written.
func (f *Facts) appointment(guid uuid.UUID) NewAppointment {
	start, end := f.visit()
	return NewAppointment{
		Guid:                   guid,
		CreatedAt:              f.Now,
		Patient:                f.Patient,
		Request:                f.Request,
		Direction:              &f.Direction.Direction,
		Resource:               f.Resource,
		Slots:                  f.Slots,
		Access:                 f.access(),
		Mkab:                   f.Mkab.Guid,
		Start:                  start,
		End:                    end,
		OneActivePerSpeciality: f.Target.OneActivePerSpeciality,
		Zone:                   f.Target.Zone,
	}
}

// explain gives the refusal of whoever lost a race its details, which are known only after the winner has committed.
func (s *Service) explain(ctx context.Context, facts *Facts, err error) error {
	var lost *Refusal
	if !errors.As(err, &lost) {
		return err
	}
	if lost.Rule != DirectionAlreadyBooked {
		return s.offerNearest(ctx, facts, lost)
	}
	facts, factsErr := s.store.Facts(ctx, facts.Patient, facts.Request, s.now())
	if factsErr != nil {
		return err // it is the answer also without its details
	}
	if now := Check(facts); now != nil && now.Rule == lost.Rule {
		return now
	}
	return err
}

// createMkab makes the missing card from the master patient index and goes through the rules that only then can be decided.
func (s *Service) createMkab(ctx context.Context, facts *Facts) error {
	var err error
	facts.Person, err = s.index.Person(ctx, facts.Patient.Person)
	if err != nil {
		return fmt.Errorf("ask the master patient index: %w", err)
	}
	if refusal := Check(facts); refusal != nil {
		return refusal
	}
	facts.Mkab, err = s.store.CreateMkab(ctx, facts.Request.LpuTo, facts.Person, facts.Now)
	if err != nil {
		return fmt.Errorf("create the medical card: %w", err)
	}
	if refusal := Check(facts); refusal != nil {
		return refusal
	}
	return nil
}
