package postgres

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// recordWrite queues the statements that lock an object against other writers and record a write
// of its source. After send, changes reports whether the object must be written: it is false if its
// source has written the same before. send rejects with VersionStale if the object has a newer
// version, and with VersionConflict if this version has other content.
func (t *tx) recordWrite(w *registry.Write, changes *bool) {
	var recorded bool
	row(t, t.SourceObjectWrite(t.ctx, []db.SourceObjectWriteParams{{
		OwnerGuid: w.Owner, Kind: db.SourceObjectKind(w.Kind), Guid: w.Guid, Version: w.Version, Content: w.Content[:],
		Deleted: w.Deleted,
	}}).QueryRow, func(_ uuid.UUID, err error) error {
		recorded = err == nil
		return ignoreAbsent(err)
	})
	row(t, t.SourceObjectGet(t.ctx, []db.SourceObjectGetParams{{
		OwnerGuid: w.Owner, Kind: db.SourceObjectKind(w.Kind), Guid: w.Guid,
	}}).QueryRow, func(known db.SourceObjectGetRow, err error) error {
		*changes = recorded
		switch {
		case err != nil || recorded:
			return err
		case known.Version > w.Version:
			return booking.Reject(booking.VersionStale)
		case known.Deleted != w.Deleted || !bytes.Equal(known.Content, w.Content[:]):
			return booking.Reject(booking.VersionConflict)
		}
		return nil
	})
}

// writeObject runs a transaction that records the write of an object, and calls do if the write
// changes something.
func writeObject(
	ctx context.Context, s *Store, w *registry.Write, do func(*tx) error,
) (registry.ObjectResult, error) {
	return write(ctx, s, func(t *tx) (result registry.ObjectResult, err error) {
		t.recordWrite(w, &result.Changed)
		if err := t.send(); err != nil || !result.Changed {
			return result, err
		}
		return result, do(t)
	})
}

// readVersion queues the statement that reads the version of an object into version, which stays 0
// if no source has written the object.
func (t *tx) readVersion(o registry.Object, version *int64) {
	row(t, t.SourceObjectGet(t.ctx, []db.SourceObjectGetParams{{
		OwnerGuid: o.Owner, Kind: db.SourceObjectKind(o.Kind), Guid: o.Guid,
	}}).QueryRow, func(known db.SourceObjectGetRow, err error) error {
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		*version = known.Version
		return err
	})
}
