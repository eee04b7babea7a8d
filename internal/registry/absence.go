package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Absence is a period in which a resource takes no visits (отсутствие), such as an illness.
type Absence struct {
	Period

	Lpu, Resource uuid.UUID
	Guid          uuid.UUID
	Reason        string
	Lifted        bool
}

// maxAbsenceDays is the length of the longest absence.
const maxAbsenceDays = 366

// AbsenceResult is what an absence, or its end, has changed.
type AbsenceResult struct {
	Changed   int                    // cells that were closed or opened
	Conflicts []booking.CellConflict // cells with visits within the absence
}

// WriteAbsence closes the cells of a resource that overlap the absence and have not begun, also
// those that are brought in later. Visits stay, unless onBooked is Refuse: then it rejects with
// CellBooked if there are any. The same absence again changes nothing; a lifted one stays lifted.
// WriteAbsence also rejects with VersionConflict if the guid has other content, with
// ResourceAbsent, and with FieldInvalid if the period is empty or longer than a year.
func (s *Service) WriteAbsence(ctx context.Context, a Absence, onBooked OnBooked) (AbsenceResult, error) {
	result, err := s.writeAbsence(ctx, a, onBooked)
	return result, s.recordRejection(ctx, Rejection{Lpu: a.Lpu, Resource: a.Resource}, err)
}

func (s *Service) writeAbsence(ctx context.Context, a Absence, onBooked OnBooked) (AbsenceResult, error) {
	if refusal := cmp.Or(a.checkLength("From", "To", maxAbsenceDays), onBooked.check("OnBooked")); refusal != nil {
		return AbsenceResult{}, refusal
	}
	result, err := s.store.WriteAbsence(ctx, a, onBooked, s.now())
	if err != nil {
		return AbsenceResult{}, fmt.Errorf("write the absence: %w", err)
	}
	return result, nil
}

// LiftAbsence ends an absence and opens the cells that nothing else closes. A repetition changes
// nothing. It rejects with AbsenceAbsent if the resource has no such absence.
func (s *Service) LiftAbsence(ctx context.Context, lpu, resource, absence uuid.UUID) (AbsenceResult, error) {
	result, err := s.store.LiftAbsence(ctx, lpu, resource, absence, s.now())
	if err != nil {
		return AbsenceResult{}, fmt.Errorf("lift the absence: %w", err)
	}
	return result, nil
}

// Absences returns the absences of a resource that overlap a period and are not lifted, in order of
// time. It rejects like Schedule.
func (s *Service) Absences(ctx context.Context, lpu, resource uuid.UUID, period Period) ([]Absence, error) {
	if refusal := period.check(); refusal != nil {
		return nil, refusal
	}
	absences, err := s.store.Absences(ctx, lpu, resource, period)
	if err != nil {
		return nil, fmt.Errorf("read the absences: %w", err)
	}
	return absences, nil
}

// Reclose returns the cells whose closing by an absence changes. absences are all that overlap
// them. Cells that have begun stay as they are.
func Reclose(cells []StoredCell, absences []Absence, now time.Time) []StoredCell {
	var changed []StoredCell
	for _, cell := range cells {
		closed := cell.Closed&^ClosedByAbsence | cell.absence(absences)
		if closed != cell.Closed && !cell.Start.Before(now) {
			cell.Closed = closed
			changed = append(changed, cell)
		}
	}
	return changed
}

// absence returns ClosedByAbsence if an absence overlaps the cell, else no reason.
func (c *Cell) absence(absences []Absence) Closed {
	if slices.ContainsFunc(absences, func(a Absence) bool { return c.overlaps(a.Period) }) {
		return ClosedByAbsence
	}
	return 0
}

// overlaps reports whether the cell and the period have a moment in common.
func (c *Cell) overlaps(p Period) bool { return c.Start.Before(p.To) && c.End.After(p.From) }

// VisitsWithin returns a conflict for each cell with visits that overlaps an absence and has not
// begun. The conflicts have no visits yet.
func VisitsWithin(cells []StoredCell, absence Period, now time.Time) []booking.CellConflict {
	var conflicts []booking.CellConflict
	for i := range cells {
		if cells[i].Taken > 0 && cells[i].overlaps(absence) && !cells[i].Start.Before(now) {
			conflicts = append(conflicts, booking.CellConflict{Cell: cells[i].Guid, Kind: booking.ConflictAbsence})
		}
	}
	return conflicts
}
