package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// SettingsOwner is the owner of settings: the region, with the zero guid, an institution, or a
// client application.
type SettingsOwner struct {
	Kind booking.SettingOwner
	Guid uuid.UUID
}

// Setting is a setting with its value.
type Setting struct{ Code, Value string }

func (o SettingsOwner) object() Object { return Object{o.Guid, KindSettings, o.Guid} }

// WriteSettings replaces all settings of an owner. Every instance knows the change within a second.
// It rejects with VersionStale, with VersionConflict, with LpuAbsent or ObjectAbsent if there is no
// such owner, and with FieldInvalid if the owner cannot have a setting or a value.
func (s *Service) WriteSettings(
	ctx context.Context, owner SettingsOwner, version int64, settings []Setting,
) (ObjectResult, error) {
	codes := map[string]bool{}
	for i, setting := range settings {
		field := fmt.Sprintf("Settings.%d.", i)
		if codes[setting.Code] {
			return ObjectResult{}, booking.InvalidField(field+"Code", booking.ProblemRepeated)
		}
		codes[setting.Code] = true
		known := booking.SettingOf(setting.Code, owner.Kind)
		switch {
		case known == nil:
			return ObjectResult{}, booking.InvalidField(field+"Code", booking.ProblemSetting)
		case !known.Accepts(setting.Value):
			return ObjectResult{}, booking.InvalidField(field+"Value", booking.ProblemNotOneOf(known.Values()))
		}
	}
	slices.SortFunc(settings, func(a, b Setting) int { return strings.Compare(a.Code, b.Code) })
	w, err := newWrite(owner.object(), version, settings)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteSettings(ctx, w, owner, settings)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the settings: %w", err)
	}
	return result, nil
}

// Settings returns the settings that an owner has itself, in order of their codes. It rejects with
// LpuAbsent or ObjectAbsent if there is no such owner.
func (s *Service) Settings(ctx context.Context, owner SettingsOwner) (Versioned[[]Setting], error) {
	found, err := s.store.OwnSettings(ctx, owner, owner.object())
	if err != nil {
		return found, fmt.Errorf("read the settings: %w", err)
	}
	return found, nil
}

func rightsObject(client uuid.UUID) Object { return Object{client, KindClientRights, client} }

// WriteClientRights sets which cells a client application may take for patients. Every instance
// knows the change within a second. It rejects with VersionStale, with VersionConflict, and with
// ObjectAbsent if there is no such client application.
func (s *Service) WriteClientRights(
	ctx context.Context, client uuid.UUID, version int64, rights booking.Rights,
) (ObjectResult, error) {
	w, err := newWrite(rightsObject(client), version, rights)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteClientRights(ctx, w, rights)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the rights: %w", err)
	}
	return result, nil
}

// ClientRights returns which cells a client application may take for patients. It rejects with
// ObjectAbsent if there is no such client application.
func (s *Service) ClientRights(ctx context.Context, client uuid.UUID) (Versioned[booking.Rights], error) {
	found, err := s.store.ClientRights(ctx, rightsObject(client))
	if err != nil {
		return found, fmt.Errorf("read the rights: %w", err)
	}
	return found, nil
}
