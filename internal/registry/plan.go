package registry

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// AppliedWindow is a period of a schedule with the message that decides it. The periods of a
// resource do not overlap.
type AppliedWindow struct {
	Period

	Version int64
	Content [sha256.Size]byte // hash of the message
	Settled bool              // the cells are exactly those of the message
}

// Closed are the reasons for which a cell is closed to bookings, as bits.
type Closed int16

// The reasons.
const (
	ClosedBySource  Closed = 1 // the message says so
	ClosedWithdrawn Closed = 2 // the cell is withdrawn and has visits
	ClosedByAbsence Closed = 4
)

// StoredCell is a cell of the schedule as it is stored.
type StoredCell struct {
	Cell // Blocked is that of its source

	Taken  int32
	Held   int32 // places that patients hold
	Closed Closed
}

// Stored is what the plan of a window depends on. All of it is locked.
type Stored struct {
	Windows  []AppliedWindow // that overlap the window, in order of time
	Cells    []StoredCell    // that begin within it
	Absences []Absence       // that overlap them
}

// Plan is what a window changes.
type Plan struct {
	Result WindowResult

	Cut, Applied []AppliedWindow // to delete and to insert
	Add, Change  []StoredCell
	Delete       []uuid.UUID
	Renumber     []uuid.UUID // those of Change that get another number, which one of them may have
	unsettled    bool        // the cells are not those of the message, because of visits or holds
}

// NewPlan computes what a window changes. Its conflicts have no visits yet, and do not depend on
// OnBooked. It rejects with VersionStale and VersionConflict.
func NewPlan(w *Window, stored *Stored, now time.Time) (*Plan, error) {
	content := w.Content()
	p := &Plan{}
	open, err := p.cut(w, content, stored.Windows)
	if err != nil {
		return nil, err
	}
	if len(open) == 0 {
		p.Result.Unchanged = len(w.Cells)
		return p, nil
	}
	p.compare(w, open, stored, now)
	for _, period := range open {
		p.Applied = append(p.Applied, AppliedWindow{period, w.Version, content, !p.unsettled})
	}
	return p, nil
}

// cut returns the periods that the window decides, and cuts the older windows there. Where the same
// window has been applied without conflicts, there is nothing to do.
func (p *Plan) cut(w *Window, content [sha256.Size]byte, windows []AppliedWindow) (open []Period, err error) {
	from, newer := w.From, false
	for _, known := range windows {
		same := known.Version == w.Version
		switch {
		case same && known.Content != content:
			return nil, booking.Reject(booking.VersionConflict)
		case same && known.Settled, known.Version > w.Version:
			newer = newer || !same
			if from.Before(known.From) {
				open = append(open, Period{from, known.From})
			}
			from = known.To
		default:
			p.Cut = append(p.Cut, known)
			before, after := known, known
			before.To, after.From = w.From, w.To
			for _, rest := range []AppliedWindow{before, after} {
				if rest.From.Before(rest.To) {
					p.Applied = append(p.Applied, rest)
				}
			}
		}
	}
	if from.Before(w.To) {
		open = append(open, Period{from, w.To})
	}
	if len(open) == 0 && newer {
		return nil, booking.Reject(booking.VersionStale)
	}
	return open, nil
}

// compare finds the differences between the window and the stored cells in the open periods.
func (p *Plan) compare(w *Window, open []Period, stored *Stored, now time.Time) {
	isOpen := func(moment time.Time) bool {
		return slices.ContainsFunc(open, func(period Period) bool { return period.contains(moment) })
	}
	unmatched := make(map[uuid.UUID]StoredCell, len(stored.Cells))
	for _, cell := range stored.Cells {
		unmatched[cell.Guid] = cell
	}
	for _, cell := range w.Cells {
		known, exists := unmatched[cell.Guid]
		if !isOpen(cell.Start) || exists && !isOpen(known.Start) {
			p.Result.Superseded++
			continue
		}
		delete(unmatched, cell.Guid)
		wanted := StoredCell{Cell: cell, Taken: known.Taken, Held: known.Held, Closed: closedBy(&cell, stored.Absences)}
		if !exists {
			p.Add = append(p.Add, wanted)
			p.Result.Added++
			continue
		}
		p.change(&known, &wanted, now)
	}
	for _, cell := range unmatched {
		if isOpen(cell.Start) {
			p.withdraw(&cell, booking.ConflictWithdrawn, now)
		}
	}
	slices.SortFunc(p.Result.Conflicts, func(a, b booking.CellConflict) int {
		return bytes.Compare(a.Cell[:], b.Cell[:])
	})
}

// closedBy returns why a message's cell is closed.
func closedBy(cell *Cell, absences []Absence) Closed {
	if cell.Blocked {
		return ClosedBySource | cell.absence(absences)
	}
	return cell.absence(absences)
}

// change compares a stored cell with its description in the message. Visits that have begun keep
// their cell as it is.
func (p *Plan) change(known, wanted *StoredCell, now time.Time) {
	moved := !known.Start.Equal(wanted.Start) || !known.End.Equal(wanted.End)
	if moved && (known.Taken > 0 || known.Held > 0) {
		p.withdraw(known, booking.ConflictMoved, now)
		return
	}
	// A visit and the hold for its move share a place, so that their sum may exceed the capacity.
	if used := min(known.Taken+known.Held, known.Capacity); wanted.Capacity < used {
		switch {
		case wanted.Capacity >= known.Taken: // holds are no conflict
			p.unsettled = true
		case !known.Start.Before(now):
			p.conflict(known, booking.ConflictCapacity)
		}
		wanted.Capacity = used
	}
	if wanted.ID == 0 {
		wanted.ID = known.ID
	}
	wanted.Start, wanted.End = sameMoment(known.Start, wanted.Start), sameMoment(known.End, wanted.End)
	if *known == *wanted {
		p.Result.Unchanged++
		return
	}
	if wanted.ID != known.ID {
		p.Renumber = append(p.Renumber, known.Guid)
	}
	p.Change = append(p.Change, *wanted)
	p.Result.Changed++
}

// sameMoment returns known if both are the same moment, so that times of several zones compare
// equal, else wanted.
func sameMoment(known, wanted time.Time) time.Time {
	if known.Equal(wanted) {
		return known
	}
	return wanted
}

// withdraw deletes a cell, or closes it if it has visits or holds. Holds are no conflict: they end
// soon, but must not refer to a cell that does not exist.
func (p *Plan) withdraw(cell *StoredCell, kind booking.ConflictKind, now time.Time) {
	switch {
	case cell.Taken == 0 && cell.Held == 0:
		p.Delete = append(p.Delete, cell.Guid)
		p.Result.Withdrawn++
		return
	case cell.Taken > 0 && cell.Start.Before(now):
		p.Result.Unchanged++
		return
	case cell.Taken > 0:
		p.conflict(cell, kind)
	}
	p.unsettled = true
	if cell.Closed&ClosedWithdrawn == 0 {
		closed := *cell
		closed.Closed |= ClosedWithdrawn
		p.Change = append(p.Change, closed)
		p.Result.Withdrawn++
	}
}

func (p *Plan) conflict(cell *StoredCell, kind booking.ConflictKind) {
	p.Result.Conflicts = append(p.Result.Conflicts, booking.CellConflict{Cell: cell.Guid, Kind: kind})
	p.unsettled = true
}
