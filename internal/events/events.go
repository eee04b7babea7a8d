// Package events tells client applications what has happened to visits, referrals and schedules:
// the feed (лента событий). An event is written by the transaction of its change. Afterwards the
// recorder gives it its place in the feed.
package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Type is the name of what has happened.
type Type string

// The types. Those of a referral go to the institution that holds its original.
const (
	AppointmentBooked     Type = "appointment.booked"
	AppointmentMoved      Type = "appointment.moved" // also to the institution that it has left
	AppointmentCancelled  Type = "appointment.cancelled"
	AppointmentChanged    Type = "appointment.changed" // its card was merged into another one
	AppointmentArrived    Type = "appointment.arrived"
	AppointmentFulfilled  Type = "appointment.fulfilled"
	AppointmentNoShow     Type = "appointment.no_show"
	AppointmentUnattended Type = "appointment.unattended" // its attendance was undone
	ReferralChanged       Type = "referral.changed"       // its source has written it
	ReferralWithdrawn     Type = "referral.withdrawn"
	ReferralBooked        Type = "referral.booked"    // also if the visit was moved
	ReferralReleased      Type = "referral.released"  // its visit was cancelled
	ReferralCompleted     Type = "referral.completed" // its visit took place
	ScheduleChanged       Type = "schedule.changed"   // cells of a period
)

// Event is something that has happened. It contains no personal data: a reader that may know more
// reads the object. Of the objects only those are set that the event is about.
type Event struct {
	Place

	Lpu         uuid.UUID // the institution that it is for
	Sequence    int64     // its place among the events of the institution, without gaps from 1
	Type        Type
	At          time.Time // of the change
	Appointment uuid.UUID
	Direction   uuid.UUID
	Resource    uuid.UUID
	From, To    time.Time // the period of a schedule
	Version     int64     // of the visit, or of the message of the source
}

// Place is a place in the feed of the region: that of an event, or the zero value, which is before
// the first one. Positions have gaps. They are never given again, not even by a database that was
// restored from a backup, and has lost the events that they were given to.
type Place struct {
	RecordedAt time.Time
	Position   int64
}

// after reports whether a place is after another one.
func (p Place) after(other Place) bool {
	return p.RecordedAt.After(other.RecordedAt) ||
		p.RecordedAt.Equal(other.RecordedAt) && p.Position > other.Position
}

// equal reports whether two places are the same.
func (p Place) equal(other Place) bool {
	return p.Position == other.Position && p.RecordedAt.Equal(other.RecordedAt)
}

// Ends are the ends of the feed.
type Ends struct {
	Last    Place
	Dropped int64 // the position of the last event that is not kept any more, 0 if there is none
}

// Store keeps the events.
type Store interface {
	// Record gives at most the given number of waiting events their places, and returns how many.
	// It does nothing while another instance does it.
	Record(ctx context.Context, now time.Time, most int) (int, error)
	// Ends returns the ends of the feed.
	Ends(ctx context.Context) (Ends, error)
	// IsPlace reports whether the feed has an event at a place.
	IsPlace(ctx context.Context, place Place) (bool, error)
	// Events returns at most the given number of events after a place, in order: those of the
	// institutions for which the rights hold.
	Events(ctx context.Context, rights booking.SystemRights, after Place, most int) ([]Event, error)
}

// Kept is how long events are kept.
const Kept = 30 * 24 * time.Hour
