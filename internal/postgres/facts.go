package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
	return retry(ctx, s.pool.Reset, func() (*booking.Facts, error) { return s.facts(ctx, patient, request, visit, now) })
}

// facts reads what a booking needs, and for the move of a visit what that holds, to take it out.
func (s *Store) facts(
	ctx context.Context, patient booking.Patient, request booking.Request, visit *booking.BookedVisit, now time.Time,
) (*booking.Facts, error) {
	load := newPipeline(ctx, s.pool)
	load.queue("begin isolation level repeatable read read only")
	queries := db.New(load)
	moved := findMoved(ctx, queries, patient, visit, now)
	var holding *db.AppointmentGetBatchResults
	if visit != nil {
		holding = queries.AppointmentGet(ctx, []db.AppointmentGetParams{{LpuGuid: request.LpuTo, Guid: visit.Guid}})
	}
	direction := queries.DirectionFacts(ctx, []db.DirectionFactsParams{
		{LpuGuid: request.LpuFrom, Guid: request.Direction, Type: string(request.Type)},
	})
	taps := queries.TapFacts(ctx, []db.TapFactsParams{
		{LpuGuid: request.LpuFrom, PersonGuid: patient.Person},
		{LpuGuid: request.LpuTo, PersonGuid: patient.Person},
	})
	active := queries.SpecialityClaimFacts(ctx, []db.SpecialityClaimFactsParams{{PersonGuid: patient.Person, At: now}})
	lpu := queries.LpuFacts(ctx, []db.LpuFactsParams{{LpuGuid: request.LpuTo, ClientGuid: patient.Client}})
	mkab := queries.MkabFacts(ctx, []db.MkabFactsParams{{LpuGuid: request.LpuTo, PersonGuid: patient.Person}})
	var (
		slots     *db.SlotFactsBatchResults
		resources *db.ResourceFactsBatchResults
	)
	if out := request.Place.OutOfSchedule; out != nil {
		resources = queries.ResourceFacts(ctx, []db.ResourceFactsParams{{LpuGuid: request.LpuTo, Guid: out.Resource}})
	} else {
		slots = queries.SlotFacts(ctx, []db.SlotFactsParams{slotParams(patient, request, now)})
	}

	load.queue("commit")
	defer func() { _ = load.close() }() // after a panic, too

	facts := &booking.Facts{Now: now, Patient: patient, Request: request}
	read := reader{zones: &s.zones, facts: facts, err: load.exec()}
	moved(&read)
	if holding != nil {
		holding.QueryRow(read.holding)
	}
	direction.QueryRow(read.direction)
	taps.QueryRow(read.tap)
	active.Query(read.active)
	lpu.QueryRow(read.lpu)
	mkab.QueryRow(read.mkab)
	if resources != nil {
		resources.QueryRow(read.resource)
	} else {
		slots.Query(read.slots)
	}
	if err := errors.Join(read.err, load.close()); err != nil {
		return nil, err
	}
	if err := read.hold(); err != nil {
		return nil, err
	}
	return facts, nil
}

// findMoved gathers the statements that find the visit that is to be moved, if there is one, and the consultation that its claim would go to. They come first:
// what the others find is read without what is the visit's. The function that it answers has them read.
func findMoved(ctx context.Context, queries *db.Queries, patient booking.Patient, visit *booking.BookedVisit, now time.Time) func(*reader) {
	if visit == nil {
		return func(*reader) {}
	}
	finding := queries.AppointmentFind(ctx, []db.AppointmentFindParams{{PersonGuid: patient.Person, Guid: visit.Guid}})
	inheriting := queries.AppointmentHeir(ctx, []db.AppointmentHeirParams{
		{PersonGuid: patient.Person, Guid: visit.Guid, At: now, SpecialityCode: visit.SpecialityCode},
	})
	return func(read *reader) {
		finding.QueryRow(read.moved)
		inheriting.QueryRow(read.heirOf)
	}
}

// mostOverlapping is how many cells of one resource may begin at one time and still leave room for a complex slot among those that are read.
const mostOverlapping = 4

func slotParams(patient booking.Patient, request booking.Request, now time.Time) db.SlotFactsParams {
	params := db.SlotFactsParams{LpuGuid: request.LpuTo, PersonGuid: patient.Person, At: now, Most: 1}
	if request.Difficulty > 1 {
		params.Most = int32(request.Difficulty * mostOverlapping)
	}
	if request.Place.SlotID != 0 {
		params.ID = &request.Place.SlotID
	} else {
		params.Guid = &request.Place.SlotGuid
	}
	return params
}

// reader puts the rows of the pipeline into the facts. A row that does not exist leaves its fact nil; the first other error is kept.
type reader struct {
	zones *zones
	facts *booking.Facts
	err   error

	// Of a visit that is moved: the consultation that its claim would go to, and the appointment where the request's target has it.
	heir *booking.ActiveAppointment
	held *db.AppointmentGetRow
}

func (r *reader) moved(_ int, row db.AppointmentFindRow, err error) {
	if r.found(err) {
		r.facts.Moved = foundVisit(row)
	}
}

func (r *reader) heirOf(_ int, row db.AppointmentHeirRow, err error) {
	if !r.found(err) {
		return
	}
	existing, err := existingAppointment(r.zones, row.Guid, row.LpuGuid, row.TimeZone, row.StartAt, row.EndAt)
	if r.found(err) {
		r.heir = &booking.ActiveAppointment{ExistingAppointment: existing, SpecialityCode: row.SpecialityCode, ResourceName: row.ResourceName}
	}
}

func (r *reader) holding(_ int, row db.AppointmentGetRow, err error) {
	if r.found(err) {
		r.held = &row
	}
}

// hold gives the answer to a move that changes nothing, as soon as the target's zone is known.
func (r *reader) hold() (err error) {
	if r.held != nil && r.held.Linked && r.facts.Target != nil {
		r.facts.Held, err = heldDirection(*r.held, r.facts.Target.Zone)
	}
	return err
}

// own tells whether an appointment is the visit that is moved.
func (r *reader) own(appointment uuid.UUID) bool {
	return r.facts.Moved != nil && r.facts.Moved.Guid == appointment
}

// found tells whether there is a row to read.
func (r *reader) found(err error) bool {
	if err != nil && !errors.Is(err, pgx.ErrNoRows) && r.err == nil {
		r.err = err
	}
	return err == nil
}

func (r *reader) direction(_ int, row db.DirectionFactsRow, err error) {
	if !r.found(err) {
		return
	}
	holder, err := r.zones.load(row.HolderTimeZone)
	if !r.found(err) {
		return
	}
	r.facts.Direction = &booking.Direction{
		Guid:              row.Guid,
		Type:              r.facts.Request.Type,
		Number:            row.Number,
		AccessionNumber:   row.AccessionNumber,
		Date:              row.Date,
		DateEnd:           row.DateEnd,
		CreatedAt:         row.CreatedAt,
		Sender:            row.DocPrvdSenderGuid,
		Reason:            row.Reason,
		Comment:           row.Comment,
		Urgent:            row.Urgent,
		Flags:             row.Flags,
		SpecialityCode:    row.SpecialityCode,
		SpecialityName:    row.SpecialityName,
		MkbCode:           row.MkbCode,
		MkbName:           row.MkbName,
		LpuFrom:           row.LpuFromGuid,
		LpuTo:             row.LpuToGuid,
		Person:            row.PersonGuid,
		BirthDate:         row.BirthDate,
		Disabled:          row.Disabled,
		Pregnant:          row.Pregnant,
		HolderZone:        holder,
		HolderLegalEntity: row.HolderLegalEntityGuid,
		FromLegalEntity:   row.FromLegalEntityGuid,
		ToLegalEntity:     row.ToLegalEntityGuid,
	}
	if row.AppointmentGuid == nil || r.own(*row.AppointmentGuid) {
		return
	}
	existing := booking.ExistingAppointment{Guid: *row.AppointmentGuid}
	if row.AppointmentTimeZone != nil {
		existing, err = existingAppointment(r.zones, existing.Guid, *row.AppointmentLpuGuid, *row.AppointmentTimeZone, *row.AppointmentStartAt, *row.AppointmentEndAt)
		if !r.found(err) {
			return
		}
	}
	r.facts.Direction.Appointment = &existing
}

func (r *reader) tap(_ int, openedOn time.Time, err error) {
	if r.found(err) && (r.facts.TapOpened == nil || openedOn.After(*r.facts.TapOpened)) {
		r.facts.TapOpened = &openedOn
	}
}

func (r *reader) active(_ int, rows []db.SpecialityClaimFactsRow, err error) {
	if !r.found(err) {
		return
	}
	for _, row := range rows {
		if r.own(row.AppointmentGuid) {
			if r.heir != nil {
				r.facts.Active = append(r.facts.Active, *r.heir)
			}
			continue
		}
		existing, err := existingAppointment(r.zones, row.AppointmentGuid, row.LpuGuid, row.TimeZone, row.StartAt, row.EndAt)
		if !r.found(err) {
			return
		}
		r.facts.Active = append(r.facts.Active, booking.ActiveAppointment{
			ExistingAppointment: existing, SpecialityCode: row.SpecialityCode, ResourceName: row.ResourceName,
		})
	}
}

func existingAppointment(zones *zones, guid, lpu uuid.UUID, timeZone string, start, end time.Time) (booking.ExistingAppointment, error) {
	zone, err := zones.load(timeZone)
	if err != nil {
		return booking.ExistingAppointment{}, err
	}
	return booking.ExistingAppointment{Guid: guid, Lpu: lpu, Start: start.In(zone), End: end.In(zone)}, nil
}

func (r *reader) lpu(_ int, row db.LpuFactsRow, err error) {
	if !r.found(err) {
		return
	}
	zone, err := r.zones.load(row.TimeZone)
	if !r.found(err) {
		return
	}
	settings, err := readSettings(row.Settings)
	if !r.found(err) {
		return
	}
	r.facts.Target = &booking.Lpu{
		Settings:            settings,
		LegalEntity:         row.LegalEntityGuid,
		Zone:                zone,
		PolyclinicCodeIsOwn: settings.PolyclinicCode == row.Code,
		Rights: booking.Rights{
			SameLpu:       booking.Access(row.VisitDirection),
			OtherLpu:      booking.Access(row.VisitDirectionOtherLpu),
			OutOfSchedule: row.OutOfSchedule,
		},
	}
}

func (r *reader) mkab(_ int, row db.MkabFactsRow, err error) {
	if r.found(err) {
		r.facts.Mkab = &booking.Mkab{Guid: row.Guid, Closed: row.ClosedAt != nil}
	}
}

func (r *reader) resource(_ int, row db.ResourceFactsRow, err error) {
	if r.found(err) {
		r.facts.Resource = &booking.Resource{
			Guid: row.Guid, Kind: booking.ResourceKind(row.Kind), Name: row.Name, SpecialityCode: row.SpecialityCode, Active: row.Active,
		}
	}
}

func (r *reader) slots(_ int, rows []db.SlotFactsRow, err error) {
	if !r.found(err) || len(rows) == 0 {
		return
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
}
