package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Person is a person of the local master patient index (МИП). Texts may be empty, and the sex may
// be unknown: then booking creates no card from it.
type Person struct {
	Surname, Name, Patronymic  string
	BirthDate                  time.Time // a day
	Sex                        booking.Sex
	Snils                      string
	PolicySeries, PolicyNumber string
}

// StoredPerson is a person as it is stored.
type StoredPerson struct {
	Person

	Version int64 // 0 if no source has written the person
}

// PersonStore writes persons as CardStore writes cards.
type PersonStore interface {
	WritePerson(ctx context.Context, w Write, person Person) (ObjectResult, error)
	DeletePerson(ctx context.Context, w Write) (ObjectResult, error)
	StoredPerson(ctx context.Context, guid uuid.UUID) (StoredPerson, error)
}

// personObject returns the object of a person, which belongs to no institution.
func personObject(guid uuid.UUID) Object { return Object{guid, KindPerson, guid} }

// WritePerson creates or replaces a person of the index. Cards of the person do not change. It
// rejects with VersionStale and VersionConflict, and with FieldInvalid if the birth date is
// impossible.
func (s *Service) WritePerson(ctx context.Context, guid uuid.UUID, version int64, person Person) (ObjectResult, error) {
	if refusal := booking.CheckYear("BirthDate", person.BirthDate); refusal != nil {
		return ObjectResult{}, refusal
	}
	w, err := newWrite(personObject(guid), version, person)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WritePerson(ctx, w, person)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the person: %w", err)
	}
	return result, nil
}

// DeletePerson deletes a person of the index. Cards of the person stay. The deletion is recorded
// even if there is none. It rejects with VersionStale and VersionConflict.
func (s *Service) DeletePerson(ctx context.Context, guid uuid.UUID, version int64) (ObjectResult, error) {
	w, err := newDeletion(personObject(guid), version)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.DeletePerson(ctx, w)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("delete the person: %w", err)
	}
	return result, nil
}

// Person returns a person of the index. It rejects with ObjectAbsent if the index does not know the
// person or has no data.
func (s *Service) Person(ctx context.Context, guid uuid.UUID) (StoredPerson, error) {
	person, err := s.store.StoredPerson(ctx, guid)
	if err != nil {
		return StoredPerson{}, fmt.Errorf("read the person: %w", err)
	}
	return person, nil
}
