package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// CellChange changes the given fields of one cell; nil leaves a field as it is.
type CellChange struct {
	Lpu, Slot   uuid.UUID
	Version     int64
	OnBooked    OnBooked
	Capacity    *int32
	Access      *booking.Access
	BusyType    *int32
	Blocked     *bool
	Restriction *booking.Restriction
}

// ChangeCell changes a cell. It is a window that covers only the start of the cell, with the same
// results and refusals as WriteWindow. It rejects with SlotAbsent if the institution has no such
// cell.
func (s *Service) ChangeCell(ctx context.Context, change CellChange) (WindowResult, error) {
	result, err := s.changeCell(ctx, change)
	return result, s.recordRejection(ctx, Rejection{Lpu: change.Lpu, Slot: &change.Slot}, err)
}

func (s *Service) changeCell(ctx context.Context, change CellChange) (WindowResult, error) {
	if refusal := change.OnBooked.check("OnBooked"); refusal != nil {
		return WindowResult{}, refusal
	}
	result, err := s.store.ChangeCell(ctx, change, s.now())
	if err != nil {
		return WindowResult{}, fmt.Errorf("change the cell: %w", err)
	}
	return result, nil
}

// Moment returns the shortest period with a moment. Its length is the precision of the database.
func Moment(start time.Time) Period { return Period{start, start.Add(time.Microsecond)} }

// Apply returns the cell with the changes.
func (c *CellChange) Apply(cell Cell) Cell {
	set(&cell.Capacity, c.Capacity)
	set(&cell.Access, c.Access)
	set(&cell.BusyType, c.BusyType)
	set(&cell.Blocked, c.Blocked)
	set(&cell.Restriction, c.Restriction)
	return cell
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
