package postgres

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// WriteResource implements registry.Store.
func (s *Store) WriteResource(
	ctx context.Context, w registry.Write, r registry.Resource,
) (registry.ObjectResult, error) {
	return writeObject(ctx, s, &w, func(t *tx) error {
		execReferring(t, t.ResourceWrite(ctx, []db.ResourceWriteParams{{
			LpuGuid: w.Owner, Guid: w.Guid, Kind: db.ResourceKind(r.Kind), Name: r.Name,
			SpecialityCode: r.SpecialityCode, Room: r.Room, Preparation: r.Preparation, Active: r.Active,
		}}).Exec, "resource_lpu_guid_fkey", booking.Reject(booking.LpuAbsent))
		return nil
	})
}

// DeleteResource implements registry.Store.
func (s *Store) DeleteResource(ctx context.Context, w registry.Write) (registry.ObjectResult, error) {
	return writeObject(ctx, s, &w, func(t *tx) error {
		requireRow(t, t.LpuGet(ctx, []uuid.UUID{w.Owner}).QueryRow, booking.Reject(booking.LpuAbsent))
		exec(t, t.ResourceDeactivate(ctx, []db.ResourceDeactivateParams{{LpuGuid: w.Owner, Guid: w.Guid}}).Exec)
		return nil
	})
}

// Resource implements registry.Store.
func (s *Store) Resource(
	ctx context.Context, lpu, guid uuid.UUID,
) (found registry.Versioned[registry.Resource], err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.ResourceGet(ctx, []db.ResourceGetParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
			func(r db.ResourceGetRow, err error) error {
				found = storedResource(r)
				return rejectIfAbsent(err, booking.ResourceAbsent)
			})
	})
	return found, interpretError(err)
}

// Resources implements registry.Store.
func (s *Store) Resources(
	ctx context.Context, lpu, after uuid.UUID, limit int,
) (found []registry.ListedResource, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		requireRow(t, t.LpuGet(ctx, []uuid.UUID{lpu}).QueryRow, booking.Reject(booking.LpuAbsent))
		rows(t, t.ResourceList(ctx, []db.ResourceListParams{{
			LpuGuid: lpu, AfterGuid: after, Most: int32(limit),
		}}).Query,
			func(rows []db.ResourceListRow) error {
				for _, r := range rows {
					stored := storedResource(db.ResourceGetRow{
						Kind: r.Kind, Name: r.Name, SpecialityCode: r.SpecialityCode, Room: r.Room,
						Preparation: r.Preparation, Active: r.Active, Version: r.Version,
					})
					found = append(found, registry.ListedResource{Guid: r.Guid, Versioned: stored})
				}
				return nil
			})
	})
	return found, interpretError(err)
}

func storedResource(r db.ResourceGetRow) registry.Versioned[registry.Resource] {
	stored := registry.Versioned[registry.Resource]{Object: registry.Resource{
		Kind: booking.ResourceKind(r.Kind), Name: r.Name, SpecialityCode: r.SpecialityCode, Room: r.Room,
		Preparation: r.Preparation, Active: r.Active,
	}}
	if r.Version != nil {
		stored.Version = *r.Version
	}
	return stored
}
