package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Facts implements booking.Store. Each statement is about one institution or one person, so that each would be answered by one machine of a
// distributed database. All see one snapshot: between two of them another booking may commit, and half of it would be refused by the wrong rule.
func (s *Store) Facts(ctx context.Context, patient booking.Patient, request booking.Request, now time.Time) (*booking.Facts, error) {
	return retry(ctx, s.pool.Reset, func() (*booking.Facts, error) { return s.facts(ctx, patient, request, nil, now) })
}

// MoveFacts implements booking.Store.
func (s *Store) MoveFacts(
	ctx context.Context, patient booking.Patient, request booking.Request, visit *booking.BookedVisit, now time.Time,
) (*booking.Facts, error) {
	return retry(ctx, s.pool.Reset, func() (*booking.Facts, error) {
		facts, err := s.facts(ctx, patient, request, visit, now)
		if err != nil || facts.Moved != nil {
			return facts, err
		}
		// Another request may have moved it into an institution where the patient had no card when it was found.
		again, err := s.Visit(ctx, patient.Person, visit.Guid)
		if err != nil || again == nil {
			return facts, err
		}
		visit = again
		return nil, errMoving
	})
}

// facts reads what a booking needs, and for the move of a visit what that holds, to take it out.
func (s *Store) facts(
	ctx context.Context, patient booking.Patient, request booking.Request, visit *booking.BookedVisit, now time.Time,
) (*booking.Facts, error) {
	facts := &booking.Facts{Now: now, Patient: patient, Request: request}
	read := &reader{facts: facts}
	err := s.snapshot(ctx, func(t *tx) {
		if err := read.use(t.reference); err != nil {
			t.fail(err)
			return
		}
		if visit != nil {
			read.queueMoved(t, visit)
			row(t, t.AppointmentGet(ctx, []db.AppointmentGetParams{{LpuGuid: request.LpuTo, Guid: visit.Guid}}).QueryRow, read.holding)
		}
		read.queueDirection(t)
		rows(t, t.SpecialityClaimFacts(ctx, []db.SpecialityClaimFactsParams{{PersonGuid: patient.Person, At: now}}).Query, read.active)
		rows(t, t.MkabFacts(ctx, []db.MkabFactsParams{{LpuGuid: request.LpuTo, PersonGuid: patient.Person}}).Query, read.mkabs)
		if out := request.Place.OutOfSchedule; out != nil {
			row(t, t.ResourceFacts(ctx, []db.ResourceFactsParams{{LpuGuid: request.LpuTo, Guid: out.Resource}}).QueryRow, read.resource)
		} else {
			read.queueSlots(t)
		}
	})
	if err != nil {
		return nil, err
	}
	read.hold()
	return facts, nil
}

// queueMoved queues the statements that find the visit that is moved, and the consultation that its claim would go to. They come first: the visit's own part
// is taken out of what the later ones find.
func (r *reader) queueMoved(t *tx, visit *booking.BookedVisit) {
	person, now := r.facts.Patient.Person, r.facts.Now
	row(t, t.AppointmentFind(t.ctx, []db.AppointmentFindParams{{LpuGuids: visit.Person.Lpus, PersonGuid: person, Guid: visit.Guid}}).QueryRow,
		func(row db.AppointmentFindRow, err error) error {
			if err == nil {
				r.facts.Moved, err = r.known.visit(row, visit.Person)
			}
			return unlessAbsent(err)
		})
	row(t, t.AppointmentHeir(t.ctx, []db.AppointmentHeirParams{
		{LpuGuids: visit.Person.Lpus, Visits: visit.Person.Visits, PersonGuid: person, Guid: visit.Guid, At: now, SpecialityCode: visit.SpecialityCode},
	}).QueryRow, r.heirOf)
}

// mostOverlapping is how many cells of one resource may begin at one time and still leave room for a complex slot among those that are read.
const mostOverlapping = 4

// queueSlots queues the statement that reads the chosen cell, and for a complex slot those after it. One cell is found by a simpler statement, since most
// visits take one.
func (r *reader) queueSlots(t *tx) {
	request := r.facts.Request
	params := db.SlotFactsParams{
		LpuGuid: request.LpuTo, PersonGuid: r.facts.Patient.Person, At: r.facts.Now, Receptions: r.known.receptions,
		Most: int32(request.Difficulty * mostOverlapping),
	}
	if request.Place.SlotID != 0 {
		params.ID = &request.Place.SlotID
	} else {
		params.Guid = &request.Place.SlotGuid
	}
	if request.Difficulty > 1 {
		rows(t, t.SlotFacts(t.ctx, []db.SlotFactsParams{params}).Query, r.slots)
		return
	}
	row(t, t.SlotFactsOne(t.ctx, []db.SlotFactsOneParams{{
		LpuGuid: params.LpuGuid, PersonGuid: params.PersonGuid, At: params.At, Receptions: params.Receptions, ID: params.ID, Guid: params.Guid,
	}}).QueryRow, func(cell db.SlotFactsOneRow, err error) error {
		if err != nil {
			return unlessAbsent(err)
		}
		return r.slots([]db.SlotFactsRow{db.SlotFactsRow(cell)})
	})
}

// reader puts the rows of a snapshot into the facts. A row that does not exist leaves its fact nil.
type reader struct {
	facts *booking.Facts
	known *reference

	// Of a visit that is moved: the consultation that its claim would go to, and the appointment where the request's target has it.
	heir *booking.ActiveAppointment
	held *db.AppointmentGetRow
}

// use takes the target institution from the reference data.
func (r *reader) use(known *reference) (err error) {
	r.known = known
	r.facts.Target, err = known.target(r.facts.Request.LpuTo, r.facts.Patient.Client)
	return err
}

// queueDirection queues the statement that finds the referral. There is none of a type that is not supported.
func (r *reader) queueDirection(t *tx) {
	if request := r.facts.Request; request.Type != "" {
		row(t, t.DirectionFacts(t.ctx, []db.DirectionFactsParams{
			{LpuGuid: request.LpuFrom, Guid: request.Direction, Type: db.DirectionType(request.Type)},
		}).QueryRow, r.direction)
	}
}

func (r *reader) heirOf(row db.AppointmentHeirRow, err error) error {
	if err != nil {
		return unlessAbsent(err)
	}
	existing, err := r.known.existing(row.Guid, row.LpuGuid, row.StartAt, row.EndAt)
	r.heir = &booking.ActiveAppointment{ExistingAppointment: existing, SpecialityCode: row.SpecialityCode, ResourceName: row.ResourceName}
	return err
}

func (r *reader) holding(row db.AppointmentGetRow, err error) error {
	if err == nil {
		r.held = &row
	}
	return unlessAbsent(err)
}

// hold gives the answer to a move that changes nothing, as soon as the target's zone is known.
func (r *reader) hold() {
	if r.held != nil && r.held.Linked && r.facts.Target != nil {
		r.facts.Held = heldDirection(*r.held, r.facts.Target.Zone)
	}
}

// own tells whether an appointment is the visit that is moved.
func (r *reader) own(appointment uuid.UUID) bool {
	return r.facts.Moved != nil && r.facts.Moved.Guid == appointment
}

func (r *reader) direction(row db.DirectionFactsRow, err error) error {
	if err != nil {
		return unlessAbsent(err)
	}
	holderZone, err := r.known.zone(r.facts.Request.LpuFrom)
	if err != nil {
		return err
	}
	d := row.Direction
	r.facts.Direction = &booking.IssuedDirection{
		Direction:         direction(&d),
		Person:            row.PersonGuid,
		BirthDate:         row.BirthDate,
		Disabled:          row.Disabled,
		Pregnant:          row.Pregnant,
		HolderZone:        holderZone,
		HolderLegalEntity: r.known.lpus[d.LpuGuid].legalEntity,
		FromLegalEntity:   r.known.lpus[d.LpuFromGuid].legalEntity,
	}
	if d.LpuToGuid != nil {
		if to, ok := r.known.lpus[*d.LpuToGuid]; ok {
			r.facts.Direction.ToLegalEntity = &to.legalEntity
		}
	}
	r.tap(row.TapOpenedOn)
	if d.AppointmentGuid == nil || r.own(*d.AppointmentGuid) {
		return nil
	}
	existing := booking.ExistingAppointment{Guid: *d.AppointmentGuid}
	if d.AppointmentLpuGuid != nil && d.AppointmentStartAt != nil && d.AppointmentEndAt != nil {
		existing, err = r.known.existing(existing.Guid, *d.AppointmentLpuGuid, *d.AppointmentStartAt, *d.AppointmentEndAt)
	}
	r.facts.Direction.Appointment = &existing
	return err
}

// direction is a referral as it is stored, with its times and days as the database returns them.
func direction(d *db.Direction) booking.Direction {
	return booking.Direction{
		Guid:            d.Guid,
		Type:            booking.DirectionType(d.Type),
		Number:          d.Number,
		AccessionNumber: d.AccessionNumber,
		Date:            d.Date,
		DateEnd:         d.DateEnd,
		CreatedAt:       d.CreatedAt,
		Sender:          d.DocPrvdSenderGuid,
		Reason:          d.Reason,
		Comment:         d.Comment,
		Urgent:          d.Urgent,
		Flags:           d.Flags,
		SpecialityCode:  d.SpecialityCode,
		SpecialityName:  d.SpecialityName,
		MkbCode:         d.MkbCode,
		MkbName:         d.MkbName,
		LpuFrom:         d.LpuFromGuid,
		LpuTo:           d.LpuToGuid,
	}
}

// mkabs takes the patient's card in the target institution, and its cases of treatment.
func (r *reader) mkabs(rows []db.MkabFactsRow) error {
	if len(rows) > 0 {
		r.facts.Mkab = &booking.Mkab{Guid: rows[0].Guid, Closed: rows[0].ClosedAt != nil}
	}
	for _, row := range rows {
		r.tap(row.TapOpenedOn)
	}
	return nil
}

// tap takes the day on which a case of treatment was opened, if it is the newest. The zero time is that of none.
func (r *reader) tap(opened time.Time) {
	if !opened.IsZero() && (r.facts.TapOpened == nil || opened.After(*r.facts.TapOpened)) {
		r.facts.TapOpened = &opened
	}
}

func (r *reader) active(rows []db.SpecialityClaimFactsRow) error {
	for _, row := range rows {
		if r.own(row.AppointmentGuid) {
			if r.heir != nil {
				r.facts.Active = append(r.facts.Active, *r.heir)
			}
			continue
		}
		existing, err := r.known.existing(row.AppointmentGuid, row.LpuGuid, row.StartAt, row.EndAt)
		if err != nil {
			return err
		}
		r.facts.Active = append(r.facts.Active, booking.ActiveAppointment{
			ExistingAppointment: existing, SpecialityCode: row.SpecialityCode, ResourceName: row.ResourceName,
		})
	}
	return nil
}

func (r *reader) resource(row db.ResourceFactsRow, err error) error {
	if err == nil {
		r.facts.Resource = &booking.Resource{
			Guid: row.Guid, Kind: booking.ResourceKind(row.Kind), Name: row.Name, SpecialityCode: row.SpecialityCode, Active: row.Active,
		}
	}
	return unlessAbsent(err)
}

func (r *reader) slots(rows []db.SlotFactsRow) error {
	if len(rows) == 0 {
		return nil
	}
	cells := make([]booking.Slot, 0, len(rows))
	for _, row := range rows {
		taken := row.Taken
		if slices.Contains(r.facts.Moved.OwnCells(r.facts.Request.LpuTo), row.Guid) {
			taken--
		}
		cells = append(cells, booking.Slot{
			Guid:        row.Guid,
			Start:       row.StartAt,
			End:         row.EndAt,
			Capacity:    row.Capacity,
			Taken:       taken,
			Holds:       row.HeldByPerson,
			Access:      booking.Access(row.FlagAccess),
			Reception:   row.Reception,
			Blocked:     row.Blocked,
			Restriction: booking.Restriction(row.Restriction),
		})
	}
	r.facts.Slots = booking.Adjacent(cells, r.facts.Request.Difficulty)
	r.facts.Resource = &booking.Resource{
		Guid:           rows[0].ResourceGuid,
		Kind:           booking.ResourceKind(rows[0].ResourceKind),
		Name:           rows[0].ResourceName,
		SpecialityCode: rows[0].ResourceSpecialityCode,
		Active:         rows[0].ResourceActive,
	}
	return nil
}
