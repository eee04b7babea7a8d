package postgres

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// window returns a window of a day of the doctor with the given cells of the world.
func (w *world) window(version int64, policy registry.OnBooked, cells ...registry.Cell) registry.Window {
	return registry.Window{
		Period: registry.Period{From: w.firstStart.Add(-time.Hour), To: w.firstStart.Add(12 * time.Hour)},
		Lpu:    w.to, Resource: w.doctor, Version: version, OnBooked: policy, Cells: cells,
	}
}

// cell returns a cell of a window: one of the world's by its number, else a new one that follows
// them.
func (w *world) cell(n int) registry.Cell {
	guid := uuid.New()
	if n < len(w.slots) {
		guid = w.slots[n]
	}
	start := w.firstStart.Add(time.Duration(n) * 15 * time.Minute)
	return registry.Cell{
		Guid: guid, ID: firstSlot + int64(n), Start: start, End: start.Add(15 * time.Minute), Capacity: 1, Access: 12,
		BusyType: 1, Restriction: booking.Unrestricted,
	}
}

// writeWindow writes a window as the service does.
func writeWindow(t testing.TB, store *Store, w registry.Window) (registry.WindowResult, error) {
	t.Helper()
	return registry.NewService(store, func() time.Time { return moment }).WriteWindow(t.Context(), w)
}

// Promise: a window is stored as it was sent, in the shape in which it can be read, and the same
// window again changes nothing. A cell without a number gets one.
func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	first, third, added := w.cell(0), w.cell(2), w.cell(5)
	third.Capacity, third.Restriction, third.Blocked = 2, booking.AdultsOnly, true
	added.ID = 0
	message := w.window(1, registry.Refuse, first, third, added)
	result, err := writeWindow(t, store, message)
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Added: 1, Changed: 1, Withdrawn: 1, Unchanged: 1}, result)

	read := func() registry.Schedule {
		schedule, err := store.Schedule(t.Context(), w.to, w.doctor, message.Period, moment)
		require.NoError(t, err)
		return schedule
	}
	schedule := read()
	require.Len(t, schedule.Windows, 1)
	require.Equal(t, int64(1), schedule.Windows[0].Version)
	require.True(t, schedule.Windows[0].From.Equal(message.From) && schedule.Windows[0].To.Equal(message.To))
	require.Len(t, schedule.Cells, 3)
	require.Greater(t, schedule.Cells[2].ID, int64(1_000_000_000))
	for i, sent := range []registry.Cell{first, third, added} {
		stored := schedule.Cells[i]
		require.True(t, stored.Start.Equal(sent.Start) && stored.End.Equal(sent.End))
		require.Equal(t, "Asia/Vladivostok", stored.Start.Location().String())
		sent.Start, sent.End = stored.Start, stored.End
		if sent.ID == 0 {
			sent.ID = stored.ID
		}
		require.Equal(t, sent, stored.Cell)
	}
	before := w.count(`SELECT sum(xmin::text::bigint) FROM slot`)
	result, err = writeWindow(t, store, message)
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Unchanged: 3}, result)
	require.Equal(t, schedule, read())
	require.Equal(t, before, w.count(`SELECT sum(xmin::text::bigint) FROM slot`), "a row was written")

	// A newer one with other guids replaces it, in the numbers of its cells too.
	renamed := w.cell(5)
	renamed.ID, renamed.Guid = first.ID, uuid.New()
	result, err = writeWindow(t, store, w.window(2, registry.Refuse, renamed))
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Added: 1, Withdrawn: 3}, result)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM slot`))
}

// Promise: a window that the database cannot take is rejected as a whole, with the rule.
func TestWindowRejections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	other := uuid.New()
	w.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Другой', '92')`, w.to, other)
	foreign := w.addSlot(other, 500, w.firstStart)
	unknown := w.window(1, registry.Keep)
	unknown.Resource = uuid.New()
	elsewhere := w.window(1, registry.Keep)
	elsewhere.Lpu = w.from
	lunch, taken, stolen, early := w.cell(3), w.cell(3), w.cell(3), w.cell(3)
	lunch.BusyType, taken.ID, stolen.Guid = 99, 500, foreign
	early.Guid = w.addSlot(w.doctor, 501, w.firstStart.AddDate(0, 0, -1))
	for name, c := range map[string]struct {
		window registry.Window
		rule   booking.Name
	}{
		"unknown resource":                       {unknown, booking.ResourceAbsent},
		"resource of another institution":        {elsewhere, booking.ResourceAbsent},
		"unknown kind of cell":                   {w.window(1, registry.Keep, lunch), booking.FieldInvalid},
		"number of a cell of another resource":   {w.window(1, registry.Keep, taken), booking.CellForeign},
		"guid of a cell of another day":          {w.window(1, registry.Keep, early), booking.CellForeign},
		"guid of a cell of another resource":     {w.window(1, registry.Keep, stolen), booking.CellForeign},
		"a cell with the number, and a good one": {w.window(1, registry.Keep, w.cell(4), taken), booking.CellForeign},
	} {
		before := w.count(`SELECT sum(xmin::text::bigint) FROM slot`)
		_, err := writeWindow(t, store, c.window)
		requireRefusal(t, err, c.rule)
		require.Equal(t, before, w.count(`SELECT sum(xmin::text::bigint) FROM slot`), name)
		require.Zero(t, w.count(`SELECT (SELECT count(*) FROM schedule_window) + (SELECT count(*) FROM schedule_source)`), name)
	}
}

// Promise: a booked cell is not withdrawn. Refuse lists the visits and changes nothing. Keep closes
// the cell for others.
func TestWindowOverVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	booked := w.appointment(1)
	require.NoError(t, create(t, store, booked))
	withdrawal := []booking.CellConflict{{
		Cell: w.slots[0], Kind: booking.ConflictWithdrawn,
		Visits: []booking.CellVisit{{Guid: booked.Guid, Start: booked.Start.In(booked.Zone)}},
	}}
	_, err := writeWindow(t, store, w.window(1, registry.Refuse))
	require.Equal(t, withdrawal, requireRefusal(t, err, booking.CellBooked).Remedies.Conflicts)
	require.Equal(t, 3, w.count(`SELECT count(*) FROM slot`))

	result, err := writeWindow(t, store, w.window(1, registry.Keep))
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Withdrawn: 3, Conflicts: withdrawal}, result)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM slot WHERE blocked AND taken = 1`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM slot`))
}

// Promise: windows and bookings of the same cells never deadlock. No cell with a visit disappears,
// and each cell has as many places taken as it has visits.
func TestWindowsAgainstBookings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const bookings, rounds = 24, 40
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 8 })
	cells := []registry.Cell{w.cell(0), w.cell(1), w.cell(2)}
	for i := range cells {
		cells[i].Capacity = bookings
	}
	_, err := writeWindow(t, store, w.window(1, registry.Keep, cells...))
	require.NoError(t, err)
	var group sync.WaitGroup
	start := make(chan struct{})
	for range bookings {
		a := w.appointment(2)
		w.addReferral(&a)
		a.OneActivePerSpeciality = false
		group.Go(func() {
			<-start
			err := create(t, store, a)
			if refusal := new(booking.Refusal); errors.As(err, &refusal) {
				require.Contains(t, []booking.Name{booking.SlotTaken, booking.ComplexSlotFailed}, refusal.Rule)
				return
			}
			require.NoError(t, err)
		})
	}
	var refused, kept int
	group.Go(func() {
		<-start
		for round := range int64(rounds) {
			offered := cells
			if round%2 == 1 {
				offered = cells[:1]
			}
			policy := []registry.OnBooked{registry.Refuse, registry.Keep}[round/2%2]
			result, err := writeWindow(t, store, w.window(round+2, policy, offered...))
			switch {
			case err != nil:
				requireRefusal(t, err, booking.CellBooked)
				refused++
			case len(result.Conflicts) > 0:
				kept++
			}
		}
	})
	close(start)
	group.Wait()
	t.Logf("%d visits, %d windows refused, %d kept visits", w.count(`SELECT count(*) FROM appointment`), refused, kept)
	require.Zero(t, w.count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
	require.Zero(t, w.count(`SELECT count(*) FROM slot s WHERE taken <> (SELECT count(*) FROM appointment a WHERE a.lpu_guid = s.lpu_guid AND s.guid = ANY(a.slot_guids))`))
	require.Zero(t, w.count(`SELECT count(*) FROM appointment a, unnest(a.slot_guids) g WHERE NOT EXISTS (SELECT FROM slot s WHERE s.lpu_guid = a.lpu_guid AND s.guid = g)`))
	require.Zero(t, w.count(`SELECT count(*) FROM slot WHERE taken > capacity`))
}

// Promise: cells of one message can exchange their numbers, and a new cell can take over the number
// of a changed one.
func TestWindowExchangesNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	first, second, third, added := w.cell(0), w.cell(1), w.cell(2), w.cell(4)
	first.ID, second.ID, third.ID, added.ID = second.ID, first.ID, 500, third.ID
	message := w.window(1, registry.Refuse, first, second, third, added)
	result, err := writeWindow(t, store, message)
	require.NoError(t, err)
	require.Equal(t, registry.WindowResult{Added: 1, Changed: 3}, result)
	schedule, err := store.Schedule(t.Context(), w.to, w.doctor, message.Period, moment)
	require.NoError(t, err)
	for i, sent := range message.Cells {
		require.Equal(t, sent.ID, schedule.Cells[i].ID)
	}
}

// Promise: a change of one cell is compared with the newest message, while messages keep moving the
// cell in time. It does not fail because they do.
func TestChangeCellAgainstWindows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const sources, messages = 4, 20
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = sources + 1 })
	service := registry.NewService(store, func() time.Time { return moment })
	var (
		group   sync.WaitGroup
		version atomic.Int64
		moving  atomic.Int64
	)
	version.Store(1)
	moving.Store(sources)
	for range sources {
		group.Go(func() {
			defer moving.Add(-1)
			for range messages {
				next := version.Add(1)
				cell := w.cell(4 + int(next%5))
				cell.Guid, cell.ID = w.slots[0], firstSlot
				if _, err := service.WriteWindow(t.Context(), w.window(next, registry.Keep, cell)); err != nil {
					requireRefusal(t, err, booking.VersionStale)
				}
			}
		})
	}
	group.Go(func() {
		for moving.Load() > 0 {
			change := registry.CellChange{
				Lpu: w.to, Slot: w.slots[0], Version: 1, OnBooked: registry.Keep, Capacity: new(int32(2)),
			}
			if _, err := service.ChangeCell(t.Context(), change); err != nil {
				requireRefusal(t, err, booking.VersionStale)
			}
		}
	})
	group.Wait()
}
