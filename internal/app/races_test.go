package app_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
)

// contenders is how many requests run at once in a race.
const contenders = 64

// rounds is how often each race is run: a few times in make test, and TALON_RACE_ROUNDS times where more is wanted.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TALON_RACE_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "TALON_RACE_ROUNDS")
	return n
}

// contest is a race: requests to send at once, the rules that may refuse one, and what must hold when so many have succeeded.
type contest struct {
	prepare func(t *testing.T, sc *scene) []func() answer
	rules   []string
	check   func(t *testing.T, sc *scene, succeeded int)
}

// runContests holds each contest for some rounds, on a service of its own. The tables then satisfy the invariants, and nobody has deadlocked.
func runContests(t *testing.T, contests map[string]contest) {
	t.Helper()
	for name, contest := range contests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(c *app.Config) { c.Timeout, c.DatabaseConns = time.Minute, 16 })
			s.exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, clientGuid)
			s.exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
			for range rounds(t) {
				sc := s.another()
				succeeded := 0
				for _, a := range all(contest.prepare(t, sc)) {
					if a.StatusCode == 200 {
						succeeded++
						continue
					}
					a.requireRefusalOf(t, contest.rules...)
				}
				contest.check(t, sc, succeeded)
			}
			s.requireInvariants()
			require.Zero(t, s.count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
		})
	}
}

// Promises: of any number of requests at once exactly as many are booked as there is room for, and every other gets its documented refusal: never an
// internal error, never a deadlock. The tables then satisfy the invariants.
func TestRaces(t *testing.T) {
	t.Parallel()
	contests := map[string]contest{}
	for name, race := range map[string]struct {
		prepare func(sc *scene) []func() answer
		rules   []string
		booked  int
	}{
		"one cell": {
			func(sc *scene) []func() answer { return sc.patientsFor(fields{}) },
			[]string{"slot_full", "slot_taken"}, 1,
		},
		"one cell of three places": {
			func(sc *scene) []func() answer {
				sc.exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.to)
				return sc.patientsFor(fields{})
			},
			[]string{"slot_full", "slot_taken"}, 3,
		},
		"one referral, many cells": {
			func(sc *scene) []func() answer {
				sc.addSlots(contenders)
				return repeat(func(i int) answer { return sc.attempt(fields{"SlotId": i + 1}) })
			},
			[]string{"direction_already_booked"}, 1,
		},
		"one referral, out of schedule": {
			func(sc *scene) []func() answer {
				return repeat(func(int) answer { return sc.attempt(sc.outOfSchedule("2019-08-21")) })
			},
			[]string{"direction_already_booked"}, 1,
		},
		"one speciality, many referrals, two institutions": {
			func(sc *scene) []func() answer {
				sc.addSlots(contenders)
				sc.exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, sc.from)
				other := *sc
				other.to, other.doctor = uuid.New(), uuid.New()
				sc.exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, $1::uuid::text, name, 'Asia/Yekaterinburg' FROM lpu WHERE guid = $2`, other.to, sc.to)
				sc.exec(`INSERT INTO resource SELECT $1, $2, kind, name, speciality_code FROM resource WHERE lpu_guid = $3`, other.to, other.doctor, sc.to)
				sc.exec(`INSERT INTO slot SELECT $1, guid, id, $2, start_at, end_at, capacity, taken, flag_access, busy_type FROM slot WHERE lpu_guid = $3`,
					other.to, other.doctor, sc.to)
				other.addMkab(other.to, uuid.New(), sc.person)
				directions := make([]uuid.UUID, contenders)
				for i := range directions {
					directions[i] = uuid.New()
					sc.addDirection(directions[i], "Consult")
				}
				return repeat(func(i int) answer {
					return []*scene{sc, &other}[i%2].attempt(fields{"DirectionGuid": directions[i], "SlotId": i + 1})
				})
			},
			[]string{"speciality_already_booked"}, 1,
		},
		"one absent card": {
			func(sc *scene) []func() answer {
				sc.addSlots(contenders)
				sc.exec(`DELETE FROM mkab WHERE lpu_guid = $1`, sc.to)
				sc.exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', $1::uuid::text)`, sc.to)
				directions := make([]uuid.UUID, contenders)
				for i := range directions {
					directions[i] = uuid.New()
					sc.addDirection(directions[i], "Laboratory")
				}
				return repeat(func(i int) answer {
					return sc.attempt(fields{"DirectionGuid": directions[i], "DirectionType": "laboratory", "SlotId": i + 1})
				})
			},
			nil, contenders,
		},
		"complex slots that overlap by one cell": {
			func(sc *scene) []func() answer {
				var attempts []func() answer
				for i := range contenders {
					person, direction := sc.patient()
					attempts = append(attempts, func() answer {
						return sc.book(person, sc.request(fields{"DirectionGuid": direction, "SlotId": firstSlotID + i%2, "Difficulty": 2}))
					})
				}
				return attempts
			},
			[]string{"slot_full", "slot_taken", "complex_slot_failed"}, 1,
		},
	} {
		contests[name] = contest{
			func(_ *testing.T, sc *scene) []func() answer { return race.prepare(sc) },
			race.rules,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, race.booked, succeeded)
				require.Equal(t, race.booked, sc.count(`SELECT count(*) FROM appointment JOIN lpu ON lpu.guid = lpu_guid
					WHERE legal_entity_guid = (SELECT legal_entity_guid FROM lpu WHERE guid = $1)`, sc.to))
			},
		}
	}
	runContests(t, contests)
}

// patientsFor makes a request for each of many patients.
func (sc *scene) patientsFor(changes fields) []func() answer {
	sc.t.Helper()
	var attempts []func() answer
	for range contenders {
		person, direction := sc.patient()
		attempts = append(attempts, func() answer { return sc.book(person, sc.request(changes, fields{"DirectionGuid": direction})) })
	}
	return attempts
}

// addSlots adds cells on another day, with the ids from 1.
func (sc *scene) addSlots(n int) (guids []uuid.UUID) {
	sc.t.Helper()
	for i := range n {
		guids = append(guids, sc.addSlot(sc.doctor, i+1, time.Date(2019, 8, 22, 8, 15*i, 0, 0, moment.Location()), 1))
	}
	return guids
}

// repeat makes many requests of one kind.
func repeat(attempt func(i int) answer) []func() answer {
	attempts := make([]func() answer, contenders)
	for i := range attempts {
		attempts[i] = func() answer { return attempt(i) }
	}
	return attempts
}
