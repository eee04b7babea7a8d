package postgres

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// absence returns an absence of the doctor from the first cell on, for some quarters of an hour.
func (w *world) absence(quarters int) registry.Absence {
	period := registry.Period{From: w.firstStart, To: w.firstStart.Add(time.Duration(quarters) * 15 * time.Minute)}
	return registry.Absence{Period: period, Lpu: w.to, Resource: w.doctor, Guid: uuid.New(), Reason: "Больничный"}
}

// blocked returns the numbers of the blocked cells, from 0.
func (w *world) blocked() (numbers []int) {
	w.t.Helper()
	for n, guid := range w.slots {
		if w.count(`SELECT count(*) FROM slot WHERE guid = $1 AND blocked`, guid) == 1 {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// Promise: an absence closes the cells that it overlaps, also those that are brought in later, and
// opens them again when it is lifted, but not those that something else closes.
func TestAbsence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registrar := registry.NewService(w.store(), func() time.Time { return moment })
	w.exec(`UPDATE slot SET blocked = true WHERE guid = $1`, w.slots[0])
	long, short := w.absence(2), w.absence(1)
	long.From = long.From.Add(5 * time.Minute) // within the first cell
	write := func(a registry.Absence) registry.AbsenceResult {
		result, err := registrar.WriteAbsence(t.Context(), a, registry.Refuse)
		require.NoError(t, err)
		return result
	}
	lift := func(a registry.Absence) registry.AbsenceResult {
		result, err := registrar.LiftAbsence(t.Context(), a.Lpu, a.Resource, a.Guid)
		require.NoError(t, err)
		return result
	}
	require.Equal(t, registry.AbsenceResult{Changed: 2}, write(long))
	require.Equal(t, registry.AbsenceResult{}, write(long), "a repetition")
	require.Equal(t, []int{0, 1}, w.blocked())
	require.Equal(t, registry.AbsenceResult{}, write(short), "its cell is closed already")

	blocked := w.cell(0)
	blocked.Blocked = true
	_, err := writeWindow(t, w.store(), w.window(1, registry.Refuse, blocked, w.cell(1), w.cell(2)))
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, w.blocked())

	absences, err := registrar.Absences(t.Context(), w.to, w.doctor, w.window(1, registry.Keep).Period)
	require.NoError(t, err)
	require.Len(t, absences, 2)
	require.Equal(t, registry.AbsenceResult{Changed: 1}, lift(long), "the other absence closes the first cell")
	require.Equal(t, []int{0}, w.blocked())
	require.Equal(t, registry.AbsenceResult{}, lift(long))
	require.Equal(t, registry.AbsenceResult{}, write(long), "it stays lifted")
	require.Equal(t, []int{0}, w.blocked())
	require.Equal(t, registry.AbsenceResult{Changed: 1}, lift(short))
	require.Equal(t, []int{0}, w.blocked(), "its source blocks it")
}

// Promise: visits stay in an absence. Refuse lists them and changes nothing. Bad absences are
// rejected.
func TestAbsenceRejections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	registrar := registry.NewService(store, func() time.Time { return moment })
	booked := w.appointment(1)
	require.NoError(t, create(t, store, booked))
	wanted := []booking.CellConflict{{
		Cell: w.slots[0], Kind: booking.ConflictAbsence,
		Visits: []booking.CellVisit{{Guid: booked.Guid, Start: booked.Start.In(booked.Zone)}},
	}}
	good := w.absence(3)
	_, err := registrar.WriteAbsence(t.Context(), good, registry.Refuse)
	require.Equal(t, wanted, requireRefusal(t, err, booking.CellBooked).Remedies.Conflicts)
	require.Empty(t, w.blocked())
	result, err := registrar.WriteAbsence(t.Context(), good, registry.Keep)
	require.NoError(t, err)
	require.Equal(t, registry.AbsenceResult{Changed: 3, Conflicts: wanted}, result)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM slot WHERE taken = 1`))

	other, empty, endless, unknown := good, w.absence(0), w.absence(1), w.absence(1)
	other.Reason = "Отпуск"
	endless.To = endless.From.AddDate(2, 0, 0)
	unknown.Resource = uuid.New()
	for rule, absences := range map[booking.Name][]registry.Absence{
		booking.VersionConflict: {other}, booking.FieldInvalid: {empty, endless}, booking.ResourceAbsent: {unknown},
	} {
		for _, absence := range absences {
			_, err := registrar.WriteAbsence(t.Context(), absence, registry.Keep)
			requireRefusal(t, err, rule)
		}
	}
	for _, absent := range []registry.Absence{w.absence(1), {Lpu: w.from, Resource: w.doctor, Guid: good.Guid}} {
		_, err := registrar.LiftAbsence(t.Context(), absent.Lpu, absent.Resource, absent.Guid)
		requireRefusal(t, err, booking.AbsenceAbsent)
	}
	require.Equal(t, 1, w.count(`SELECT count(*) FROM absence`))
}

// Promise: one cell can be changed by its guid. A later message with a lower version does not undo
// the change; one with a higher version does.
func TestChangeCell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	registrar := registry.NewService(store, func() time.Time { return moment })
	change := registry.CellChange{Lpu: w.to, Slot: w.slots[1], Version: 5, Blocked: new(true), OnBooked: registry.Keep}
	result, err := registrar.ChangeCell(t.Context(), change)
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Changed: 1}, result)
	require.Equal(t, []int{1}, w.blocked())
	result, err = registrar.ChangeCell(t.Context(), change)
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Unchanged: 1}, result)

	day := []registry.Cell{w.cell(0), w.cell(1), w.cell(2)}
	result, err = writeWindow(t, store, w.window(4, registry.Keep, day...))
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Unchanged: 2, Superseded: 1}, result)
	require.Equal(t, []int{1}, w.blocked())
	result, err = writeWindow(t, store, w.window(6, registry.Keep, day...))
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Unchanged: 2, Changed: 1}, result)
	require.Empty(t, w.blocked())

	_, err = registrar.ChangeCell(t.Context(), change)
	requireRefusal(t, err, booking.VersionStale)
	change.Slot = uuid.New()
	_, err = registrar.ChangeCell(t.Context(), change)
	requireRefusal(t, err, booking.SlotAbsent)
}
