package registry

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/internal/booking"
)

var start = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

// schedule applies plans in memory, as the store does in the database.
type schedule struct {
	windows  []AppliedWindow
	cells    map[uuid.UUID]StoredCell
	absences []Absence
}

// write applies a window. It returns the plan, and the rule that rejects the window, or "".
func (s *schedule) write(t require.TestingT, w Window, now time.Time) (*Plan, booking.Name) {
	if refusal := w.check(); refusal != nil {
		return nil, refusal.Rule
	}
	stored := &Stored{Absences: s.absences}
	for _, known := range s.windows {
		if known.From.Before(w.To) && known.To.After(w.From) {
			stored.Windows = append(stored.Windows, known)
		}
	}
	for _, cell := range s.cells {
		if w.contains(cell.Start) {
			stored.Cells = append(stored.Cells, cell)
		}
	}
	plan, err := NewPlan(&w, stored, now)
	if err != nil {
		refusal := new(booking.Refusal)
		require.ErrorAs(t, err, &refusal)
		return plan, refusal.Rule
	}
	if len(plan.Result.Conflicts) > 0 && w.OnBooked == Refuse {
		return plan, booking.CellBooked
	}
	s.windows = slices.DeleteFunc(s.windows, func(known AppliedWindow) bool { return slices.Contains(plan.Cut, known) })
	s.windows = append(s.windows, plan.Applied...)
	slices.SortFunc(s.windows, func(a, b AppliedWindow) int { return a.From.Compare(b.From) })
	for _, guid := range plan.Delete {
		delete(s.cells, guid)
	}
	for _, cell := range slices.Concat(plan.Change, plan.Add) {
		s.cells[cell.Guid] = cell
	}
	return plan, ""
}

// at returns a moment of the schedule: 10 minutes times n after its start.
func at(n int) time.Time { return start.Add(time.Duration(n) * 10 * time.Minute) }

// cellAt returns a cell of 10 minutes with a guid made of its number.
func cellAt(guid byte, n int) Cell {
	return Cell{
		Guid: uuid.UUID{15: guid}, ID: int64(guid), Start: at(n), End: at(n + 1), Capacity: 1, Access: 4, BusyType: 1,
		Restriction: booking.Unrestricted,
	}
}

// Promise: any order and any repetition of the same windows ends in the same schedule: each moment
// is decided by the newest window that covers it.
func TestOrderOfWindowsDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const moments = 12
		var windows []Window
		for version := range rapid.IntRange(1, 6).Draw(t, "windows") {
			from := rapid.IntRange(0, moments-1).Draw(t, "from")
			to := rapid.IntRange(from+1, moments).Draw(t, "to")
			w := Window{Period: Period{at(from), at(to)}, Version: int64(version + 1), OnBooked: Keep}
			for n := from; n < to; n++ {
				if rapid.Bool().Draw(t, "offered") {
					cell := cellAt(byte(n+1), n) // a guid names one cell
					cell.Capacity = int32(rapid.IntRange(1, 3).Draw(t, "capacity"))
					w.Cells = append(w.Cells, cell)
				}
			}
			windows = append(windows, w)
		}
		expected := map[uuid.UUID]Cell{}
		for n := range moments {
			for _, w := range slices.Backward(windows) {
				if !w.contains(at(n)) {
					continue
				}
				for _, cell := range w.Cells {
					if cell.Start.Equal(at(n)) {
						expected[cell.Guid] = cell
					}
				}
				break
			}
		}
		s := &schedule{cells: map[uuid.UUID]StoredCell{}}
		again := rapid.SliceOf(rapid.SampledFrom(windows)).Draw(t, "again")
		for _, w := range slices.Concat(rapid.Permutation(windows).Draw(t, "order"), again) {
			_, rule := s.write(t, w, start)
			require.Contains(t, []booking.Name{"", booking.VersionStale}, rule)
		}
		found := map[uuid.UUID]Cell{}
		for guid, cell := range s.cells {
			found[guid] = cell.Cell
		}
		require.Equal(t, expected, found)
		for i, w := range s.windows[1:] {
			require.False(t, w.From.Before(s.windows[i].To), "the windows overlap")
		}
		for _, w := range windows { // everything is known now
			plan, rule := s.write(t, w, start)
			if rule == "" {
				require.Empty(t, slices.Concat(plan.Add, plan.Change))
				require.Empty(t, plan.Delete)
			}
		}
	})
}

// Promise: a window never deletes a cell with visits and never leaves fewer places than are taken.
// Refuse changes nothing then. Keep closes the cell until the source offers it again.
func TestBookedCells(t *testing.T) {
	t.Parallel()
	day := Period{at(0), at(10)}
	booked := func() *schedule {
		s := &schedule{cells: map[uuid.UUID]StoredCell{}}
		cell := cellAt(1, 3)
		cell.Capacity = 3
		_, rule := s.write(t, Window{Period: day, Version: 1, Cells: []Cell{cell}}, start)
		require.Empty(t, rule)
		stored := s.cells[cell.Guid]
		stored.Taken = 2
		s.cells[cell.Guid] = stored
		return s
	}
	smaller, moved := cellAt(1, 3), cellAt(1, 4)
	moved.Capacity = 3
	for kind, cells := range map[booking.ConflictKind][]Cell{
		booking.ConflictWithdrawn: nil, booking.ConflictMoved: {moved}, booking.ConflictCapacity: {smaller},
	} {
		s := booked()
		before := maps.Clone(s.cells)
		plan, rule := s.write(t, Window{Period: day, Version: 2, Cells: cells, OnBooked: Refuse}, start)
		require.Equal(t, booking.CellBooked, rule, kind)
		require.Equal(t, []booking.CellConflict{{Cell: smaller.Guid, Kind: kind}}, plan.Result.Conflicts)
		require.Equal(t, before, s.cells, kind)

		keep := Window{Period: day, Version: 2, Cells: cells, OnBooked: Keep}
		plan, rule = s.write(t, keep, start)
		require.Empty(t, rule, kind)
		require.Len(t, plan.Result.Conflicts, 1)
		kept := s.cells[smaller.Guid]
		require.Equal(t, at(3), kept.Start, kind)
		require.Equal(t, int32(2), kept.Taken, kind)
		if kind == booking.ConflictCapacity {
			require.Equal(t, int32(2), kept.Capacity)
			require.Zero(t, kept.Closed)
		} else {
			require.Equal(t, int32(3), kept.Capacity, kind)
			require.Equal(t, ClosedWithdrawn, kept.Closed, kind)
		}

		// The same message again, after the visits were cancelled, applies what was in conflict.
		kept.Taken = 0
		s.cells[kept.Guid] = kept
		plan, rule = s.write(t, keep, start)
		require.Empty(t, rule, kind)
		require.Empty(t, plan.Result.Conflicts, kind)
		var offered []Cell
		for _, cell := range s.cells {
			require.Zero(t, cell.Closed)
			offered = append(offered, cell.Cell)
		}
		require.Equal(t, cells, offered, kind)
	}

	// A held cell stays until the hold ends, but is no conflict.
	s := booked()
	held := s.cells[smaller.Guid]
	held.Taken, held.Held = 0, 1
	s.cells[smaller.Guid] = held
	withdrawal := Window{Period: day, Version: 2, OnBooked: Refuse}
	plan, rule := s.write(t, withdrawal, start)
	require.Empty(t, rule)
	require.Empty(t, plan.Result.Conflicts)
	held = s.cells[smaller.Guid]
	require.Equal(t, ClosedWithdrawn, held.Closed)
	held.Held = 0
	s.cells[smaller.Guid] = held
	_, rule = s.write(t, withdrawal, start)
	require.Empty(t, rule)
	require.Empty(t, s.cells)

	// Held places stay until the holds end, and are no conflict either. A visit and the hold for
	// its move share a place.
	for _, c := range []struct{ taken, held, kept int32 }{{1, 1, 2}, {0, 2, 2}, {3, 1, 3}} {
		s = booked()
		held = s.cells[smaller.Guid]
		held.Taken, held.Held = c.taken, c.held
		s.cells[smaller.Guid] = held
		reduction := Window{Period: day, Version: 2, Cells: []Cell{smaller}, OnBooked: Keep}
		plan, rule = s.write(t, reduction, start)
		require.Empty(t, rule)
		require.Equal(t, c.taken > smaller.Capacity, len(plan.Result.Conflicts) > 0)
		held = s.cells[smaller.Guid]
		require.Equal(t, c.kept, held.Capacity)
		held.Taken, held.Held = 0, 0
		s.cells[smaller.Guid] = held
		_, rule = s.write(t, reduction, start)
		require.Empty(t, rule)
		require.Equal(t, smaller.Capacity, s.cells[smaller.Guid].Capacity)
	}

	// Visits that have begun keep their cell as it is.
	s = booked()
	plan, rule = s.write(t, Window{Period: day, Version: 2, OnBooked: Refuse}, at(4))
	require.Empty(t, rule)
	require.Empty(t, plan.Result.Conflicts)
	require.Zero(t, s.cells[smaller.Guid].Closed)

	// A cell that was withdrawn and is offered again is open.
	s = booked()
	_, _ = s.write(t, Window{Period: day, Version: 2, OnBooked: Keep}, start)
	again := cellAt(1, 3)
	again.Capacity = 3
	_, rule = s.write(t, Window{Period: day, Version: 3, Cells: []Cell{again}, OnBooked: Keep}, start)
	require.Empty(t, rule)
	require.Zero(t, s.cells[again.Guid].Closed)
}

// Promise: stale and contradictory messages are rejected, and change nothing.
func TestRejectedWindows(t *testing.T) {
	t.Parallel()
	day := Period{at(0), at(10)}
	s := &schedule{cells: map[uuid.UUID]StoredCell{}}
	_, rule := s.write(t, Window{Period: day, Version: 5, Cells: []Cell{cellAt(1, 3)}}, start)
	require.Empty(t, rule)
	before := maps.Clone(s.cells)
	long := cellAt(2, 4)
	long.End = at(6)
	endless := cellAt(2, 4)
	endless.End = endless.Start
	for _, test := range []struct {
		window Window
		rule   booking.Name
	}{
		{Window{Period: day, Version: 4}, booking.VersionStale},
		{Window{Period: day, Version: 5}, booking.VersionConflict},
		{Window{Period: Period{at(5), at(12)}, Version: 5}, booking.VersionConflict},
		{Window{Period: day, Version: 6, Cells: []Cell{long, cellAt(3, 5)}}, booking.CellOverlap},
		{Window{Period: day, Version: 6, Cells: []Cell{cellAt(3, 5), cellAt(3, 6)}}, booking.FieldInvalid},
		{Window{Period: day, Version: 6, Cells: []Cell{cellAt(3, 10)}}, booking.FieldInvalid},
		{Window{Period: day, Version: 6, Cells: []Cell{endless}}, booking.FieldInvalid},
		{Window{Period: Period{at(3), at(3)}, Version: 6}, booking.FieldInvalid},
		{Window{Period: Period{at(0), at(0).Add(MaxWindow + 1)}, Version: 6}, booking.FieldInvalid},
	} {
		_, rule := s.write(t, test.window, start)
		require.Equal(t, test.rule, rule, "%+v", test.window)
		require.Equal(t, before, s.cells)
	}
}

// Promise: cells within an absence are closed, also those that are brought in during it.
func TestCellsWithinAbsence(t *testing.T) {
	t.Parallel()
	s := &schedule{cells: map[uuid.UUID]StoredCell{}, absences: []Absence{{Period: Period{at(3), at(4)}}}}
	blocked := cellAt(3, 3)
	blocked.Blocked = true
	long := cellAt(1, 2)
	long.End = at(3).Add(-time.Minute)
	cells := []Cell{long, blocked, cellAt(4, 4)}
	_, rule := s.write(t, Window{Period: Period{at(0), at(10)}, Version: 1, Cells: cells}, start)
	require.Empty(t, rule)
	require.Zero(t, s.cells[cells[0].Guid].Closed)
	require.Equal(t, ClosedBySource|ClosedByAbsence, s.cells[cells[1].Guid].Closed)
	require.Zero(t, s.cells[cells[2].Guid].Closed)
}
