package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// card returns an open card of a person, or a closed one.
func card(person uuid.UUID, closed bool) registry.Card {
	card := registry.Card{
		Person: person, Surname: "П", Name: "П", BirthDate: time.Date(1980, 2, 29, 0, 0, 0, 0, time.UTC), Sex: booking.Male,
	}
	if closed {
		card.Closed = new(moment)
	}
	return card
}

// referralOf returns the world's referral as its source writes it.
func (w *world) referralOf(mkab uuid.UUID) registry.Referral {
	return registry.Referral{
		Card: mkab, Type: booking.Consult, Number: "N-1", Date: moment, DateEnd: moment, CreatedAt: moment,
		SpecialityCode: "92", LpuTo: &w.to,
	}
}

func registryOf(store *Store) *registry.Service {
	return registry.NewService(store, func() time.Time { return moment })
}

// requireNoDeadlock requires that no transaction of the test's database was a victim of a deadlock.
func (w *world) requireNoDeadlock() {
	w.t.Helper()
	require.Zero(w.t, w.count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// Promise: of a booking and a withdrawal that refuses visits, exactly one succeeds. A withdrawal
// that keeps visits always succeeds, and no booking comes after it.
func TestWithdrawalAgainstBooking(t *testing.T) {
	t.Parallel()
	for _, policy := range []registry.OnBooked{registry.Refuse, registry.Keep} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const rounds = 24
			w.exec(`UPDATE slot SET capacity = $1`, rounds)
			store := w.store(func(config *pgxpool.Config) { config.MaxConns = 8 })
			wanted := make([]booking.NewAppointment, rounds)
			for i := range wanted {
				wanted[i] = w.appointment(1)
				w.addReferral(&wanted[i])
				wanted[i].OneActivePerSpeciality = false
			}
			var group sync.WaitGroup
			for _, a := range wanted {
				var booked, withdrawn error
				start := make(chan struct{})
				var both sync.WaitGroup
				both.Go(func() { <-start; booked = create(t, store, a) })
				both.Go(func() {
					<-start
					_, withdrawn = registryOf(store).WithdrawReferral(t.Context(), w.from, a.Direction.Guid, 1, policy)
				})
				group.Go(func() {
					close(start)
					both.Wait()
					if booked != nil {
						requireRefusal(t, booked, booking.DirectionNotFound)
					}
					if policy == registry.Refuse && booked == nil {
						requireRefusal(t, withdrawn, booking.ObjectBooked)
					} else {
						require.NoError(t, withdrawn)
					}
				})
			}
			group.Wait()
			w.requireNoDeadlock()
			visits := w.count(`SELECT count(*) FROM appointment`)
			t.Logf("%d of %d bookings were first", visits, rounds)
			require.Equal(t, visits, w.count(`SELECT count(*) FROM direction WHERE copied_from_lpu_guid IS NULL AND appointment_guid IS NOT NULL`))
			if policy == registry.Refuse {
				require.Equal(t, rounds-visits, w.count(`SELECT count(*) FROM direction WHERE cancelled_at IS NOT NULL`))
			} else {
				require.Equal(t, rounds, w.count(`SELECT count(*) FROM direction WHERE cancelled_at IS NOT NULL`))
			}
		})
	}
}

// Promise: a booking never uses a referral that has become another one since the rules were
// checked.
func TestReferralChangedBeforeBooking(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, r *registry.Referral){
		"type":       func(_ *world, r *registry.Referral) { r.Type = booking.Laboratory },
		"speciality": func(_ *world, r *registry.Referral) { r.SpecialityCode = "27" },
		"target":     func(_ *world, r *registry.Referral) { r.LpuTo = nil },
		"comment":    func(_ *world, r *registry.Referral) { r.Comment = "другой" },
		"card": func(w *world, r *registry.Referral) {
			r.Card = uuid.New()
			w.addMkab(w.from, r.Card, uuid.New())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			store := w.store()
			a := w.appointment(1)
			referral := w.referralOf(w.mkabFrom)
			change(w, &referral)
			_, err := registryOf(store).WriteReferral(t.Context(), w.from, w.direction, 1, referral)
			require.NoError(t, err)
			require.ErrorIs(t, create(t, store, a), booking.ErrDirectionChanged)
			require.Zero(t, w.countWritten())
		})
	}
}

// changingBookings writes the world's referral before the first booking is written.
type changingBookings struct {
	booking.BookStore

	change func()
}

// Create implements booking.BookStore.
func (c *changingBookings) Create(ctx context.Context, a booking.NewAppointment) (*booking.HeldDirection, error) {
	c.change()
	return c.BookStore.Create(ctx, a)
}

// Promise: if the institution changes the referral while it is being booked, the booking is decided
// by the new referral.
func TestReferralChangedDuringBooking(t *testing.T) {
	t.Parallel()
	for speciality, rule := range map[string]booking.Name{"27": booking.SpecialityMismatch, "92": ""} {
		t.Run(speciality, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			store := w.store()
			ports := store.Ports()
			ports.Bookings = &changingBookings{store, sync.OnceFunc(func() {
				referral := w.referralOf(w.mkabFrom)
				referral.SpecialityCode, referral.LpuTo = speciality, nil
				_, err := registryOf(store).WriteReferral(t.Context(), w.from, w.direction, 1, referral)
				require.NoError(t, err)
			})}
			service := booking.NewService(ports, func() time.Time { return moment })
			held, _, err := service.Book(t.Context(), w.patient, w.request(1), nil)
			if rule != "" {
				requireRefusal(t, err, rule)
				return
			}
			require.NoError(t, err)
			require.Empty(t, held.Direction.Comment, "the referral of the response is the new one")
		})
	}
}

// Promise: of two sources' writes of open cards of a person at once, one succeeds, and the other is
// rejected with the guid of its card. A booking that creates the card counts as such a write.
func TestOpenCardRaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 8 })
	person := uuid.New()
	var group sync.WaitGroup
	var lock sync.Mutex
	var refusals []*booking.Refusal
	for range 8 {
		group.Go(func() {
			_, err := registryOf(store).WriteCard(t.Context(), w.to, uuid.New(), 1, card(person, false))
			if err != nil {
				lock.Lock()
				defer lock.Unlock()
				refusals = append(refusals, requireRefusal(t, err, booking.MkabOpen))
			}
		})
	}
	group.Go(func() {
		_, err := store.CreateMkab(t.Context(), w.to, &booking.Person{
			Guid: person, Surname: "П", Name: "П", BirthDate: moment, Sex: booking.Male, PolicyNumber: "1",
		}, moment)
		require.NoError(t, err)
	})
	group.Wait()
	w.requireNoDeadlock()
	var open uuid.UUID
	require.NoError(t, w.db.QueryRow(t.Context(), `SELECT guid FROM mkab WHERE person_guid = $1`, person).Scan(&open))
	for _, refusal := range refusals {
		require.Contains(t, refusal.Message, open.String())
	}
	require.GreaterOrEqual(t, len(refusals), 7)
}

// Promise: the copy in the institution of an active visit is always as the original, whatever the
// institution that has issued the referral writes while it is booked and cancelled.
func TestReferralChangesAgainstBookings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const rounds = 40
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 4 })
	service := booking.NewService(store.Ports(), func() time.Time { return moment })
	_, err := registryOf(store).WriteReferral(t.Context(), w.from, w.direction, 1, w.referralOf(w.mkabFrom))
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for round := range int64(4 * rounds) {
			referral := w.referralOf(w.mkabFrom)
			referral.Flags = int32(round)
			_, err := registryOf(store).WriteReferral(t.Context(), w.from, w.direction, 2+round, referral)
			require.NoError(t, err)
		}
	})
	// The locks wait for a change of both that is being committed.
	const flags = `SELECT coalesce(max(flags), -1) FROM
		(SELECT flags FROM direction WHERE lpu_guid = %s AND guid = @direction AND appointment_guid IS NOT NULL FOR SHARE) d`
	requireSame := func() {
		tx, err := w.db.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		var original, copied int
		require.NoError(t, tx.QueryRow(t.Context(), w.sql(fmt.Sprintf(flags, "@from"))).Scan(&original))
		require.NoError(t, tx.QueryRow(t.Context(), w.sql(fmt.Sprintf(flags, "@to"))).Scan(&copied))
		require.Equal(t, original, copied)
	}
	group.Go(func() {
		for range rounds {
			held, _, err := service.Book(t.Context(), w.patient, w.request(1), nil)
			if err != nil {
				requireRefusal(t, err, booking.Overloaded) // the referral keeps changing
				continue
			}
			requireSame()
			_, err = service.Cancel(t.Context(), w.patient, held.Appointment.Guid, booking.CancelReason{}, nil)
			require.NoError(t, err)
		}
	})
	group.Wait()
	w.requireNoDeadlock()
	t.Logf("%d of %d bookings", w.count(`SELECT count(*) FROM appointment`), rounds)
}

// Promise: merges, bookings, cancels and moves never deadlock. After a merge nothing active belongs
// to the duplicate, whichever came first.
func TestMergesAgainstBookings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const patients, rounds = 6, 8
	w.exec(`UPDATE slot SET capacity = 1000`)
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 8 })
	service := booking.NewService(store.Ports(), func() time.Time { return moment })
	reg := registryOf(store)
	var group sync.WaitGroup
	for range patients {
		patient := booking.Patient{Person: uuid.New(), Client: w.patient.Client}
		cards := []uuid.UUID{uuid.New()}
		w.addMkab(w.to, cards[0], patient.Person)
		from := uuid.New()
		w.addMkab(w.from, from, patient.Person)
		var requests []booking.Request
		for i := range 2 { // one referral from the other institution, one within the institution
			request := w.request(1)
			request.Direction = uuid.New()
			holder, holderCard := w.from, from
			if i == 1 {
				holder, holderCard = w.to, cards[0]
				request.LpuFrom = w.to
			}
			_, err := reg.WriteReferral(t.Context(), holder, request.Direction, 1, w.referralOf(holderCard))
			require.NoError(t, err)
			requests = append(requests, request)
		}
		for _, request := range requests {
			group.Go(func() {
				for range 2 * rounds {
					held, _, err := service.Book(t.Context(), patient, request, nil)
					if err != nil {
						requireExpected(t, err)
						continue
					}
					guid := held.Appointment.Guid
					next := booking.MoveRequest{Place: booking.Place{SlotID: firstSlot + 1}}
					_, _, err = service.Move(t.Context(), patient, guid, next, nil)
					requireExpected(t, err)
					_, err = service.Cancel(t.Context(), patient, guid, booking.CancelReason{}, nil)
					require.NoError(t, err)
				}
			})
		}
		group.Go(func() {
			for range rounds {
				duplicate, into := cards[len(cards)-1], uuid.New()
				version := int64(1)
				_, err := reg.WriteCard(t.Context(), w.to, duplicate, version+1, card(patient.Person, true))
				require.NoError(t, err)
				_, err = reg.WriteCard(t.Context(), w.to, into, version, card(patient.Person, false))
				require.NoError(t, err)
				require.Eventually(t, func() bool { // a merge that new visits disturb is sent again
					_, err = reg.MergeCard(t.Context(), w.to, duplicate, version+2, into)
					if err != nil {
						requireRefusal(t, err, booking.DatabaseUnavailable)
					}
					return err == nil
				}, 20*time.Second, time.Millisecond, "%v", err)
				cards = append(cards, into)
			}
		})
	}
	group.Wait()
	w.requireNoDeadlock()
	for _, table := range []string{"appointment", "tap"} {
		require.Zero(t, w.count(`SELECT count(*) FROM `+table+` x JOIN mkab m ON m.lpu_guid = x.lpu_guid AND m.guid = x.mkab_guid
			WHERE m.merged_into_guid IS NOT NULL`), table)
	}
	require.Zero(t, w.count(`SELECT count(*) FROM direction d JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
		WHERE m.merged_into_guid IS NOT NULL AND (d.copied_from_lpu_guid IS NULL OR d.appointment_guid IS NOT NULL)`))
	require.Zero(t, w.count(`SELECT count(*) FROM mkab m JOIN mkab i ON i.lpu_guid = m.lpu_guid AND i.guid = m.merged_into_guid WHERE i.closed_at IS NOT NULL`),
		"a merged card names the open one")
	t.Logf("%d visits", w.count(`SELECT count(*) FROM appointment`))
}

// requireExpected requires that an error is nil or a refusal that the contenders of a merge cause.
func requireExpected(t testing.TB, err error) {
	t.Helper()
	if refusal := new(booking.Refusal); errors.As(err, &refusal) {
		require.Contains(t, []booking.Name{
			booking.MkabClosed, booking.SpecialityAlreadyBooked, booking.Overloaded,
		}, refusal.Rule)
		return
	}
	require.NoError(t, err)
}
