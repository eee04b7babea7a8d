package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// maxAbsences bounds the absences of a resource that are read for a period.
const maxAbsences = 1000

// WriteAbsence implements registry.Store. It locks like WriteWindow, and takes as many round trips.
func (s *Store) WriteAbsence(
	ctx context.Context, a registry.Absence, onBooked registry.OnBooked, now time.Time,
) (registry.AbsenceResult, error) {
	return write(ctx, s, func(t *tx) (registry.AbsenceResult, error) {
		known, cells, absences, err := t.lockAbsence(a, now)
		switch {
		case err != nil:
			return registry.AbsenceResult{}, err
		case known != nil && (known.Resource != a.Resource || !known.From.Equal(a.From) || !known.To.Equal(a.To) ||
			known.Reason != a.Reason):
			return registry.AbsenceResult{}, booking.Reject(booking.VersionConflict)
		case known != nil:
			return registry.AbsenceResult{}, nil
		}
		changed := registry.Reclose(cells, append(absences, a), now)
		conflicts := registry.VisitsWithin(cells, a.Period, now)
		w := &registry.Window{Period: a.Period, Lpu: a.Lpu, Resource: a.Resource, OnBooked: onBooked}
		if err := t.checkConflicts(w, conflicts); err != nil {
			return registry.AbsenceResult{}, err
		}
		exec(t, t.AbsenceAdd(ctx, []db.AbsenceAddParams{{
			LpuGuid: a.Lpu, Guid: a.Guid, ResourceGuid: a.Resource, FromAt: a.From, ToAt: a.To, Reason: a.Reason,
		}}).Exec)
		t.apply(w, &registry.Plan{Change: changed}, now)
		return registry.AbsenceResult{Changed: len(changed), Conflicts: conflicts}, nil
	})
}

// LiftAbsence implements registry.Store.
func (s *Store) LiftAbsence(
	ctx context.Context, lpu, resource, guid uuid.UUID, now time.Time,
) (registry.AbsenceResult, error) {
	return write(ctx, s, func(t *tx) (registry.AbsenceResult, error) {
		known, err := t.findAbsence(lpu, guid)
		switch {
		case err != nil:
			return registry.AbsenceResult{}, err
		case known == nil || known.Resource != resource:
			return registry.AbsenceResult{}, booking.Reject(booking.AbsenceAbsent)
		}
		known, cells, absences, err := t.lockAbsence(*known, now)
		if err != nil || known.Lifted {
			return registry.AbsenceResult{}, err
		}
		others := slices.DeleteFunc(absences, func(a registry.Absence) bool { return a.Guid == guid })
		changed := registry.Reclose(cells, others, now)
		exec(t, t.AbsenceLift(ctx, []db.AbsenceLiftParams{{LpuGuid: lpu, Guid: guid, At: &now}}).Exec)
		w := &registry.Window{Period: known.Period, Lpu: lpu, Resource: resource}
		t.apply(w, &registry.Plan{Change: changed}, now)
		return registry.AbsenceResult{Changed: len(changed)}, nil
	})
}

// findAbsence reads an absence, which is nil if the institution has none with this guid.
func (t *tx) findAbsence(lpu, guid uuid.UUID) (found *registry.Absence, err error) {
	t.readAbsence(lpu, guid, &found)
	return found, t.send()
}

// readAbsence queues the statement that reads an absence into found.
func (t *tx) readAbsence(lpu, guid uuid.UUID, found **registry.Absence) {
	row(t, t.AbsenceGet(t.ctx, []db.AbsenceGetParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
		func(row db.AbsenceGetRow, err error) error {
			if err == nil {
				*found = &registry.Absence{
					Period: registry.Period{From: row.FromAt, To: row.ToAt}, Lpu: lpu, Resource: row.ResourceGuid,
					Guid: guid, Reason: row.Reason, Lifted: row.LiftedAt != nil,
				}
			}
			return ignoreAbsent(err)
		})
}

// lockAbsence locks the schedule of the resource and the cells that overlap the absence. It returns
// the absence as it is stored, nil if it is new, the cells, and the absences that overlap them.
func (t *tx) lockAbsence(a registry.Absence, now time.Time) (
	known *registry.Absence, cells []registry.StoredCell, absences []registry.Absence, err error,
) {
	t.lockSource(a.Lpu, a.Resource, 0, time.Unix(0, 0)) // an absence does not confirm the schedule
	t.readAbsence(a.Lpu, a.Guid, &known)
	near := registry.Period{From: a.From.Add(-registry.MaxCell), To: a.To.Add(registry.MaxCell)}
	t.readAbsences(a.Lpu, a.Resource, near, &absences)
	t.lockCells(a.Lpu, a.Resource, a.Period, near.From, now, &cells)
	return known, cells, absences, t.send()
}

// readAbsences queues the statement that reads the absences of a period into absences, with times
// in the zone of the institution.
func (t *tx) readAbsences(lpu, resource uuid.UUID, period registry.Period, absences *[]registry.Absence) {
	rows(t, t.AbsencesOfPeriod(t.ctx, []db.AbsencesOfPeriodParams{{
		LpuGuid: lpu, ResourceGuid: resource, FromAt: period.From, ToAt: period.To, Most: maxAbsences,
	}}).Query, func(rows []db.AbsencesOfPeriodRow) error {
		for _, row := range rows {
			zone, err := t.reference.zone(lpu)
			if err != nil {
				return err
			}
			*absences = append(*absences, registry.Absence{
				Period: registry.Period{From: row.FromAt.In(zone), To: row.ToAt.In(zone)},
				Lpu:    lpu, Resource: resource, Guid: row.Guid, Reason: row.Reason,
			})
		}
		return nil
	})
}

// Absences implements registry.Store. It takes one round trip.
func (s *Store) Absences(
	ctx context.Context, lpu, resource uuid.UUID, period registry.Period,
) (absences []registry.Absence, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		t.requireResource(lpu, resource)
		t.readAbsences(lpu, resource, period, &absences)
	})
	return absences, interpretError(err)
}

// requireResource queues the statement that rejects with ResourceAbsent if there is no such
// resource.
func (t *tx) requireResource(lpu, resource uuid.UUID) {
	requireRow(t, t.ResourceFacts(t.ctx, []db.ResourceFactsParams{{LpuGuid: lpu, Guid: resource}}).QueryRow,
		booking.Reject(booking.ResourceAbsent))
}
