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

// race sends all requests at once and tells how many were booked; every other must be answered with one of the rules.
func (sc *scene) race(attempts []func() answer, rules ...string) (booked int) {
	sc.t.Helper()
	start := make(chan struct{})
	answers := make(chan answer, len(attempts))
	for _, attempt := range attempts {
		go func() {
			<-start
			answers <- attempt()
		}()
	}
	close(start)
	for range attempts {
		a := <-answers
		if a.StatusCode == 200 {
			booked++
			continue
		}
		require.Contains(sc.t, rules, string(a.error.Rule), "%s", a.raw)
	}
	return booked
}

// Promises: of any number of requests at once exactly as many are booked as there is room for, and every other gets its documented refusal: never an
// internal error, never a deadlock. The tables then satisfy the invariants.
func TestRaces(t *testing.T) {
	t.Parallel()
	for name, contest := range map[string]struct {
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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(c *app.Config) { c.Timeout, c.DatabaseConns = time.Minute, 16 })
			s.exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, clientGuid)
			s.exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
			for range rounds(t) {
				sc := s.another()
				require.Equal(t, contest.booked, sc.race(contest.prepare(sc), contest.rules...))
				require.Equal(t, contest.booked, s.count(`SELECT count(*) FROM appointment JOIN lpu ON lpu.guid = lpu_guid
					WHERE legal_entity_guid = (SELECT legal_entity_guid FROM lpu WHERE guid = $1)`, sc.to))
			}
			s.requireInvariants()
		})
	}
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
func (sc *scene) addSlots(n int) {
	sc.t.Helper()
	for i := range n {
		sc.addSlot(sc.doctor, i+1, time.Date(2019, 8, 22, 8, 15*i, 0, 0, moment.Location()), 1)
	}
}

// repeat makes many requests of one kind.
func repeat(attempt func(i int) answer) []func() answer {
	attempts := make([]func() answer, contenders)
	for i := range attempts {
		attempts[i] = func() answer { return attempt(i) }
	}
	return attempts
}
