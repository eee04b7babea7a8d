package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// MaxWindow is the longest period of a window, MaxCell is the longest cell.
const (
	maxWindowDays = 31
	MaxWindow     = maxWindowDays * 24 * time.Hour
	MaxCell       = 24 * time.Hour
)

// Period is a period of time: From is inclusive, To is exclusive.
type Period struct{ From, To time.Time }

// contains reports whether the moment is within the period.
func (p Period) contains(moment time.Time) bool { return !moment.Before(p.From) && moment.Before(p.To) }

// Cell is a cell of a schedule as its source describes it.
type Cell struct {
	Guid        uuid.UUID
	ID          int64 // 0: the service assigns one
	Start, End  time.Time
	Capacity    int32
	Access      booking.Access
	BusyType    int32
	Blocked     bool
	Restriction booking.Restriction
}

// OnBooked decides about cells with visits that a message withdraws or moves in time. Empty means
// the setting OnBooked of the institution.
type OnBooked string

// The policies. They never delete a cell with visits, and never lower its capacity below what is
// taken.
const (
	Refuse   OnBooked = "refuse"   // reject the message, change nothing
	Keep     OnBooked = "keep"     // close the cell for new bookings; its visits stay
	Displace OnBooked = "displace" // take the visits away; not supported yet
)

// check rejects a policy that this version does not have.
func (o OnBooked) check(field string) *booking.Refusal {
	if o == Displace {
		return booking.InvalidField(field, booking.ProblemDisplace)
	}
	return nil
}

// Window states that the cells of a resource that begin within the period are exactly Cells (окно
// расписания).
type Window struct {
	Period

	Lpu, Resource uuid.UUID
	Version       int64 // orders the messages of the source
	Cells         []Cell
	OnBooked      OnBooked
}

// WindowResult counts what a window has changed.
type WindowResult struct {
	Added, Changed, Withdrawn, Unchanged int
	// Superseded is the number of cells of the message that were not applied, because a newer
	// window covers their start.
	Superseded int
	// Conflicts are the cells that are not as the message states, because they have visits.
	Conflicts []booking.CellConflict
}

// WriteWindow replaces a period of a resource's schedule. Of several windows that cover a moment,
// that with the highest version decides it, whatever the order in which they arrive: a window cuts
// the older ones, and is not applied where a newer one is. WriteWindow rejects with VersionStale if
// newer windows cover the whole period, with VersionConflict if a window of this version has other
// content, with CellBooked if OnBooked is Refuse and a cell with visits would be withdrawn, moved
// or reduced, with CellForeign if the guid or the number of a cell belongs to another resource or
// to a cell outside the window, with ResourceAbsent, and with FieldInvalid or CellOverlap if the
// message contradicts itself.
func (s *Service) WriteWindow(ctx context.Context, window Window) (WindowResult, error) {
	result, err := s.writeWindow(ctx, window)
	return result, s.recordRejection(ctx, Rejection{Lpu: window.Lpu, Resource: window.Resource}, err)
}

func (s *Service) writeWindow(ctx context.Context, window Window) (WindowResult, error) {
	if refusal := window.check(); refusal != nil {
		return WindowResult{}, refusal
	}
	result, err := s.store.WriteWindow(ctx, window, s.now())
	if err != nil {
		return WindowResult{}, fmt.Errorf("write the window: %w", err)
	}
	return result, nil
}

// ConfirmWindows returns which of several windows of an institution are applied already, exactly
// and without conflicts, so that WriteWindow would change nothing. It is much cheaper than
// WriteWindow.
func (s *Service) ConfirmWindows(ctx context.Context, lpu uuid.UUID, windows []Window) ([]bool, error) {
	applied, err := s.store.ConfirmWindows(ctx, lpu, windows, s.now())
	if err != nil {
		return nil, fmt.Errorf("compare the windows: %w", err)
	}
	return applied, nil
}

// sorted returns the cells in order of time.
func (w *Window) sorted() []Cell {
	return slices.SortedFunc(slices.Values(w.Cells), func(a, b Cell) int {
		return cmp.Or(a.Start.Compare(b.Start), bytes.Compare(a.Guid[:], b.Guid[:]))
	})
}

// check rejects a window that contradicts itself.
func (w *Window) check() *booking.Refusal {
	if refusal := cmp.Or(w.Period.check(), w.OnBooked.check("OnBooked")); refusal != nil {
		return refusal
	}
	guids, ids := make(map[uuid.UUID]bool, len(w.Cells)), make(map[int64]bool, len(w.Cells))
	for i, cell := range w.Cells {
		field := fmt.Sprintf("Cells.%d.", i)
		switch {
		case cell.Guid == uuid.Nil:
			return booking.InvalidField(field+"Guid", booking.ProblemZeroGuid)
		case !w.contains(cell.Start):
			return booking.InvalidField(field+"Start", booking.ProblemOutsideWindow)
		case !cell.End.After(cell.Start):
			return booking.InvalidField(field+"End", booking.ProblemEmptyPeriod)
		case cell.End.Sub(cell.Start) > MaxCell:
			return booking.InvalidField(field+"End", booking.ProblemPeriod(1))
		case guids[cell.Guid]:
			return booking.InvalidField(field+"Guid", booking.ProblemRepeated)
		case cell.ID != 0 && ids[cell.ID]:
			return booking.InvalidField(field+"Id", booking.ProblemRepeated)
		}
		guids[cell.Guid], ids[cell.ID] = true, true
	}
	cells := w.sorted()
	for i, cell := range cells {
		if i > 0 && cell.Start.Before(cells[i-1].End) {
			return booking.Reject(booking.CellOverlap, "Slot", cell.Guid.String(), "Other", cells[i-1].Guid.String())
		}
	}
	return nil
}

// Content returns the SHA-256 of what the window states. It does not depend on the order of the
// cells.
func (w *Window) Content() [sha256.Size]byte {
	const cellBytes = 16 + 8*8
	stated := make([]byte, 0, 3*8+cellBytes*len(w.Cells))
	add := func(numbers ...int64) {
		for _, number := range numbers {
			stated = binary.BigEndian.AppendUint64(stated, uint64(number))
		}
	}
	add(w.From.UnixMicro(), w.To.UnixMicro(), int64(len(w.Cells)))
	for _, cell := range w.sorted() {
		stated = append(stated, cell.Guid[:]...)
		blocked := int64(0)
		if cell.Blocked {
			blocked = 1
		}
		add(cell.ID, cell.Start.UnixMicro(), cell.End.UnixMicro(), int64(cell.Capacity), int64(cell.Access),
			int64(cell.BusyType), blocked, int64(slices.Index(booking.Restrictions, cell.Restriction)))
	}
	return sha256.Sum256(stated)
}
