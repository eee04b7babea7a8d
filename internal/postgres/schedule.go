package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
	"talon.example/internal/registry"
)

// maxConflictVisits bounds the visits that are listed for the cells of a message.
const maxConflictVisits = 1000

// WriteWindow implements registry.Store. It runs one transaction in two round trips and the commit,
// and one more if there are conflicts. It locks the schedule of the resource, then the cells in the
// order in which every booking locks them, so that it waits for bookings and never deadlocks with
// one. The plan is exact, because everything that it depends on is locked.
func (s *Store) WriteWindow(ctx context.Context, w registry.Window, now time.Time) (registry.WindowResult, error) {
	return write(ctx, s, func(t *tx) (registry.WindowResult, error) {
		for i := range w.Cells {
			if !slices.Contains(t.reference.busyTypes, w.Cells[i].BusyType) {
				field := "Cells." + strconv.Itoa(i) + ".BusyType"
				return registry.WindowResult{}, booking.InvalidField(field, booking.ProblemBusyType)
			}
		}
		stored, err := t.lockSchedule(&w, now)
		if err != nil {
			return registry.WindowResult{}, err
		}
		return t.writeWindow(&w, stored, now)
	})
}

// confirmEvery is the precision of confirmed_at where a message changes nothing. A file with many
// days of a resource writes it once.
const confirmEvery = time.Minute

// ConfirmWindows implements registry.Store. It takes no locks on what it reads: a message that is
// being applied may overwrite it, as if it came later. It takes two round trips.
func (s *Store) ConfirmWindows(
	ctx context.Context, lpu uuid.UUID, windows []registry.Window, now time.Time,
) ([]bool, error) {
	type key struct {
		resource uuid.UUID
		from     int64
	}
	wanted := db.ScheduleWindowsFindParams{LpuGuid: lpu}
	positions := make(map[key]int, len(windows))
	for i := range windows {
		w := &windows[i]
		positions[key{w.Resource, w.From.UnixMicro()}] = i // of several, only the last can be applied
		wanted.ResourceGuids, wanted.FromAt = append(wanted.ResourceGuids, w.Resource), append(wanted.FromAt, w.From)
	}
	return write(ctx, s, func(t *tx) ([]bool, error) {
		applied := make([]bool, len(windows))
		confirmed := map[uuid.UUID]bool{}
		rows(t, t.ScheduleWindowsFind(ctx, []db.ScheduleWindowsFindParams{wanted}).Query,
			func(rows []db.ScheduleWindowsFindRow) error {
				for _, row := range rows {
					i := positions[key{row.ResourceGuid, row.FromAt.UnixMicro()}]
					w := &windows[i]
					content := [sha256.Size]byte(row.Content)
					applied[i] = row.Version == w.Version && row.ToAt.Equal(w.To) && content == w.Content()
					if applied[i] {
						confirmed[w.Resource] = true
					}
				}
				return nil
			})
		if err := t.send(); err != nil || len(confirmed) == 0 {
			return applied, err
		}
		exec(t, t.ScheduleSourcesConfirm(ctx, []db.ScheduleSourcesConfirmParams{{
			LpuGuid: lpu, At: now, Since: now.Add(-confirmEvery),
			ResourceGuids: slices.Collect(maps.Keys(confirmed)),
		}}).Exec)
		return applied, nil
	})
}

// ChangeCell implements registry.Store. It takes two round trips more than WriteWindow: to find the
// resource of the cell, and to lock its schedule before it reads the start of the cell.
func (s *Store) ChangeCell(
	ctx context.Context, change registry.CellChange, now time.Time,
) (registry.WindowResult, error) {
	return write(ctx, s, func(t *tx) (registry.WindowResult, error) {
		if change.BusyType != nil && !slices.Contains(t.reference.busyTypes, *change.BusyType) {
			return registry.WindowResult{}, booking.InvalidField("BusyType", booking.ProblemBusyType)
		}
		w := registry.Window{Lpu: change.Lpu, Version: change.Version, OnBooked: change.OnBooked}
		var found db.SlotResourceRow
		t.findCell(change, &found)
		if err := t.send(); err != nil {
			return registry.WindowResult{}, err
		}
		w.Resource = found.ResourceGuid
		t.lockSource(w.Lpu, w.Resource, w.Version, now)
		t.findCell(change, &found)
		if err := t.send(); err != nil {
			return registry.WindowResult{}, err
		}
		w.Period = registry.Moment(found.StartAt)
		stored, err := t.lockSchedule(&w, now)
		if err != nil {
			return registry.WindowResult{}, err
		}
		at := slices.IndexFunc(stored.Cells, func(cell registry.StoredCell) bool { return cell.Guid == change.Slot })
		if at < 0 {
			return registry.WindowResult{}, errScheduleChanging
		}
		w.Cells = []registry.Cell{change.Apply(stored.Cells[at].Cell)}
		return t.writeWindow(&w, stored, now)
	})
}

// findCell queues the statement that reads the resource and the start of a cell into found. It
// rejects with SlotAbsent if the institution has no such cell.
func (t *tx) findCell(change registry.CellChange, found *db.SlotResourceRow) {
	row(t, t.SlotResource(t.ctx, []db.SlotResourceParams{{LpuGuid: change.Lpu, Guid: change.Slot}}).QueryRow,
		func(row db.SlotResourceRow, err error) error {
			*found = row
			if errors.Is(err, pgx.ErrNoRows) {
				return booking.Reject(booking.SlotAbsent)
			}
			return err
		})
}

// errScheduleChanging is a transient error: another resource has got the cell meanwhile.
var errScheduleChanging = booking.Reject(booking.DatabaseUnavailable).
	Because(errors.New("the schedule is being changed"))

// writeWindow computes the plan of a window, and queues its statements. If the plan is refused
// because of visits, the refusal lists them.
func (t *tx) writeWindow(
	w *registry.Window, stored *registry.Stored, now time.Time,
) (registry.WindowResult, error) {
	plan, err := registry.NewPlan(w, stored, now)
	if err != nil {
		return registry.WindowResult{}, err
	}
	if err := t.checkConflicts(w, plan.Result.Conflicts); err != nil {
		return registry.WindowResult{}, err
	}
	t.apply(w, plan, now)
	return plan.Result, nil
}

// lockSource queues the statement that locks the schedule of a resource. It rejects with
// ResourceAbsent if there is no such resource.
func (t *tx) lockSource(lpu, resource uuid.UUID, version int64, confirmed time.Time) {
	row(t, t.ScheduleLock(t.ctx, []db.ScheduleLockParams{{
		LpuGuid: lpu, ResourceGuid: resource, Version: version, At: confirmed,
	}}).QueryRow, func(_ uuid.UUID, err error) error {
		if errors.Is(err, pgx.ErrNoRows) {
			return booking.Reject(booking.ResourceAbsent)
		}
		return err
	})
}

// lockSchedule locks and reads what the plan of a window depends on.
func (t *tx) lockSchedule(w *registry.Window, now time.Time) (*registry.Stored, error) {
	stored := new(registry.Stored)
	t.lockSource(w.Lpu, w.Resource, w.Version, now)
	t.readWindows(w.Lpu, w.Resource, w.Period, &stored.Windows)
	// A cell that begins within the window can end after it.
	t.readAbsences(w.Lpu, w.Resource, registry.Period{From: w.From, To: w.To.Add(registry.MaxCell)}, &stored.Absences)
	t.lockCells(w.Lpu, w.Resource, w.Period, w.From, now, &stored.Cells)
	return stored, t.send()
}

// lockCells queues the statement that locks the cells of a resource that overlap a period and begin
// at earliest or later, and reads them into cells.
func (t *tx) lockCells(
	lpu, resource uuid.UUID, period registry.Period, earliest, now time.Time, cells *[]registry.StoredCell,
) {
	rows(t, t.ScheduleSlotsLock(t.ctx, []db.ScheduleSlotsLockParams{{
		LpuGuid: lpu, ResourceGuid: resource, EarliestAt: earliest, FromAt: period.From, ToAt: period.To, At: now,
	}}).Query, func(rows []db.ScheduleSlotsLockRow) error {
		for _, row := range rows {
			*cells = append(*cells, storedCell(db.ScheduleSlotsRow(row)))
		}
		return nil
	})
}

// readWindows queues the statement that reads the windows of a period into windows, with times in
// the zone of the institution.
func (t *tx) readWindows(lpu, resource uuid.UUID, period registry.Period, windows *[]registry.AppliedWindow) {
	rows(t, t.ScheduleWindows(t.ctx, []db.ScheduleWindowsParams{{
		LpuGuid: lpu, ResourceGuid: resource, FromAt: period.From, ToAt: period.To,
	}}).Query, func(rows []db.ScheduleWindowsRow) error {
		for _, row := range rows {
			zone, err := t.reference.zone(lpu)
			if err != nil {
				return err
			}
			*windows = append(*windows, registry.AppliedWindow{
				Period:  registry.Period{From: row.FromAt.In(zone), To: row.ToAt.In(zone)},
				Version: row.Version, Content: [sha256.Size]byte(row.Content), Settled: row.Settled,
			})
		}
		return nil
	})
}

func storedCell(row db.ScheduleSlotsRow) registry.StoredCell {
	cell := registry.StoredCell{
		Cell: registry.Cell{
			Guid: row.Guid, ID: row.ID, Start: row.StartAt, End: row.EndAt, Capacity: row.Capacity,
			Access: booking.Access(row.FlagAccess), BusyType: row.BusyType,
			Restriction: booking.Restriction(row.Restriction),
		},
		Taken: row.Taken, Held: row.Held, Closed: registry.Closed(row.ClosedBy),
	}
	if row.Blocked && cell.Closed == 0 {
		cell.Closed = registry.ClosedBySource // not brought in by the registry
	}
	cell.Blocked = cell.Closed&registry.ClosedBySource != 0
	return cell
}

// checkConflicts reads the visits of conflicts. It rejects with CellBooked if there are any and the
// policy is Refuse.
func (t *tx) checkConflicts(w *registry.Window, conflicts []booking.CellConflict) error {
	if len(conflicts) == 0 {
		return nil
	}
	cells := make([]uuid.UUID, len(conflicts))
	for i := range conflicts {
		cells[i] = conflicts[i].Cell
	}
	rows(t, t.ScheduleVisits(t.ctx, []db.ScheduleVisitsParams{{
		LpuGuid: w.Lpu, ResourceGuid: w.Resource, FromAt: w.From.Add(-registry.MaxCell), Guids: cells,
		Most: maxConflictVisits,
	}}).Query, func(rows []db.ScheduleVisitsRow) error {
		zone, err := t.reference.zone(w.Lpu)
		if err != nil {
			return err
		}
		for _, row := range rows {
			visit := booking.CellVisit{Guid: row.Guid, Start: row.StartAt.In(zone)}
			for i := range conflicts {
				if slices.Contains(row.SlotGuids, conflicts[i].Cell) {
					conflicts[i].Visits = append(conflicts[i].Visits, visit)
				}
			}
		}
		return nil
	})
	policy, err := t.policy(w.Lpu, w.OnBooked)
	if err := firstError(t.send(), err); err != nil || policy == registry.Keep {
		return err
	}
	refusal := booking.Reject(booking.CellBooked)
	refusal.Remedies = &booking.Remedies{Conflicts: conflicts}
	return refusal
}

// policy returns what a message does with visits: what it says, else what the setting of the
// institution says.
func (t *tx) policy(lpu uuid.UUID, given registry.OnBooked) (registry.OnBooked, error) {
	if given != "" {
		return given, nil
	}
	settings, err := t.reference.settings(lpu, uuid.Nil)
	return registry.OnBooked(settings.OnBooked), err
}

// apply queues the statements of a plan, and its event if cells change. Cells are deleted, or get
// new numbers, before others can get their numbers.
func (t *tx) apply(w *registry.Window, plan *registry.Plan, now time.Time) {
	if len(plan.Cut) > 0 {
		from := make([]time.Time, len(plan.Cut))
		for i := range plan.Cut {
			from[i] = plan.Cut[i].From
		}
		exec(t, t.ScheduleWindowsDelete(t.ctx, []db.ScheduleWindowsDeleteParams{{
			LpuGuid: w.Lpu, ResourceGuid: w.Resource, FromAt: from,
		}}).Exec)
	}
	if len(plan.Applied) > 0 {
		added := make([]db.ScheduleWindowAddParams, len(plan.Applied))
		for i := range plan.Applied {
			applied := &plan.Applied[i]
			added[i] = db.ScheduleWindowAddParams{
				LpuGuid: w.Lpu, ResourceGuid: w.Resource, FromAt: applied.From, ToAt: applied.To,
				Version: applied.Version, Content: applied.Content[:], Settled: applied.Settled,
			}
		}
		exec(t, t.ScheduleWindowAdd(t.ctx, added).Exec)
	}
	if len(plan.Delete) > 0 {
		exec(t, t.ScheduleSlotsDelete(t.ctx, []db.ScheduleSlotsDeleteParams{{LpuGuid: w.Lpu, Guids: plan.Delete}}).Exec)
	}
	if len(plan.Renumber) > 0 {
		exec(t, t.ScheduleSlotsRenumber(t.ctx, []db.ScheduleSlotsRenumberParams{{
			LpuGuid: w.Lpu, Guids: plan.Renumber,
		}}).Exec)
	}
	if len(plan.Change) > 0 {
		exec(t, t.ScheduleSlotsChange(t.ctx, []db.ScheduleSlotsChangeParams{slotColumns(w, plan.Change)}).Exec)
	}
	if len(plan.Add) > 0 {
		columns := slotColumns(w, plan.Add)
		exec(t, t.ScheduleSlotsAdd(t.ctx, []db.ScheduleSlotsAddParams{db.ScheduleSlotsAddParams(columns)}).Exec)
	}
	if len(plan.Delete)+len(plan.Renumber)+len(plan.Change)+len(plan.Add) > 0 {
		t.tell(events.Event{
			Lpu: w.Lpu, Type: events.ScheduleChanged, At: now, Resource: w.Resource, From: w.From, To: w.To,
			Version: w.Version,
		})
	}
}

// slotColumns returns cells of the window's resource, column by column.
func slotColumns(w *registry.Window, cells []registry.StoredCell) db.ScheduleSlotsChangeParams {
	columns := db.ScheduleSlotsChangeParams{LpuGuid: w.Lpu, ResourceGuid: w.Resource}
	for i := range cells {
		cell := &cells[i]
		columns.Guids, columns.Ids = append(columns.Guids, cell.Guid), append(columns.Ids, cell.ID)
		columns.Starts, columns.Ends = append(columns.Starts, cell.Start), append(columns.Ends, cell.End)
		columns.Capacities = append(columns.Capacities, cell.Capacity)
		columns.FlagsAccess = append(columns.FlagsAccess, int32(cell.Access))
		columns.BusyTypes = append(columns.BusyTypes, cell.BusyType)
		columns.ClosedBy = append(columns.ClosedBy, int16(cell.Closed))
		columns.Restrictions = append(columns.Restrictions, string(cell.Restriction))
	}
	return columns
}

// Schedule implements registry.Store. It takes one round trip.
func (s *Store) Schedule(
	ctx context.Context, lpu, resource uuid.UUID, period registry.Period, now time.Time,
) (schedule registry.Schedule, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		t.requireResource(lpu, resource)
		t.readWindows(lpu, resource, period, &schedule.Windows)
		rows(t, t.ScheduleSlots(ctx, []db.ScheduleSlotsParams{{
			LpuGuid: lpu, ResourceGuid: resource, FromAt: period.From, ToAt: period.To, At: now,
		}}).Query, func(rows []db.ScheduleSlotsRow) error {
			for _, row := range rows {
				zone, err := t.reference.zone(lpu)
				if err != nil {
					return err
				}
				cell := storedCell(row)
				cell.Start, cell.End = cell.Start.In(zone), cell.End.In(zone)
				schedule.Cells = append(schedule.Cells, cell)
			}
			return nil
		})
	})
	return schedule, interpretError(err)
}
