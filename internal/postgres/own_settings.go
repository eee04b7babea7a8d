package postgres

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// maxOwnSettings bounds the settings of an owner. There are fewer codes.
const maxOwnSettings = 100

// requireOwner queues the statement that rejects an owner of settings that does not exist.
func (t *tx) requireOwner(owner registry.SettingsOwner) {
	switch owner.Kind {
	case booking.OwnerRegion:
	case booking.OwnerLpu:
		requireRow(t, t.LpuGet(t.ctx, []uuid.UUID{owner.Guid}).QueryRow, booking.Reject(booking.LpuAbsent))
	case booking.OwnerClient:
		requireRow(t, t.ClientRightsGet(t.ctx, []uuid.UUID{owner.Guid}).QueryRow, booking.Reject(booking.ObjectAbsent))
	}
}

// WriteSettings implements registry.Store.
func (s *Store) WriteSettings(
	ctx context.Context, w registry.Write, owner registry.SettingsOwner, settings []registry.Setting,
) (registry.ObjectResult, error) {
	return writeReference(ctx, s, &w, func(t *tx) error {
		ofClient := owner.Kind == booking.OwnerClient
		t.requireOwner(owner)
		exec(t, t.SettingsDelete(ctx, []db.SettingsDeleteParams{{OwnerGuid: owner.Guid, OfClient: ofClient}}).Exec)
		added := db.SettingsAddParams{OwnerGuid: owner.Guid, OfClient: ofClient}
		for _, setting := range settings {
			added.Codes, added.Settings = append(added.Codes, setting.Code), append(added.Settings, setting.Value)
		}
		execReferring(t, t.SettingsAdd(ctx, []db.SettingsAddParams{added}).Exec,
			"setting_lpu", booking.Reject(booking.LpuAbsent))
		return nil
	})
}

// OwnSettings implements registry.Store.
func (s *Store) OwnSettings(
	ctx context.Context, owner registry.SettingsOwner, object registry.Object,
) (found registry.Versioned[[]registry.Setting], err error) {
	err = s.snapshot(ctx, func(t *tx) {
		t.requireOwner(owner)
		rows(t, t.SettingsOfOwner(ctx, []db.SettingsOfOwnerParams{{
			OwnerGuid: owner.Guid, OfClient: owner.Kind == booking.OwnerClient, Most: maxOwnSettings,
		}}).Query, func(rows []db.SettingsOfOwnerRow) error {
			for _, row := range rows {
				found.Object = append(found.Object, registry.Setting{Code: row.Code, Value: row.Value})
			}
			return nil
		})
		t.readVersion(object, &found.Version)
	})
	return found, interpretError(err)
}

// WriteClientRights implements registry.Store.
func (s *Store) WriteClientRights(
	ctx context.Context, w registry.Write, rights booking.Rights,
) (registry.ObjectResult, error) {
	return writeReference(ctx, s, &w, func(t *tx) error {
		requireRow(t, t.ClientRightsWrite(ctx, []db.ClientRightsWriteParams{{
			Guid: w.Guid, VisitDirection: int32(rights.SameLpu), VisitDirectionOtherLpu: int32(rights.OtherLpu),
			OutOfSchedule: rights.OutOfSchedule,
		}}).QueryRow, booking.Reject(booking.ObjectAbsent))
		return nil
	})
}

// ClientRights implements registry.Store.
func (s *Store) ClientRights(
	ctx context.Context, object registry.Object,
) (found registry.Versioned[booking.Rights], err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.ClientRightsGet(ctx, []uuid.UUID{object.Guid}).QueryRow,
			func(r db.ClientRightsGetRow, err error) error {
				found.Object = accessRights(r.VisitDirection, r.VisitDirectionOtherLpu, r.OutOfSchedule)
				return rejectIfAbsent(err, booking.ObjectAbsent)
			})
		t.readVersion(object, &found.Version)
	})
	return found, interpretError(err)
}
