package e2e_test

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// raceRounds returns how often each race is run: TALON_RACE_ROUNDS times, by default 3.
func raceRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TALON_RACE_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "TALON_RACE_ROUNDS")
	return n
}

// race is a set of concurrent requests. rules are those that may reject one of them, and check gets
// the number of requests that succeeded.
type race struct {
	prepare func(t *testing.T, sc *harness.Scene) []func() harness.Answer
	rules   []string
	check   func(t *testing.T, sc *harness.Scene, succeeded int)
}

// runRaces runs each race for some rounds on a service of its own. It requires that the tables
// satisfy the invariants and that nothing deadlocked. On a distributed database the facts of a
// loser may contain half of what the winner has written: the claim on the speciality, but not the
// visit of the referral. The loser is then rejected because of the claim.
func runRaces(t *testing.T, contests map[string]race) {
	t.Helper()
	for name, contest := range contests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.StartEmpty(t, harness.WaitForLocks,
				func(c *app.Config) { c.Timeout, c.DatabaseConns = time.Minute, 16 })
			s.Exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, harness.ClientGuid)
			s.Exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
			for range raceRounds(t) {
				sc := s.AnotherScene()
				succeeded := 0
				for _, a := range sendAll(contest.prepare(t, sc)) {
					if a.StatusCode == 200 {
						succeeded++
						continue
					}
					rules := contest.rules
					if testdb.Distributed() {
						rules = append(slices.Clip(rules), "speciality_already_booked")
					}
					a.RequireAnyRefusal(t, rules...)
				}
				contest.check(t, sc, succeeded)
			}
			s.RequireInvariants()
			require.Zero(t, s.Count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
		})
	}
}

// twoInstitutions adds a cell for each contender, and an institution with the same cells. It
// returns the scene with the one and with the other as the target. The referral permits both.
func twoInstitutions(sc *harness.Scene) [2]*harness.Scene {
	sc.AddSlots(harness.Contenders)
	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, sc.From)
	other := *sc
	other.To, other.Doctor = uuid.New(), uuid.New()
	sc.Exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, $1::uuid::text, name, 'Asia/Yekaterinburg' FROM lpu WHERE guid = $2`, other.To, sc.To)
	sc.Exec(`INSERT INTO resource SELECT $1, $2, kind, name, speciality_code FROM resource WHERE lpu_guid = $3`, other.To, other.Doctor, sc.To)
	sc.Exec(`INSERT INTO slot SELECT $1, guid, id, $2, start_at, end_at, capacity, taken, flag_access, busy_type FROM slot WHERE lpu_guid = $3`,
		other.To, other.Doctor, sc.To)
	other.AddMkab(other.To, uuid.New(), sc.Person)
	return [2]*harness.Scene{sc, &other}
}

// Promises: of concurrent bookings exactly as many succeed as there are places. Every other one is
// rejected as documented, never with an internal error or a deadlock. The tables satisfy the
// invariants.
func TestRaces(t *testing.T) {
	t.Parallel()
	contests := map[string]race{}
	for name, c := range map[string]struct {
		prepare func(sc *harness.Scene) []func() harness.Answer
		rules   []string
		booked  int
	}{
		"one cell": {
			func(sc *harness.Scene) []func() harness.Answer { return sc.ContenderBookings(harness.Fields{}) },
			[]string{"slot_full", "slot_taken"}, 1,
		},
		"one cell of three places": {
			func(sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.To)
				return sc.ContenderBookings(harness.Fields{})
			},
			[]string{"slot_full", "slot_taken"}, 3,
		},
		"one referral, many cells": {
			func(sc *harness.Scene) []func() harness.Answer {
				sc.AddSlots(harness.Contenders)
				return repeated(func(i int) harness.Answer { return sc.TryBook(harness.Fields{"SlotId": i + 1}) })
			},
			[]string{"direction_already_booked"}, 1,
		},
		"one referral, out of schedule": {
			func(sc *harness.Scene) []func() harness.Answer {
				return repeated(func(int) harness.Answer { return sc.TryBook(sc.OutOfSchedule("2019-08-21")) })
			},
			[]string{"direction_already_booked"}, 1,
		},
		"one referral, two institutions": {
			func(sc *harness.Scene) []func() harness.Answer {
				places := twoInstitutions(sc)
				return repeated(func(i int) harness.Answer {
					return places[i%2].TryBook(harness.Fields{"SlotId": i + 1})
				})
			},
			[]string{"direction_already_booked"}, 1,
		},
		"one speciality, many referrals, two institutions": {
			func(sc *harness.Scene) []func() harness.Answer {
				places := twoInstitutions(sc)
				directions := make([]uuid.UUID, harness.Contenders)
				for i := range directions {
					directions[i] = uuid.New()
					sc.AddDirection(directions[i], "Consult")
				}
				return repeated(func(i int) harness.Answer {
					return places[i%2].TryBook(harness.Fields{"DirectionGuid": directions[i], "SlotId": i + 1})
				})
			},
			[]string{"speciality_already_booked"}, 1,
		},
		"one absent card": {
			func(sc *harness.Scene) []func() harness.Answer {
				sc.AddSlots(harness.Contenders)
				sc.Exec(`DELETE FROM mkab WHERE lpu_guid = $1`, sc.To)
				sc.Exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', $1::uuid::text)`, sc.To)
				directions := make([]uuid.UUID, harness.Contenders)
				for i := range directions {
					directions[i] = uuid.New()
					sc.AddDirection(directions[i], "Laboratory")
				}
				return repeated(func(i int) harness.Answer {
					return sc.TryBook(harness.Fields{
						"DirectionGuid": directions[i], "DirectionType": "laboratory", "SlotId": i + 1,
					})
				})
			},
			nil, harness.Contenders,
		},
		"complex slots that overlap by one cell": {
			func(sc *harness.Scene) []func() harness.Answer {
				var attempts []func() harness.Answer
				persons, directions := sc.AddPatients(harness.Contenders)
				for i, person := range persons {
					direction := directions[i]
					attempts = append(attempts, func() harness.Answer {
						return sc.Book(person, sc.BookingBody(harness.Fields{
							"DirectionGuid": direction, "SlotId": harness.FirstSlotID + i%2, "Difficulty": 2,
						}))
					})
				}
				return attempts
			},
			[]string{"slot_full", "slot_taken", "complex_slot_failed"}, 1,
		},
	} {
		contests[name] = race{
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer { return c.prepare(sc) },
			c.rules,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, c.booked, succeeded)
				require.Equal(t, c.booked, sc.Count(`SELECT count(*) FROM appointment JOIN lpu ON lpu.guid = lpu_guid
					WHERE legal_entity_guid = (SELECT legal_entity_guid FROM lpu WHERE guid = $1)`, sc.To))
			},
		}
	}
	runRaces(t, contests)
}

// repeated returns as many requests of one kind as there are contenders.
func repeated(attempt func(i int) harness.Answer) []func() harness.Answer {
	attempts := make([]func() harness.Answer, harness.Contenders)
	for i := range attempts {
		attempts[i] = func() harness.Answer { return attempt(i) }
	}
	return attempts
}

// sendAll sends all requests concurrently and returns their responses.
func sendAll(attempts []func() harness.Answer) []harness.Answer {
	gate := make(chan struct{})
	answers := make(chan harness.Answer, len(attempts))
	for _, attempt := range attempts {
		go func() {
			<-gate
			answers <- attempt()
		}()
	}
	close(gate)
	received := make([]harness.Answer, 0, len(attempts))
	for range attempts {
		received = append(received, <-answers)
	}
	return received
}
