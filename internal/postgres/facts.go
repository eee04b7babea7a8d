package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Facts implements booking.FactReader. Each statement reads one institution or one person, so that
// one machine of a distributed database can execute it. All statements see one snapshot. Otherwise
// a booking that commits between two of them would be seen in part, and the wrong rule would reject
// the request.
func (s *Store) Facts(
	ctx context.Context, patient booking.Patient, request booking.Request, now time.Time,
) (*booking.Facts, error) {
	return retry(ctx, s.pool.Reset, func() (*booking.Facts, error) { return s.facts(ctx, patient, request, nil, now) })
}

// MoveFacts implements booking.FactReader.
func (s *Store) MoveFacts(
	ctx context.Context, patient booking.Patient, request booking.Request, visit *booking.BookedVisit, now time.Time,
) (*booking.Facts, error) {
	return retry(ctx, s.pool.Reset, func() (*booking.Facts, error) {
		facts, err := s.facts(ctx, patient, request, visit, now)
		if err != nil || facts.Moved != nil {
			return facts, err
		}
		// Another request may have moved the visit into an institution where the patient had no
		// card before.
		again, err := s.Visit(ctx, patient.Person, visit.Guid)
		if err != nil || again == nil {
			return facts, err
		}
		visit = again
		return nil, errVisitMoving
	})
}

// facts reads the facts of a booking. If visit is not nil it reads those of its move, from which
// the visit's own claims and places are removed.
func (s *Store) facts(
	ctx context.Context, patient booking.Patient, request booking.Request, visit *booking.BookedVisit, now time.Time,
) (*booking.Facts, error) {
	facts := &booking.Facts{Now: now, Patient: patient, Request: request}
	read := &reader{facts: facts}
	err := s.snapshot(ctx, func(t *tx) {
		if err := read.useReference(t.reference); err != nil {
			t.fail(err)
			return
		}
		if visit != nil {
			read.queueMoved(t, visit)
			row(t, t.AppointmentGet(ctx, []db.AppointmentGetParams{{
				LpuGuid: request.LpuTo, Guid: visit.Guid,
			}}).QueryRow, read.targetReferral)
		}
		read.queueDirection(t)
		rows(t, t.SpecialityClaimFacts(ctx, []db.SpecialityClaimFactsParams{{
			PersonGuid: patient.Person, At: now,
		}}).Query, read.active)
		rows(t, t.MkabFacts(ctx, []db.MkabFactsParams{{
			LpuGuid: request.LpuTo, PersonGuid: patient.Person,
		}}).Query, read.mkabs)
		if out := request.Place.OutOfSchedule; out != nil {
			row(t, t.ResourceFacts(ctx, []db.ResourceFactsParams{{
				LpuGuid: request.LpuTo, Guid: out.Resource,
			}}).QueryRow, read.resource)
		} else {
			read.queueSlots(t)
		}
	})
	if err != nil {
		return nil, err
	}
	read.setHeldDirection()
	return facts, nil
}

// queueMoved queues the statements that read the visit that is being moved, and the consultation
// that would inherit its claim. They must be queued first, because the later reads subtract the
// visit's own claims and places.
func (r *reader) queueMoved(t *tx, visit *booking.BookedVisit) {
	person, now := r.facts.Patient.Person, r.facts.Now
	row(t, t.AppointmentFind(t.ctx, []db.AppointmentFindParams{{
		LpuGuids: visit.Person.Lpus, PersonGuid: person, Guid: visit.Guid,
	}}).QueryRow,
		func(row db.AppointmentFindRow, err error) error {
			if err == nil {
				r.facts.Moved, err = r.known.visit(row, visit.Person)
			}
			return ignoreAbsent(err)
		})
	row(t, t.AppointmentHeir(t.ctx, []db.AppointmentHeirParams{{
		LpuGuids: visit.Person.Lpus, Visits: visit.Person.Visits, PersonGuid: person, Guid: visit.Guid,
		At: now, SpecialityCode: visit.SpecialityCode,
	}}).QueryRow, r.readHeir)
}

// maxOverlapping is the number of cells of one resource that may begin at one time without hiding a
// complex slot: queueSlots reads that many cells for each cell of a visit.
const maxOverlapping = 4

// queueSlots queues the statement that reads the chosen cell, and for a complex slot the following
// ones. A single cell is read by a simpler statement, because most visits take one.
func (r *reader) queueSlots(t *tx) {
	request := r.facts.Request
	params := db.SlotFactsParams{
		LpuGuid: request.LpuTo, PersonGuid: r.facts.Patient.Person, At: r.facts.Now, Receptions: r.known.receptions,
		FreshSince: r.facts.Target.FreshSince(r.facts.Now), Most: int32(request.Difficulty * maxOverlapping),
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
		LpuGuid: params.LpuGuid, PersonGuid: params.PersonGuid, At: params.At, Receptions: params.Receptions,
		ID: params.ID, Guid: params.Guid, FreshSince: params.FreshSince,
	}}).QueryRow, func(cell db.SlotFactsOneRow, err error) error {
		if err != nil {
			return ignoreAbsent(err)
		}
		return r.slots([]db.SlotFactsRow{db.SlotFactsRow(cell)})
	})
}

// reader turns the rows of a snapshot into facts. A missing row leaves its fact nil.
type reader struct {
	facts *booking.Facts
	known *reference

	// For a move: the consultation that would inherit the visit's claim, and the visit with its
	// referral in the target institution, if it is there already.
	heir     *booking.ActiveAppointment
	atTarget *db.AppointmentGetRow
}

// useReference sets the reference data, and from them the target institution.
func (r *reader) useReference(known *reference) (err error) {
	r.known = known
	r.facts.Target, err = known.target(r.facts.Request.LpuTo, r.facts.Patient.Client)
	return err
}

// queueDirection queues the statement that reads the referral. A referral of an unsupported type is
// not read.
func (r *reader) queueDirection(t *tx) {
	if request := r.facts.Request; request.Type != "" {
		row(t, t.DirectionFacts(t.ctx, []db.DirectionFactsParams{
			{LpuGuid: request.LpuFrom, Guid: request.Direction, Type: db.DirectionType(request.Type)},
		}).QueryRow, r.direction)
	}
}

func (r *reader) readHeir(row db.AppointmentHeirRow, err error) error {
	if err != nil {
		return ignoreAbsent(err)
	}
	existing, err := r.known.existingAppointment(row.Guid, row.LpuGuid, row.StartAt, row.EndAt)
	r.heir = &booking.ActiveAppointment{
		ExistingAppointment: existing, SpecialityCode: row.SpecialityCode, ResourceName: row.ResourceName,
	}
	return err
}

func (r *reader) targetReferral(row db.AppointmentGetRow, err error) error {
	if err == nil {
		r.atTarget = &row
	}
	return ignoreAbsent(err)
}

// setHeldDirection sets the response to a move that changes nothing. It runs after all reads,
// because it needs the target's zone.
func (r *reader) setHeldDirection() {
	if r.atTarget != nil && r.facts.Target != nil {
		r.facts.Held = heldDirection(*r.atTarget, r.facts.Target.Zone)
	}
}

// isMoved reports whether an appointment is the visit that is being moved.
func (r *reader) isMoved(appointment uuid.UUID) bool {
	return r.facts.Moved != nil && r.facts.Moved.Guid == appointment
}

func (r *reader) direction(row db.DirectionFactsRow, err error) error {
	if err != nil {
		return ignoreAbsent(err)
	}
	holderZone, err := r.known.zone(r.facts.Request.LpuFrom)
	if err != nil {
		return err
	}
	d := row.Direction
	r.facts.Direction = &booking.IssuedDirection{
		Direction:         direction(&d),
		Mkab:              d.MkabGuid,
		Person:            row.PersonGuid,
		BirthDate:         row.BirthDate,
		Disabled:          row.Disabled,
		Pregnant:          row.Pregnant,
		HolderZone:        holderZone,
		HolderLegalEntity: r.known.lpus[d.LpuGuid].LegalEntity,
		FromLegalEntity:   r.known.lpus[d.LpuFromGuid].LegalEntity,
	}
	if d.LpuToGuid != nil {
		if to, ok := r.known.lpus[*d.LpuToGuid]; ok {
			r.facts.Direction.ToLegalEntity = &to.LegalEntity
		}
	}
	r.addTap(row.TapOpenedOn)
	if d.AppointmentGuid == nil || r.isMoved(*d.AppointmentGuid) {
		return nil
	}
	existing := booking.ExistingAppointment{Guid: *d.AppointmentGuid}
	if d.AppointmentLpuGuid != nil && d.AppointmentStartAt != nil && d.AppointmentEndAt != nil {
		existing, err = r.known.existingAppointment(
			existing.Guid, *d.AppointmentLpuGuid, *d.AppointmentStartAt, *d.AppointmentEndAt,
		)
	}
	r.facts.Direction.Appointment = &existing
	return err
}

// direction returns a referral with its times and days as the database returns them, not yet in an
// institution's zone.
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

// mkabs reads the patient's card in the target institution and its cases of treatment.
func (r *reader) mkabs(rows []db.MkabFactsRow) error {
	if len(rows) > 0 {
		r.facts.Mkab = &booking.Mkab{Guid: rows[0].Guid, Closed: rows[0].ClosedAt != nil}
	}
	for _, row := range rows {
		r.addTap(row.TapOpenedOn)
	}
	return nil
}

// addTap records the day on which a case of treatment was opened, if it is the newest so far. The
// zero time means no case.
func (r *reader) addTap(opened time.Time) {
	if !opened.IsZero() && (r.facts.TapOpened == nil || opened.After(*r.facts.TapOpened)) {
		r.facts.TapOpened = &opened
	}
}

func (r *reader) active(rows []db.SpecialityClaimFactsRow) error {
	for _, row := range rows {
		if r.isMoved(row.AppointmentGuid) {
			if r.heir != nil {
				r.facts.Active = append(r.facts.Active, *r.heir)
			}
			continue
		}
		existing, err := r.known.existingAppointment(row.AppointmentGuid, row.LpuGuid, row.StartAt, row.EndAt)
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
			Guid: row.Guid, Kind: booking.ResourceKind(row.Kind), Name: row.Name, SpecialityCode: row.SpecialityCode,
			Active: row.Active,
		}
	}
	return ignoreAbsent(err)
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
		Stale:          rows[0].ResourceStale,
	}
	return nil
}
