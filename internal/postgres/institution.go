package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// writeReference is writeObject for reference data, of which this instance forgets what it has in
// memory.
func writeReference(
	ctx context.Context, s *Store, w *registry.Write, do func(*tx) error,
) (registry.ObjectResult, error) {
	result, err := writeObject(ctx, s, w, do)
	if err == nil && result.Changed {
		s.ForgetReference()
	}
	return result, err
}

// requireRow queues the reading of a row that must exist. Otherwise it rejects with missing.
func requireRow[R any](t *tx, query func(func(int, R, error)), missing *booking.Refusal) {
	row(t, query, func(_ R, err error) error {
		if errors.Is(err, pgx.ErrNoRows) {
			return missing
		}
		return err
	})
}

// execReferring is exec for a statement that writes a row with a foreign key. It rejects with
// missing if the row that the key refers to does not exist. The statement must not lock that row
// before: two locks of a row of a reference table deadlock in a distributed database.
func execReferring(t *tx, query func(func(int, error)), key string, missing *booking.Refusal) {
	exec(t, func(read func(int, error)) {
		query(func(i int, err error) {
			var pgErr *pgconn.PgError
			if errors.As(err, &pgErr) && constraintOf(pgErr) == key {
				err = missing
			}
			read(i, err)
		})
	})
}

// WriteLegalEntity implements registry.Store.
func (s *Store) WriteLegalEntity(
	ctx context.Context, w registry.Write, entity registry.LegalEntity,
) (registry.ObjectResult, error) {
	return writeObject(ctx, s, &w, func(t *tx) error {
		exec(t, t.LegalEntityWrite(ctx, []db.LegalEntityWriteParams{{Guid: w.Guid, Name: entity.Name}}).Exec)
		return nil
	})
}

// DeleteLegalEntity implements registry.Store. A foreign key keeps a legal entity that is in use.
func (s *Store) DeleteLegalEntity(ctx context.Context, w registry.Write) (registry.ObjectResult, error) {
	return writeObject(ctx, s, &w, func(t *tx) error {
		exec(t, t.LegalEntityDelete(ctx, []uuid.UUID{w.Guid}).Exec)
		return nil
	})
}

// StoredLegalEntity implements registry.Store.
func (s *Store) StoredLegalEntity(
	ctx context.Context, object registry.Object,
) (found registry.Versioned[registry.LegalEntity], err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.LegalEntityGet(ctx, []uuid.UUID{object.Guid}).QueryRow, func(name string, err error) error {
			found.Object.Name = name
			return rejectIfAbsent(err, booking.ObjectAbsent)
		})
		t.readVersion(object, &found.Version)
	})
	return found, interpretError(err)
}

// WriteLpu implements registry.Store.
func (s *Store) WriteLpu(ctx context.Context, w registry.Write, lpu registry.Lpu) (registry.ObjectResult, error) {
	return writeReference(ctx, s, &w, func(t *tx) error {
		row(t, t.LpuOfCode(ctx, []string{lpu.Code}).QueryRow, func(guid uuid.UUID, err error) error {
			if err == nil && guid != w.Guid {
				return booking.InvalidField("Code", booking.ProblemCodeTaken)
			}
			return ignoreAbsent(err)
		})
		written := t.LpuWrite(ctx, []db.LpuWriteParams{{
			Guid: w.Guid, LegalEntityGuid: lpu.LegalEntity, Code: lpu.Code, Name: lpu.Name, TimeZone: lpu.TimeZone,
			Address: lpu.Address, Phone: lpu.Phone,
		}})
		execReferring(t, func(read func(int, error)) {
			written.Exec(func(i int, err error) { read(i, rejectUnknownZone(err)) })
		}, "lpu_legal_entity_guid_fkey", booking.InvalidField("LegalEntityGuid", booking.ProblemEntityUnknown))
		return nil
	})
}

// rejectUnknownZone rejects a time zone that the service knows and the database does not, because
// its list of zones is older.
func rejectUnknownZone(err error) error {
	if isState(err, "22023") { // invalid_parameter_value
		return booking.InvalidField("TimeZone", booking.ProblemTimeZone)
	}
	return err
}

// DeleteLpu implements registry.Store. Foreign keys keep an institution that is in use.
func (s *Store) DeleteLpu(ctx context.Context, w registry.Write) (registry.ObjectResult, error) {
	return writeReference(ctx, s, &w, func(t *tx) error {
		exec(t, t.LpuDelete(ctx, []uuid.UUID{w.Guid}).Exec)
		return nil
	})
}

// StoredLpu implements registry.Store.
func (s *Store) StoredLpu(
	ctx context.Context, object registry.Object,
) (found registry.Versioned[registry.Lpu], err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.LpuGet(ctx, []uuid.UUID{object.Guid}).QueryRow, func(lpu db.LpuGetRow, err error) error {
			found.Object = registry.Lpu{
				LegalEntity: lpu.LegalEntityGuid, Code: lpu.Code, Name: lpu.Name, TimeZone: lpu.TimeZone,
				Address: lpu.Address, Phone: lpu.Phone,
			}
			return rejectIfAbsent(err, booking.LpuAbsent)
		})
		t.readVersion(object, &found.Version)
	})
	return found, interpretError(err)
}
