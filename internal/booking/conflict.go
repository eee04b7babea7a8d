package booking

import (
	"time"

	"github.com/google/uuid"
)

// CellConflict is a cell with visits that could not be changed as its source wants.
type CellConflict struct {
	Cell   uuid.UUID
	Kind   ConflictKind
	Visits []CellVisit // in order of time
}

// ConflictKind is what the source of a schedule wants to do with a booked cell.
type ConflictKind string

// The kinds of conflicts.
const (
	ConflictWithdrawn ConflictKind = "withdrawn" // the source no longer offers the cell
	ConflictMoved     ConflictKind = "moved"     // the source has changed its time
	ConflictCapacity  ConflictKind = "capacity"  // the source offers fewer places than are taken
	ConflictAbsence   ConflictKind = "absence"   // the resource is absent
)

// CellVisit is an active visit in a cell.
type CellVisit struct {
	Guid  uuid.UUID
	Start time.Time // in the zone of the institution
}
