// Package wire converts domain values to types of the contract that several packages write.
package wire

import (
	"time"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// ErrorDetails returns the remedies of a refusal in the type of the contract, nil for nil.
func ErrorDetails(remedies *booking.Remedies) *api.ErrorDetails {
	if remedies == nil {
		return nil
	}
	return &api.ErrorDetails{
		Appointment: ExistingAppointment(remedies.Appointment),
		Slots:       nearestSlots(remedies.Slots),
		Holds:       holds(remedies.Holds),
		Fields:      fields(remedies.Fields),
		Conflicts:   conflicts(remedies.Conflicts),
	}
}

// fields returns invalid fields as fields of the body.
func fields(invalid []booking.FieldProblem) *[]api.FieldProblem {
	if len(invalid) == 0 {
		return nil
	}
	fields := make([]api.FieldProblem, len(invalid))
	for i, field := range invalid {
		fields[i] = api.FieldProblem{In: api.FieldProblemInBody, Name: field.Name, Problem: field.Code}
	}
	return &fields
}

func conflicts(given []booking.CellConflict) *[]api.CellConflict {
	if len(given) == 0 {
		return nil
	}
	return new(CellConflicts(given))
}

// mostConflicts is the number of conflicts, and of the visits of one, that a response lists.
const mostConflicts = 100

// CellConflicts returns up to 100 conflicts, each with up to 100 visits.
func CellConflicts(given []booking.CellConflict) []api.CellConflict {
	conflicts := make([]api.CellConflict, min(len(given), mostConflicts))
	for i := range conflicts {
		conflict := &given[i]
		visits := make([]api.CellVisit, min(len(conflict.Visits), mostConflicts))
		for n := range visits {
			visit := &conflict.Visits[n]
			visits[n] = api.CellVisit{GUID: visit.Guid, Start: visit.Start.Truncate(time.Second)}
		}
		conflicts[i] = api.CellConflict{SlotGUID: conflict.Cell, Kind: string(conflict.Kind), Appointments: visits}
	}
	return conflicts
}

// ExistingAppointment returns a visit in short form, times in whole seconds; nil for nil.
func ExistingAppointment(a *booking.ExistingAppointment) *api.ExistingAppointment {
	if a == nil {
		return nil
	}
	return &api.ExistingAppointment{
		GUID: a.Guid, LpuGUID: a.Lpu, Start: a.Start.Truncate(time.Second), End: a.End.Truncate(time.Second),
	}
}

// LpuPlace returns an institution with its address and its zone.
func LpuPlace(l *booking.LpuPlace) api.LpuPlace {
	return api.LpuPlace{
		GUID: l.Guid, Name: l.Name, Address: l.Address, Phone: l.Phone, TimeZone: l.Zone.String(),
	}
}

// Resource returns a doctor, a room or a piece of equipment.
func Resource(r *booking.Resource) api.Resource {
	return api.Resource{
		GUID: r.Guid, Kind: string(r.Kind), Name: r.Name, Room: r.Room, SpecialityCode: r.SpecialityCode,
	}
}

// Hold returns a held cell. Its start and end are in whole seconds.
func Hold(h *booking.Hold) api.Hold {
	return api.Hold{
		SlotGUID:      h.Slots[0],
		LpuToGUID:     h.Lpu,
		DirectionGUID: h.Direction,
		Start:         h.Start.Truncate(time.Second),
		End:           h.End.Truncate(time.Second),
		SlotGuids:     h.Slots,
		HeldUntil:     h.Until,
	}
}

func holds(active []booking.Hold) *[]api.Hold {
	if len(active) == 0 {
		return nil
	}
	holds := make([]api.Hold, len(active))
	for i := range active {
		holds[i] = Hold(&active[i])
	}
	return &holds
}

func nearestSlots(offered []booking.OfferedSlot) *[]api.NearestSlot {
	if len(offered) == 0 {
		return nil
	}
	slots := make([]api.NearestSlot, len(offered))
	for i := range offered {
		o := &offered[i]
		slots[i] = api.NearestSlot{
			ID:       o.ID,
			GUID:     o.Cells[0].Guid,
			Start:    o.Start().Truncate(time.Second),
			End:      o.End().Truncate(time.Second),
			Resource: Resource(o.Resource),
		}
	}
	return &slots
}

// NilIfZero returns a pointer to the value, or nil for the zero value, which is null in JSON.
func NilIfZero[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
