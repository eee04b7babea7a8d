package postgres

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// WritePerson implements registry.Store. It runs one transaction in two round trips and the commit.
func (s *Store) WritePerson(ctx context.Context, w registry.Write, p registry.Person) (registry.ObjectResult, error) {
	return writeObject(ctx, s, &w, func(t *tx) error {
		exec(t, t.MipPersonAdd(ctx, []uuid.UUID{w.Guid}).Exec)
		exec(t, t.MipPersonDataWrite(ctx, []db.MipPersonDataWriteParams{{
			PersonGuid: w.Guid, Surname: p.Surname, Name: p.Name, Patronymic: p.Patronymic, BirthDate: p.BirthDate,
			Sex: nilIfZero(db.Sex(p.Sex)), Snils: p.Snils, PolicySeries: p.PolicySeries, PolicyNumber: p.PolicyNumber,
		}}).Exec)
		return nil
	})
}

// DeletePerson implements registry.Store. It runs one transaction in two round trips and the
// commit.
func (s *Store) DeletePerson(ctx context.Context, w registry.Write) (registry.ObjectResult, error) {
	return writeObject(ctx, s, &w, func(t *tx) error {
		exec(t, t.MipPersonDataDelete(ctx, []uuid.UUID{w.Guid}).Exec)
		exec(t, t.MipPersonDelete(ctx, []uuid.UUID{w.Guid}).Exec)
		return nil
	})
}

// StoredPerson implements registry.Store. It takes one round trip.
func (s *Store) StoredPerson(ctx context.Context, guid uuid.UUID) (person registry.StoredPerson, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.MipPersonDataGet(ctx, []uuid.UUID{guid}).QueryRow,
			func(found db.MipPersonDataGetRow, err error) error {
				person.Person = registry.Person{
					Surname: found.Surname, Name: found.Name, Patronymic: found.Patronymic, BirthDate: found.BirthDate,
					Sex: booking.Sex(value(found.Sex)), Snils: found.Snils, PolicySeries: found.PolicySeries,
					PolicyNumber: found.PolicyNumber,
				}
				return rejectIfAbsent(err, booking.ObjectAbsent)
			})
		t.readVersion(registry.Object{Owner: guid, Kind: registry.KindPerson, Guid: guid}, &person.Version)
	})
	return person, interpretError(err)
}
