package postgres

import (
	"context"

	"talon.example/gen/db"
)

// BusyTypes returns the kinds of cells, ordered by code.
func (s *Store) BusyTypes(ctx context.Context) ([]db.BusyType, error) {
	all, err := db.New(s.pool).BusyTypeList(ctx, maxReferenceRows)
	return all, interpretError(err)
}

// PutBusyType adds a kind of cells, or replaces the one with its code. Running services take it
// within ReferenceAge.
func (s *Store) PutBusyType(ctx context.Context, kind db.BusyType) error {
	return interpretError(db.New(s.pool).BusyTypePut(ctx, kind.Code, kind.Name, kind.Reception))
}
