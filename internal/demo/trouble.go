package demo

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// troubles are the patients who always meet what data cannot make: a race that is lost, or a failure outside. They are the sandbox's switch for it: whoever asks
// with their token has it, and nobody else.
var troubles = map[uuid.UUID]trouble{
	person(21): {booking.MipAuthURLEmpty, atTheIndex},
	person(22): {booking.MipAuthURLUnreachable, atTheIndex},
	person(23): {booking.MipUnavailable, atTheIndex},
	person(24): {booking.MkabPolicyLinkFailed, atTheCard},
	person(25): {booking.SlotTaken, atTheWrite},
	person(26): {booking.AppointmentNotCreated, atTheWrite},
	person(27): {booking.AppointmentNotFound, atTheWrite},
	person(28): {booking.AppointmentNotLinked, atTheWrite},
	person(30): {booking.InternalError, atTheDoor},
	person(31): {booking.DatabaseUnavailable, atTheDoor},
	person(32): {booking.KeysUnavailable, atTheDoor},
	person(33): {booking.Overloaded, atTheDoor},
	person(34): {booking.NotReady, atTheDoor},

	person(unidentified): {booking.PatientNotIdentified, atTheIdentification},
	person(overguessed):  {booking.TooManyAttempts, atTheIdentification},
}

type trouble struct {
	rule booking.Name
	at   place
}

// place is where a trouble is met.
type place int

const (
	atTheDoor place = iota
	atTheIndex
	atTheCard
	atTheWrite
	atTheIdentification
)

var errTrouble = errors.New("the sandbox gives this patient no other answer")

// meet answers the refusal that a person always meets at a place, or nil.
func meet(person uuid.UUID, at place, values ...string) error {
	met, ok := troubles[person]
	if !ok || met.at != at {
		return nil
	}
	refusal := booking.Refuse(met.rule, values...).Because(errTrouble)
	if met.rule == booking.TooManyAttempts {
		refusal.RetryAfter = booking.PatientLimit.Within
	}
	return refusal
}

// Trouble answers the refusal of a person who is answered nothing else, whatever is asked, or nil.
func Trouble(person uuid.UUID) error { return meet(person, atTheDoor) }

// Store is a store in which the troubled patients of the sandbox meet what is theirs. All others meet the store.
type Store struct {
	booking.Store
}

// CreateMkab implements booking.Store.
func (s Store) CreateMkab(ctx context.Context, lpu uuid.UUID, person *booking.Person, now time.Time) (*booking.Mkab, error) {
	if err := meet(person.Guid, atTheCard); err != nil {
		return nil, err
	}
	return s.Store.CreateMkab(ctx, lpu, person, now)
}

// Create implements booking.Store.
func (s Store) Create(ctx context.Context, appointment booking.NewAppointment) (*booking.HeldDirection, error) {
	if err := meet(appointment.Patient.Person, atTheWrite); err != nil {
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
	if err := meet(appointment.Patient.Person, atTheWrite); err != nil {
		return nil, err
	}
	return s.Store.Move(ctx, appointment, wanted, visit)
}

// NearestSlots implements booking.SlotFinder: to whoever has lost a cell it is not offered again.
func (s Store) NearestSlots(ctx context.Context, scan booking.SlotScan, wanted time.Time) ([]booking.FoundSlot, error) {
	found, err := s.Store.NearestSlots(ctx, scan, wanted)
	if troubles[scan.Person].rule == booking.SlotTaken {
		found = slices.DeleteFunc(found, func(slot booking.FoundSlot) bool { return slot.Cells[0].Start.Equal(wanted) })
	}
	return found, err
}

// keyInUse is an Idempotency-Key whose request runs for ever.
const keyInUse = "demo-in-use"

// TakeKey implements booking.Keys.
func (s Store) TakeKey(ctx context.Context, patient booking.Patient, key booking.Key, now time.Time, lease time.Duration) (*booking.TakenKey, *booking.HeldDirection, error) {
	if key.Text == keyInUse {
		return nil, nil, booking.Refuse(booking.KeyInUse).Because(errTrouble)
	}
	return s.Store.TakeKey(ctx, patient, key, now, lease)
}

// Identify implements booking.Identities.
func (s Store) Identify(ctx context.Context, client uuid.UUID, shown booking.Evidence, now time.Time) (uuid.UUID, error) {
	if err := meet(shown.Person, atTheIdentification); err != nil {
		return uuid.Nil, err
	}
	return s.Store.Identify(ctx, client, shown, now)
}

// Index is a master patient index at which the troubled patients of the sandbox meet what is theirs.
type Index struct {
	booking.MasterIndex
}

// Person implements booking.MasterIndex.
func (i Index) Person(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	if err := meet(guid, atTheIndex, "AuthUrl", "https://auth.example/token"); err != nil {
		return nil, err
	}
	return i.MasterIndex.Person(ctx, guid)
}
