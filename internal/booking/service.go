// Package booking is the domain of Talon: the request for an appointment by referral (запись на
// прием по направлению), the facts that decide it, the table of documented rules, and the use
// cases. It imports no HTTP, SQL or generated code.
package booking

import "time"

// Ports are what the use cases need from the database and from the master patient index. Each is
// declared next to the use case that calls it. A use case that is never called needs no port.
type Ports struct {
	Reader       FactReader
	Bookings     BookStore
	Index        MasterIndex
	Moves        MoveStore
	Cancels      CancelStore
	Holds        HoldStore
	Slots        SlotFinder
	Directions   DirectionLister
	Appointments AppointmentLister
	Settings     SettingReader
	Keys         Keys
	Clients      ClientStore
	Identities   Identities
}

// Service books appointments, moves and cancels them, and holds cells for them.
type Service struct {
	ports Ports
	now   func() time.Time
}

// NewService returns a service over the ports. now is the clock of all rules.
func NewService(ports Ports, now func() time.Time) *Service { return &Service{ports, now} }
