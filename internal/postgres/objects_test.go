package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// registrar returns the registry on a store that writes from several connections.
func (w *world) registrar() *registry.Service {
	w.t.Helper()
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 8 })
	return registry.NewService(store, func() time.Time { return moment })
}

// atOnce calls all functions at the same time, and returns their errors.
func atOnce(calls ...func() error) []error {
	errs := make([]error, len(calls))
	start := make(chan struct{})
	var group sync.WaitGroup
	for i, call := range calls {
		group.Go(func() {
			<-start
			errs[i] = call()
		})
	}
	close(start)
	group.Wait()
	return errs
}

// ruleOf returns the rule of a refusal, an empty string for nil.
func ruleOf(t testing.TB, err error) booking.Name {
	t.Helper()
	if err == nil {
		return ""
	}
	var refusal *booking.Refusal
	require.ErrorAs(t, err, &refusal)
	return refusal.Rule
}

// fieldOf returns the field of a refusal, if it has one.
func fieldOf(t testing.TB, err error) string {
	t.Helper()
	return requireRefusal(t, err, booking.FieldInvalid).Remedies.Fields[0].Name
}

func (w *world) requireNoDeadlocks() {
	w.t.Helper()
	require.Zero(w.t, w.count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// cabinet returns a resource with a name.
func cabinet(name string) registry.Resource {
	return registry.Resource{Kind: booking.Room, Name: name, SpecialityCode: "92", Active: true}
}

// written returns a resource after the write of a version, which it has as its name.
func written(version int64) registry.Versioned[registry.Resource] {
	return registry.Versioned[registry.Resource]{Object: cabinet(fmt.Sprint(version)), Version: version}
}

// lpuIn returns an institution of a legal entity.
func lpuIn(entity uuid.UUID, code string) registry.Lpu {
	return registry.Lpu{LegalEntity: entity, Code: code, Name: "Новая", TimeZone: "Asia/Omsk"}
}

// addEntity adds a legal entity.
func (w *world) addEntity() uuid.UUID {
	w.t.Helper()
	guid := uuid.New()
	w.exec(`INSERT INTO legal_entity VALUES ($1, 'Новое')`, guid)
	return guid
}

// addLpu adds an institution without anything.
func (w *world) addLpu() uuid.UUID {
	w.t.Helper()
	guid := uuid.New()
	w.exec(`INSERT INTO lpu VALUES ($1, $2, $3, 'Новая', 'UTC')`, guid, w.addEntity(), guid.String())
	return guid
}

// Promise: an object depends on the set of the writes of its source, not on their order or
// repetition, also where deletions are among them.
func TestOrderOfObjectWritesDoesNotMatter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registrar := w.registrar()
	const writes = 6
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		deleted := make([]bool, writes+1)
		for version := range deleted {
			deleted[version] = random.IntN(3) == 0
		}
		resource := uuid.New()
		write := func(version int64) error {
			if deleted[version] {
				_, err := registrar.DeleteResource(t.Context(), w.to, resource, version)
				return err
			}
			_, err := registrar.WriteResource(t.Context(), w.to, resource, version, written(version).Object)
			return err
		}
		order := append(random.Perm(writes), random.Perm(writes)[:3]...)
		newest := 0
		for _, i := range order {
			version := i + 1
			rule := ruleOf(t, write(int64(version)))
			require.Equal(t, version < newest, rule == booking.VersionStale, "%v: %d after %d", order, version, newest)
			newest = max(newest, version)
		}
		found, err := registrar.Resource(t.Context(), w.to, resource)
		if deleted[writes] {
			requireRefusal(t, err, booking.ResourceAbsent)
			require.Zero(t, w.count(`SELECT count(*) FROM resource WHERE guid = $1 AND active`, resource), "%v", order)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, written(writes), found)
	}
}

// Promise: of concurrent writes of one object the newest decides. Each of the others is applied
// before it, or rejected as stale.
func TestConcurrentWritesOfAnObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registrar := w.registrar()
	const newest = 24
	for range 5 {
		resource := uuid.New()
		var calls []func() error
		for version := range int64(newest) {
			calls = append(calls, func() error {
				object := written(version + 1)
				_, err := registrar.WriteResource(t.Context(), w.to, resource, object.Version, object.Object)
				return err
			})
		}
		for i, err := range atOnce(calls...) {
			rule := ruleOf(t, err)
			require.True(t, rule == "" || rule == booking.VersionStale && i+1 < newest, "version %d: %s", i+1, rule)
		}
		found, err := registrar.Resource(t.Context(), w.to, resource)
		require.NoError(t, err)
		require.Equal(t, written(newest), found)
	}
	w.requireNoDeadlocks()
}

// Promise: the same write, sent several times at once, is applied once.
func TestConcurrentRepetitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registrar := w.registrar()
	resource := uuid.New()
	var mu sync.Mutex
	applied := 0
	call := func() error {
		result, err := registrar.WriteResource(t.Context(), w.to, resource, 1, cabinet("Кабинет"))
		mu.Lock()
		defer mu.Unlock()
		if result.Changed {
			applied++
		}
		return err
	}
	require.NoError(t, errors.Join(atOnce(call, call, call, call, call, call, call, call)...))
	require.Equal(t, 1, applied)
}

// Promise: bookings and writes of their resource never deadlock, and a booking that loses to a
// deletion is rejected by its rule.
func TestResourceWritesAgainstBookings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 8 })
	registrar := registry.NewService(store, func() time.Time { return moment })
	const bookings, rounds = 48, 20
	w.exec(`UPDATE slot SET capacity = $1`, bookings)
	doctor := registry.Resource{Kind: booking.Doctor, Name: "Врач", SpecialityCode: "92", Active: true}
	calls := []func() error{func() error {
		for round := range int64(rounds) {
			doctor.Room = fmt.Sprint(round)
			if _, err := registrar.WriteResource(t.Context(), w.to, w.doctor, round+1, doctor); err != nil {
				return err
			}
		}
		_, err := registrar.DeleteResource(t.Context(), w.to, w.doctor, rounds+1)
		return err
	}}
	for range bookings {
		a := w.appointment(2)
		w.addReferral(&a)
		a.OneActivePerSpeciality = false
		calls = append(calls, func() error { return create(t, store, a) })
	}
	booked := 0
	for i, err := range atOnce(calls...) {
		rule := ruleOf(t, err)
		if i == 0 {
			require.Empty(t, rule)
			continue
		}
		require.Contains(t, []booking.Name{"", booking.SlotResourceNotFound}, rule)
		if rule == "" {
			booked++
		}
	}
	t.Logf("%d of %d bookings", booked, bookings)
	require.Equal(t, booked, w.count(`SELECT count(*) FROM appointment`))
	require.Equal(t, 2*booked, w.count(`SELECT sum(taken) FROM slot`))
	w.requireNoDeadlocks()
}

// Promise: nothing can begin to refer to an object while it is deleted. Either the deletion is
// rejected, or what refers to it.
func TestDeletionsAgainstReferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registrar := w.registrar()
	ctx := t.Context()
	for range 15 {
		lpu, entity := w.addLpu(), w.addEntity()
		settings := []registry.Setting{{Code: "scheduleDays", Value: "14"}}
		for name, c := range map[string]struct {
			remove, refer func(object uuid.UUID) error
			object        uuid.UUID
			rule          booking.Name // of what refers to an object that is deleted
		}{
			"a resource of an institution": {
				func(lpu uuid.UUID) error { _, err := registrar.DeleteLpu(ctx, lpu, 1); return err },
				func(lpu uuid.UUID) error {
					_, err := registrar.WriteResource(ctx, lpu, uuid.New(), 1, cabinet("Кабинет"))
					return err
				}, lpu, booking.LpuAbsent,
			},
			"a card of an institution": {
				func(lpu uuid.UUID) error { _, err := registrar.DeleteLpu(ctx, lpu, 1); return err },
				func(lpu uuid.UUID) error {
					card := registry.Card{Person: uuid.New(), Surname: "П", Name: "П", BirthDate: moment, Sex: booking.Male}
					_, err := registrar.WriteCard(ctx, lpu, uuid.New(), 1, card)
					return err
				}, w.addLpu(), booking.LpuAbsent,
			},
			"settings of an institution": {
				func(lpu uuid.UUID) error { _, err := registrar.DeleteLpu(ctx, lpu, 1); return err },
				func(lpu uuid.UUID) error {
					owner := registry.SettingsOwner{Kind: booking.OwnerLpu, Guid: lpu}
					_, err := registrar.WriteSettings(ctx, owner, 1, settings)
					return err
				}, w.addLpu(), booking.LpuAbsent,
			},
			"an institution of a legal entity": {
				func(entity uuid.UUID) error { _, err := registrar.DeleteLegalEntity(ctx, entity, 1); return err },
				func(entity uuid.UUID) error {
					guid := uuid.New()
					_, err := registrar.WriteLpu(ctx, guid, 1, lpuIn(entity, guid.String()))
					return err
				}, entity, booking.FieldInvalid,
			},
		} {
			errs := atOnce(func() error { return c.remove(c.object) }, func() error { return c.refer(c.object) })
			rules := [2]booking.Name{ruleOf(t, errs[0]), ruleOf(t, errs[1])}
			require.Contains(t, [][2]booking.Name{{"", c.rule}, {booking.ObjectInUse, ""}}, rules, name)
		}
	}
	w.requireNoDeadlocks()
}

// Promise: two institutions never get one code. The loser is told the field, although both were
// checked before either was written.
func TestConcurrentWritesOfACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registrar, entity := w.registrar(), w.addEntity()
	for n := range 15 {
		write := func() error {
			_, err := registrar.WriteLpu(t.Context(), uuid.New(), 1, lpuIn(entity, fmt.Sprint("code ", n)))
			return err
		}
		lost := 0
		for _, err := range atOnce(write, write, write) {
			if err != nil {
				require.Equal(t, "Code", fieldOf(t, err))
				lost++
			}
		}
		require.Equal(t, 2, lost)
	}
}

// Promise: an institution is in use while it has resources, also deleted ones, cards, or settings.
// A rejected deletion is not recorded: it succeeds when the reason is gone.
func TestInstitutionInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registrar := w.registrar()
	lpu := w.addLpu()
	remove := func(lpu uuid.UUID) error { _, err := registrar.DeleteLpu(t.Context(), lpu, 1); return err }
	requireRefusal(t, remove(w.from), booking.ObjectInUse) // has cards

	owner := registry.SettingsOwner{Kind: booking.OwnerLpu, Guid: lpu}
	one := []registry.Setting{{Code: "scheduleDays", Value: "14"}}
	_, err := registrar.WriteSettings(t.Context(), owner, 1, one)
	require.NoError(t, err)
	requireRefusal(t, remove(lpu), booking.ObjectInUse)
	_, err = registrar.WriteSettings(t.Context(), owner, 2, nil)
	require.NoError(t, err)
	require.NoError(t, remove(lpu))

	_, err = registrar.WriteLpu(t.Context(), lpu, 2, lpuIn(w.addEntity(), "again"))
	require.NoError(t, err)
	_, err = registrar.WriteSettings(t.Context(), owner, 1, one)
	requireRefusal(t, err, booking.VersionStale) // the versions of the settings outlive the institution
	_, err = registrar.WriteResource(t.Context(), lpu, w.doctor, 1, cabinet("Кабинет"))
	require.NoError(t, err)
	_, err = registrar.DeleteResource(t.Context(), lpu, w.doctor, 2)
	require.NoError(t, err)
	_, err = registrar.DeleteLpu(t.Context(), lpu, 3)
	requireRefusal(t, err, booking.ObjectInUse)
}

// Promise: a time zone that only the service knows is rejected by the name of its field.
func TestZoneUnknownToTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lpu := lpuIn(w.addEntity(), "3")
	lpu.TimeZone = "Europe/Atlantis"
	guid := uuid.New()
	object := registry.Object{Owner: guid, Kind: registry.KindInstitution, Guid: guid}
	_, err := w.store().WriteLpu(t.Context(), registry.Write{Object: object, Version: 1}, lpu)
	require.Equal(t, "TimeZone", fieldOf(t, err))
	require.Zero(t, w.count(`SELECT count(*) FROM source_object`))
}

// Promise: the instance that writes reference data uses them at once, and the others within their
// maximum age.
func TestWrittenReferenceIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const age = 200 * time.Millisecond
	writing := w.store() // would use its data for an hour
	other, _ := newStoreWithReference(w, age)
	registrar := registry.NewService(writing, func() time.Time { return moment })
	horizon := func(ctx context.Context, store *Store) *int {
		settings, err := store.Settings(ctx, w.patient, w.to)
		require.NoError(t, err)
		return settings[0].ScheduleDays
	}
	require.Nil(t, horizon(t.Context(), writing))
	require.Nil(t, horizon(t.Context(), other))
	owner := registry.SettingsOwner{Kind: booking.OwnerLpu, Guid: w.to}
	_, err := registrar.WriteSettings(t.Context(), owner, 1, []registry.Setting{{Code: "scheduleDays", Value: "7"}})
	require.NoError(t, err)
	written := time.Now()
	require.Equal(t, 7, *horizon(t.Context(), writing))
	for {
		requested := time.Now()
		if horizon(t.Context(), other) != nil {
			break
		}
		require.Less(t, requested.Sub(written), age)
	}
}
