// Package wire writes the values of booking in the types of the contract, where a response and an
// error have them alike.
package wire

import (
	"time"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// ErrorDetails returns the details of a refusal as the contract has them, nil for nil.
func ErrorDetails(details *booking.Remedies) *api.ErrorDetails {
	if details == nil {
		return nil
	}
	return &api.ErrorDetails{
		Appointment: ExistingAppointment(details.Appointment),
		Slots:       nearestSlots(details.Slots),
		Holds:       holds(details.Holds),
	}
}

// ExistingAppointment returns a visit in short form, times in whole seconds; nil for nil.
func ExistingAppointment(a *booking.ExistingAppointment) *api.ExistingAppointment {
	if a == nil {
		return nil
	}
	return &api.ExistingAppointment{GUID: a.Guid, LpuGUID: a.Lpu, Start: a.Start.Truncate(time.Second), End: a.End.Truncate(time.Second)}
}

// Resource returns a doctor, a room or a device.
func Resource(r *booking.Resource) api.Resource {
	return api.Resource{GUID: r.Guid, Kind: api.ResourceKind(r.Kind), Name: r.Name, SpecialityCode: r.SpecialityCode}
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

func holds(standing []booking.Hold) *[]api.Hold {
	if len(standing) == 0 {
		return nil
	}
	holds := make([]api.Hold, len(standing))
	for i := range standing {
		holds[i] = Hold(&standing[i])
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
