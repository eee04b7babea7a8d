package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Lpu is an institution (ЛПУ) as its source describes it.
type Lpu struct {
	LegalEntity uuid.UUID
	Code        string // «Код поликлиники», unique in the region
	Name        string
	TimeZone    string // IANA name
	Address     string // may be empty
	Phone       string // may be empty
}

// Versioned is an object as it is stored.
type Versioned[T any] struct {
	Object  T
	Version int64 // 0 if no source has written the object
}

// LegalEntity is a legal entity (юр. лицо) as its source describes it.
type LegalEntity struct{ Name string }

func lpuObject(guid uuid.UUID) Object         { return Object{guid, KindInstitution, guid} }
func legalEntityObject(guid uuid.UUID) Object { return Object{guid, KindLegalEntity, guid} }

// WriteLpu creates or replaces an institution. Every instance knows the change within a second. It
// rejects with VersionStale and VersionConflict, and with FieldInvalid if the time zone or the
// legal entity does not exist, or if another institution has the code.
func (s *Service) WriteLpu(ctx context.Context, guid uuid.UUID, version int64, lpu Lpu) (ObjectResult, error) {
	const ofTheMachine = "Local" // for LoadLocation
	if _, err := time.LoadLocation(lpu.TimeZone); err != nil || lpu.TimeZone == ofTheMachine {
		return ObjectResult{}, booking.InvalidField("TimeZone", booking.ProblemTimeZone)
	}
	w, err := newWrite(lpuObject(guid), version, lpu)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteLpu(ctx, w, lpu)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the institution: %w", err)
	}
	return result, nil
}

// DeleteLpu deletes an institution. The deletion is recorded even if there is none. It rejects with
// VersionStale, with VersionConflict, and with ObjectInUse if the institution has cards, settings
// or resources, also deleted ones.
func (s *Service) DeleteLpu(ctx context.Context, guid uuid.UUID, version int64) (ObjectResult, error) {
	w, err := newDeletion(lpuObject(guid), version)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.DeleteLpu(ctx, w)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("delete the institution: %w", err)
	}
	return result, nil
}

// Lpu returns an institution. It rejects with LpuAbsent.
func (s *Service) Lpu(ctx context.Context, guid uuid.UUID) (Versioned[Lpu], error) {
	found, err := s.store.StoredLpu(ctx, lpuObject(guid))
	if err != nil {
		return found, fmt.Errorf("read the institution: %w", err)
	}
	return found, nil
}

// WriteLegalEntity creates or replaces a legal entity. It rejects with VersionStale and
// VersionConflict.
func (s *Service) WriteLegalEntity(
	ctx context.Context, guid uuid.UUID, version int64, entity LegalEntity,
) (ObjectResult, error) {
	w, err := newWrite(legalEntityObject(guid), version, entity)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteLegalEntity(ctx, w, entity)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the legal entity: %w", err)
	}
	return result, nil
}

// DeleteLegalEntity deletes a legal entity. The deletion is recorded even if there is none. It
// rejects with VersionStale, with VersionConflict, and with ObjectInUse if the legal entity has
// institutions.
func (s *Service) DeleteLegalEntity(ctx context.Context, guid uuid.UUID, version int64) (ObjectResult, error) {
	w, err := newDeletion(legalEntityObject(guid), version)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.DeleteLegalEntity(ctx, w)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("delete the legal entity: %w", err)
	}
	return result, nil
}

// LegalEntity returns a legal entity. It rejects with ObjectAbsent.
func (s *Service) LegalEntity(ctx context.Context, guid uuid.UUID) (Versioned[LegalEntity], error) {
	found, err := s.store.StoredLegalEntity(ctx, legalEntityObject(guid))
	if err != nil {
		return found, fmt.Errorf("read the legal entity: %w", err)
	}
	return found, nil
}
