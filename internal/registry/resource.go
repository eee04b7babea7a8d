package registry

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Resource is a doctor, a cabinet or a piece of equipment (ресурс) as its source describes it.
type Resource struct {
	Kind           booking.ResourceKind
	Name           string
	SpecialityCode string
	Room           string // may be empty
	Preparation    string // how patients prepare for a visit; may be empty
	Active         bool   // whether it accepts visits
}

// ListedResource is a resource of a list.
type ListedResource struct {
	Versioned[Resource]

	Guid uuid.UUID
}

func resourceObject(lpu, guid uuid.UUID) Object { return Object{lpu, KindResource, guid} }

// WriteResource creates or replaces a resource of an institution. It rejects with VersionStale,
// with VersionConflict, and with LpuAbsent.
func (s *Service) WriteResource(
	ctx context.Context, lpu, guid uuid.UUID, version int64, resource Resource,
) (ObjectResult, error) {
	w, err := newWrite(resourceObject(lpu, guid), version, resource)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteResource(ctx, w, resource)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the resource: %w", err)
	}
	return result, nil
}

// DeleteResource makes a resource not active, and removes it from the lists. Its visits stay. The
// deletion is recorded even if there is no such resource. It rejects like WriteResource.
func (s *Service) DeleteResource(ctx context.Context, lpu, guid uuid.UUID, version int64) (ObjectResult, error) {
	w, err := newDeletion(resourceObject(lpu, guid), version)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.DeleteResource(ctx, w)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("delete the resource: %w", err)
	}
	return result, nil
}

// Resource returns a resource. It rejects with ResourceAbsent, also if the resource is deleted.
func (s *Service) Resource(ctx context.Context, lpu, guid uuid.UUID) (Versioned[Resource], error) {
	found, err := s.store.Resource(ctx, lpu, guid)
	if err != nil {
		return found, fmt.Errorf("read the resource: %w", err)
	}
	return found, nil
}

// Resources returns up to limit resources of an institution after a guid, in order of their guids.
// It rejects with LpuAbsent.
func (s *Service) Resources(ctx context.Context, lpu, after uuid.UUID, limit int) ([]ListedResource, error) {
	found, err := s.store.Resources(ctx, lpu, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the resources: %w", err)
	}
	return found, nil
}
