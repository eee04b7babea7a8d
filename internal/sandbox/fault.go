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

// faults are injected for certain patients: refusals that demo data alone cannot cause, such as a
// lost race or a failure of another service. A fault affects every request with the token of its
// patient, and no other request.
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
	person(38): {booking.TooManyRequests, atRequest},

	person(unidentifiedPatient): {booking.PatientNotIdentified, atIdentification},
	person(throttledPatient):    {booking.TooManyAttempts, atIdentification},
}

// fault is a refusal that is injected at a stage of a request.
type fault struct {
	rule  booking.Name
	stage stage
}

// stage is a stage of a request.
type stage int

const (
	atRequest stage = iota
	atIndex
	atCard
	atWrite
	atIdentification
)

var errFault = errors.New("fault injected by the sandbox")

// injectFault returns the refusal to inject for the person at the stage, or nil. values are for its
// placeholders.
func injectFault(person uuid.UUID, at stage, values ...string) error {
	injected, ok := faults[person]
	if !ok || injected.stage != at {
		return nil
	}
	refusal := server.Reject(injected.rule, values...).Because(errFault)
	if injected.rule == booking.TooManyAttempts {
		refusal.RetryAfter = booking.PatientLimit.Within
	}
	if injected.rule == booking.TooManyRequests {
		refusal.RetryAfter = time.Second
	}
	return refusal
}

// injectFaults returns the ports of a service that injects the faults.
func injectFaults(ports booking.Ports) booking.Ports {
	ports.Index = faultyIndex{ports.Index}
	ports.Bookings = faultyBookings{ports.Bookings}
	ports.Moves = faultyMoves{ports.Moves}
	ports.Holds = shortHolds{ports.Holds}
	ports.Slots = faultySlots{ports.Slots}
	ports.Keys = faultyKeys{ports.Keys}
	ports.Identities = faultyIdentities{ports.Identities}
	return ports
}

type faultyIndex struct{ booking.MasterIndex }

func (i faultyIndex) Person(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	if err := injectFault(guid, atIndex, "AuthUrl", "https://auth.example/token"); err != nil {
		return nil, err
	}
	return i.MasterIndex.Person(ctx, guid)
}

type faultyBookings struct{ booking.BookStore }

func (s faultyBookings) CreateMkab(
	ctx context.Context, lpu uuid.UUID, person *booking.Person, now time.Time,
) (*booking.Mkab, error) {
	if err := injectFault(person.Guid, atCard); err != nil {
		return nil, err
	}
	return s.BookStore.CreateMkab(ctx, lpu, person, now)
}

func (s faultyBookings) Create(
	ctx context.Context, appointment booking.NewAppointment,
) (*booking.HeldDirection, error) {
	if err := injectFault(appointment.Patient.Person, atWrite); err != nil {
		return nil, err
	}
	return s.BookStore.Create(ctx, appointment)
}

type faultyMoves struct{ booking.MoveStore }

func (s faultyMoves) Move(
	ctx context.Context, appointment booking.NewAppointment, wanted booking.MoveRequest, visit *booking.BookedVisit,
) (*booking.HeldDirection, error) {
	if err := injectFault(appointment.Patient.Person, atWrite); err != nil {
		return nil, err
	}
	return s.MoveStore.Move(ctx, appointment, wanted, visit)
}

// maxHold is the longest duration of a hold.
const maxHold = 15 * time.Minute

// shortHolds shortens the holds of the demo data, which last for weeks, in refusals: to the longest
// duration of a real hold.
type shortHolds struct{ booking.HoldStore }

func (s shortHolds) Hold(
	ctx context.Context, appointment booking.NewAppointment, visit *booking.BookedVisit, until time.Time,
) (*booking.Hold, error) {
	held, err := s.HoldStore.Hold(ctx, appointment, visit, until)
	var refusal *booking.Refusal
	if errors.As(err, &refusal) && refusal.RetryAfter > maxHold {
		refusal.RetryAfter = maxHold
		end := appointment.CreatedAt.Add(maxHold).Truncate(time.Second).In(appointment.Zone)
		for i := range refusal.Remedies.Holds {
			refusal.Remedies.Holds[i].Until = end
		}
	}
	return held, err
}

// faultySlots does not offer the cell that the fault SlotTaken reports as taken.
type faultySlots struct{ booking.SlotFinder }

func (s faultySlots) NearestSlots(
	ctx context.Context, scan booking.SlotScan, wanted time.Time,
) ([]booking.FoundSlot, error) {
	slots, err := s.SlotFinder.NearestSlots(ctx, scan, wanted)
	if faults[scan.Person].rule == booking.SlotTaken {
		slots = slices.DeleteFunc(slots, func(slot booking.FoundSlot) bool { return slot.Cells[0].Start.Equal(wanted) })
	}
	return slots, err
}

// keyInUse is an Idempotency-Key whose first request never ends.
const keyInUse = "demo-in-use"

type faultyKeys struct{ booking.Keys }

func (s faultyKeys) TakeKey(
	ctx context.Context, patient booking.Patient, key booking.Key, now time.Time, lease time.Duration,
) (*booking.TakenKey, *booking.HeldDirection, error) {
	if key.Text == keyInUse {
		return nil, nil, booking.Reject(booking.IdempotencyKeyInUse).Because(errFault)
	}
	return s.Keys.TakeKey(ctx, patient, key, now, lease)
}

type faultyIdentities struct{ booking.Identities }

func (s faultyIdentities) Identify(
	ctx context.Context, client uuid.UUID, evidence booking.Evidence, now time.Time,
) (uuid.UUID, error) {
	if err := injectFault(evidence.Person, atIdentification); err != nil {
		return uuid.Nil, err
	}
	return s.Identities.Identify(ctx, client, evidence, now)
}
