package sandbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// faults are the patients who always meet what data alone cannot cause: a lost race, or a failure outside. Their token is the switch:
// a request with it meets the fault, and no other request does.
var faults = map[uuid.UUID]fault{
	person(21): {booking.MipAuthURLEmpty, atIndex},
	person(22): {booking.MipAuthURLUnreachable, atIndex},
	person(23): {booking.MipUnavailable, atIndex},
	person(24): {booking.MkabPolicyLinkFailed, atCard},
	person(25): {booking.SlotTaken, atWrite},
	person(26): {booking.AppointmentNotCreated, atWrite},
	person(27): {booking.AppointmentNotFound, atWrite},
	person(28): {booking.AppointmentNotLinked, atWrite},
	person(30): {server.InternalError, atRequest},
	person(31): {booking.DatabaseUnavailable, atRequest},
	person(32): {server.KeysUnavailable, atRequest},
	person(33): {booking.Overloaded, atRequest},
	person(34): {server.NotReady, atRequest},

	person(unidentified): {booking.PatientNotIdentified, atIdentification},
	person(overguessed):  {booking.TooManyAttempts, atIdentification},
}

type fault struct {
	rule booking.Name
	at   place
}

// place is where a request meets its fault.
type place int

const (
	atRequest place = iota
	atIndex
	atCard
	atWrite
	atIdentification
)

var errFault = errors.New("the sandbox gives this patient no other answer")

// meet returns the refusal that a person always meets at a place, or nil. values fill its placeholders.
func meet(person uuid.UUID, at place, values ...string) error {
	met, ok := faults[person]
	if !ok || met.at != at {
		return nil
	}
	refusal := server.Reject(met.rule, values...).Because(errFault)
	if met.rule == booking.TooManyAttempts {
		refusal.RetryAfter = booking.PatientLimit.Within
	}
	return refusal
}

// Store is a booking.Store in which some patients meet their faults.
type Store struct {
	booking.Store
}

// CreateMkab implements booking.Store.
func (s Store) CreateMkab(ctx context.Context, lpu uuid.UUID, person *booking.Person, now time.Time) (*booking.Mkab, error) {
	if err := meet(person.Guid, atCard); err != nil {
		return nil, err
	}
	return s.Store.CreateMkab(ctx, lpu, person, now)
}

// Create implements booking.Store.
func (s Store) Create(ctx context.Context, appointment booking.NewAppointment) (*booking.HeldDirection, error) {
	if err := meet(appointment.Patient.Person, atWrite); err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, appointment)
}

// longestHold is how long a hold can stand.
const longestHold = 15 * time.Minute

// Hold implements booking.HoldStore. The holds that the data come with stand for weeks, but are told like any.
func (s Store) Hold(ctx context.Context, appointment booking.NewAppointment, visit *booking.BookedVisit, until time.Time) (*booking.Hold, error) {
	held, err := s.Store.Hold(ctx, appointment, visit, until)
	var refusal *booking.Refusal
	if errors.As(err, &refusal) && refusal.RetryAfter > longestHold {
		refusal.RetryAfter = longestHold
		for i := range refusal.Details.Holds {
			refusal.Details.Holds[i].Until = appointment.CreatedAt.Add(longestHold).Truncate(time.Second).In(appointment.Zone)
		}
	}
	return held, err
}

// Move implements booking.VisitStore.
func (s Store) Move(
	ctx context.Context, appointment booking.NewAppointment, wanted booking.MoveRequest, visit *booking.BookedVisit,
) (*booking.HeldDirection, error) {
	if err := meet(appointment.Patient.Person, atWrite); err != nil {
		return nil, err
	}
	return s.Store.Move(ctx, appointment, wanted, visit)
}

// NearestSlots implements booking.SlotFinder: to whoever has lost a cell it is not offered again.
func (s Store) NearestSlots(ctx context.Context, scan booking.SlotScan, wanted time.Time) ([]booking.FoundSlot, error) {
	found, err := s.Store.NearestSlots(ctx, scan, wanted)
	if faults[scan.Person].rule == booking.SlotTaken {
		found = slices.DeleteFunc(found, func(slot booking.FoundSlot) bool { return slot.Cells[0].Start.Equal(wanted) })
	}
	return found, err
}

// keyInUse is an Idempotency-Key whose request runs for ever.
const keyInUse = "demo-in-use"

// TakeKey implements booking.Keys.
func (s Store) TakeKey(ctx context.Context, patient booking.Patient, key booking.Key, now time.Time, lease time.Duration) (*booking.TakenKey, *booking.HeldDirection, error) {
	if key.Text == keyInUse {
		return nil, nil, booking.Reject(booking.IdempotencyKeyInUse).Because(errFault)
	}
	return s.Store.TakeKey(ctx, patient, key, now, lease)
}

// Identify implements booking.Identities.
func (s Store) Identify(ctx context.Context, client uuid.UUID, shown booking.Evidence, now time.Time) (uuid.UUID, error) {
	if err := meet(shown.Person, atIdentification); err != nil {
		return uuid.Nil, err
	}
	return s.Store.Identify(ctx, client, shown, now)
}

// Index is a booking.MasterIndex in which some patients meet their faults.
type Index struct {
	booking.MasterIndex
}

// Person implements booking.MasterIndex.
func (i Index) Person(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	if err := meet(guid, atIndex, "AuthUrl", "https://auth.example/token"); err != nil {
		return nil, err
	}
	return i.MasterIndex.Person(ctx, guid)
}
