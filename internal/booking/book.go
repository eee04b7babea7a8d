package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// BookStore writes bookings. Its methods return a *Refusal if the database decides a rule.
type BookStore interface {
	// CreateMkab creates the person's card in an institution and links the policy to it. If another
	// booking has created an open card meanwhile, it returns that one.
	CreateMkab(ctx context.Context, lpu uuid.UUID, person *Person, now time.Time) (*Mkab, error)
	// Create writes the booking in one transaction. It returns a *Refusal if another booking took
	// the cell, the referral or the speciality first, and ErrDirectionChanged if the referral was
	// changed.
	Create(ctx context.Context, appointment NewAppointment) (*HeldDirection, error)
}

// MasterIndex is the region's master patient index (МИП). Person returns a *Refusal if the index
// does not know the person, has no data, or is unavailable.
type MasterIndex interface {
	Person(ctx context.Context, guid uuid.UUID) (*Person, error)
}

// NewAppointment is a booking that all rules accept.
type NewAppointment struct {
	Guid       uuid.UUID
	CreatedAt  time.Time
	Patient    Patient
	Request    Request
	Direction  *Direction
	SourceMkab uuid.UUID // the card for which the referral was issued
	Resource   *Resource
	Slots      []Slot // empty out of schedule
	Access     Access // the client's mask; the cells must still share a bit with it
	Mkab       uuid.UUID
	Start, End time.Time

	// OneActivePerSpeciality is the region's setting. Each consultation claims its speciality. It
	// may replace an active claim only if the setting is off.
	OneActivePerSpeciality bool
	Zone                   *time.Location

	BookedBy Booker
	LastMove *LastMove // nil for a booking

	Key *TakenKey // nil without an idempotency key; Create stores the response under it
}

// HeldDirection is the response to a booking: the referral as stored in the target institution,
// with its appointment. Times are in the zone of that institution; dates are midnight of the day.
// The JSON tags are those of stored responses.
type HeldDirection struct {
	ID          int64       `json:"id"` // number in the target institution
	Direction   Direction   `json:"direction"`
	Mkab        uuid.UUID   `json:"mkab_guid"`
	LpuTo       uuid.UUID   `json:"lpu_guid"`
	Appointment Appointment `json:"appointment"`

	// Visit is set if an institution has booked or moved the visit. Patients do not see it.
	Visit *HeldVisit `json:"visit,omitempty"`
}

// Appointment is a booked visit (запись на прием).
type Appointment struct {
	Guid      uuid.UUID `json:"guid"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	CreatedAt time.Time `json:"created_at"`
}

// Book books an appointment by referral: it loads the facts, checks the rules and writes. It
// returns a *Refusal if a rule rejects the booking. A failed booking leaves nothing behind, except
// a medical card that it created. key may be nil. With a key, the booking is done once; replayed
// reports that the response is that of an earlier request.
func (s *Service) Book(
	ctx context.Context, patient Patient, request Request, key *Key,
) (held *HeldDirection, replayed bool, err error) {
	return s.withKey(ctx, patient, key, func(taken *TakenKey) (*HeldDirection, error) {
		held, err := repeatIfChanged(func() (*HeldDirection, error) { return s.book(ctx, patient, request, taken) })
		return held, patient.withhold(err)
	})
}

func (s *Service) book(
	ctx context.Context, patient Patient, request Request, key *TakenKey,
) (*HeldDirection, error) {
	now := s.now()
	facts, err := s.ports.Reader.Facts(ctx, patient, request, now)
	if err != nil {
		return nil, fmt.Errorf("load the facts: %w", err)
	}
	if refusal := Check(facts); refusal != nil {
		return nil, s.addNearest(ctx, facts, refusal)
	}
	if facts.Mkab == nil {
		if err := s.createMkab(ctx, facts); err != nil {
			return nil, err
		}
	}

	wanted := facts.appointment(uuid.Must(uuid.NewV7())) // ordered by time, for a compact index
	wanted.Key = key
	held, err := s.ports.Bookings.Create(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("create the appointment: %w", s.addRemedies(ctx, facts, err))
	}
	return held, nil
}

// appointment returns the booking to write.
func (f *Facts) appointment(guid uuid.UUID) NewAppointment {
	start, end := f.visit()
	return NewAppointment{
		Guid:                   guid,
		CreatedAt:              f.Now,
		Patient:                f.Patient,
		Request:                f.Request,
		Direction:              &f.Direction.Direction,
		SourceMkab:             f.Direction.Mkab,
		Resource:               f.Resource,
		Slots:                  f.Slots,
		Access:                 f.access(),
		Mkab:                   f.Mkab.Guid,
		Start:                  start,
		End:                    end,
		OneActivePerSpeciality: f.Target.OneActivePerSpeciality,
		Zone:                   f.Target.Zone,
		BookedBy:               Booker{f.Patient.initiator(), f.Patient.Client},
	}
}

// addRemedies adds the remedies to the refusal of a request that lost a race. They are known only
// after the winner has committed.
func (s *Service) addRemedies(ctx context.Context, facts *Facts, err error) error {
	var lost *Refusal
	if !errors.As(err, &lost) {
		return err
	}
	if lost.Rule != DirectionAlreadyBooked {
		return s.addNearest(ctx, facts, lost)
	}
	facts, factsErr := s.ports.Reader.Facts(ctx, facts.Patient, facts.Request, s.now())
	if factsErr != nil {
		return err // the refusal is valid without remedies
	}
	if now := Check(facts); now != nil && now.Rule == lost.Rule {
		return facts.explain(now)
	}
	return err
}

// createMkab creates the missing card from the master patient index and checks the rules that
// depend on the person and the card.
func (s *Service) createMkab(ctx context.Context, facts *Facts) error {
	var err error
	facts.Person, err = s.ports.Index.Person(ctx, facts.Patient.Person)
	if err != nil {
		return fmt.Errorf("query the master patient index: %w", err)
	}
	if refusal := Check(facts); refusal != nil {
		return facts.explain(refusal)
	}
	facts.Mkab, err = s.ports.Bookings.CreateMkab(ctx, facts.Request.LpuTo, facts.Person, facts.Now)
	if err != nil {
		return fmt.Errorf("create the medical card: %w", err)
	}
	if refusal := Check(facts); refusal != nil {
		return facts.explain(refusal)
	}
	return nil
}
