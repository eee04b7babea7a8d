package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/test/harness"
)

// contestant sends its requests one after the other, concurrently with the other contestants of a
// registry race.
type contestant struct {
	kind  string // counts its successes
	rules []string
	sends []func() harness.Answer
}

const (
	patientsOfRace = 12 // of each kind
	sourcesOfRace  = 3
	messagesOfRace = 12 // of all sources
)

// Rules that reject a request whose cell was closed, withdrawn, moved or filled meanwhile.
var lostCell = []string{"slot_full", "slot_taken", "complex_slot_failed", "slot_not_found", "slot_unavailable"}

// newRegistrar returns a scene of its own with its registrar. Each of the cells has places for all.
func newRegistrar(s *harness.Service) *registrar {
	s.T.Helper()
	sc := s.AnotherScene()
	sc.Exec(`UPDATE slot SET capacity = $2 WHERE lpu_guid = $1`, sc.To, 4*patientsOfRace)
	scopes := []string{"schedule:write"}
	client := sc.AddSystemClient(scopes, sc.To)
	return &registrar{sc, client, sc.SystemToken(client, scopes, sc.To)}
}

// patients returns requests of patients for the registrar's cells: bookings, holds, and moves and
// cancels of visits that it books first: in the same cells, or elsewhere.
func (r *registrar) patients(inCells bool) (contestants []contestant) {
	r.T.Helper()
	add := func(kind string, rules []string, send func() harness.Answer) {
		contestants = append(contestants, contestant{kind, rules, []func() harness.Answer{send}})
	}
	persons, directions := r.AddPatients(3 * patientsOfRace)
	var elsewhere []uuid.UUID
	if !inCells {
		elsewhere = r.AddSlots(3 * patientsOfRace)
	}
	for i, person := range persons {
		cell, difficulty := i/3%3, 1+i/9%2
		body := r.BookingBody(harness.Fields{
			"DirectionGuid": directions[i], "SlotId": harness.FirstSlotID + cell, "Difficulty": difficulty,
		})
		switch i % 3 {
		case 0:
			add("book", lostCell, func() harness.Answer { return r.Book(person, body) })
		case 1:
			hold := r.HoldBody(harness.Fields{"DirectionGuid": directions[i], "Difficulty": difficulty})
			add("hold", lostCell, func() harness.Answer { return r.Hold(person, r.Slots[cell], hold) })
		default:
			if !inCells {
				maps.Copy(body, harness.Fields{"SlotId": nil, "SlotGuid": elsewhere[i], "Difficulty": 1})
			}
			booked := r.Book(person, body)
			require.Equal(r.T, 200, booked.StatusCode, "%s", booked.Raw)
			visit := harness.AppointmentOf(booked).GUID
			add("move", append([]string{"appointment_cancelled"}, lostCell...), func() harness.Answer {
				return r.Move(person, visit, harness.Fields{
					"SlotId": harness.FirstSlotID + (cell+1)%3, "Difficulty": difficulty,
				})
			})
			if i%2 == 0 {
				add("cancel", nil, func() harness.Answer { return r.Cancel(person, visit) })
			}
		}
	}
	return contestants
}

// offer returns the fields of the scene's first n cells with a number of places. Each begins at the
// time of the cell that follows it by shift.
func (r *registrar) offer(n, capacity, shift int) []harness.Fields {
	cells := make([]harness.Fields, n)
	for i := range cells {
		cells[i] = r.cell(i)
		maps.Copy(cells[i], harness.Fields{"Capacity": capacity, "FlagAccess": 127})
		for _, name := range []string{"Start", "End"} {
			cells[i][name] = r.cell((i + shift) % len(r.Slots))[name]
		}
	}
	return cells
}

// sources returns contestants that send the messages 0, 1, 2 …, each of them every third one.
func sources(rules []string, message func(i int) harness.Answer) []contestant {
	senders := make([]contestant, sourcesOfRace)
	for i := range messagesOfRace {
		sender := &senders[i%sourcesOfRace]
		sender.kind, sender.rules = "message", rules
		sender.sends = append(sender.sends, func() harness.Answer { return message(i) })
	}
	return senders
}

// Promises: schedule messages, absences and their ends run against bookings, holds, moves and
// cancels of the same cells, under both policies. Every response is a documented one, nothing
// deadlocks, no visit is lost, and the tables satisfy the invariants. Afterwards the newest message
// decides: each cell is as it states, or closed with its visits.
func TestRegistryRaces(t *testing.T) {
	t.Parallel()
	const all = 4 * patientsOfRace
	type contest struct {
		// recreates says that messages withdraw cells and bring them in again. Then a rare deadlock
		// is repeated: see docs/decisions/30-schedules.md.
		recreates bool

		rules   []string
		message func(r *registrar, policy string, i int) harness.Answer
	}
	windowRules := []string{"version_stale", "cell_booked"}
	for name, c := range map[string]contest{
		"withdrawal": {true, windowRules, func(r *registrar, policy string, i int) harness.Answer {
			return r.putDay(i+1, policy, r.offer(4*(i%2), all, 0)...)
		}},
		"withdrawal of some": {true, windowRules, func(r *registrar, policy string, i int) harness.Answer {
			return r.putDay(i+1, policy, r.offer(1+i%4, all, 0)...)
		}},
		"other times": {false, windowRules, func(r *registrar, policy string, i int) harness.Answer {
			return r.putDay(i+1, policy, r.offer(4, all, i)...)
		}},
		"fewer places": {false, windowRules, func(r *registrar, policy string, i int) harness.Answer {
			return r.putDay(i+1, policy, r.offer(4, []int{1, all, 2}[i%3], 0)...)
		}},
		"single cells": {
			false, append([]string{"slot_absent"}, windowRules...),
			func(r *registrar, policy string, i int) harness.Answer {
				if i%3 == 0 {
					return r.putDay(i+1, policy, r.offer(4, all, i)...)
				}
				return r.send(http.MethodPatch, "/slots/"+r.Slots[i%4].String(), harness.Fields{
					"Version": i + 1, "Capacity": 1 + i%3*all/2, "Blocked": i%4 == 0, "OnBooked": policy,
				})
			},
		},
		"absences": {false, []string{"cell_booked"}, func(r *registrar, policy string, i int) harness.Answer {
			return r.send(http.MethodPost, r.resource()+"/absences", harness.Fields{
				"AbsenceGuid": uuid.New(), "OnBooked": policy, "From": r.cell(i % 3)["Start"],
				"To": r.cell(i%3 + 1)["End"],
			})
		}},
		"absences that end": {
			false, []string{"absence_absent", "cell_booked"},
			func(r *registrar, policy string, i int) harness.Answer {
				guid := uuid.NewSHA1(r.Doctor, fmt.Append(nil, i/2))
				if i%2 == 0 {
					return r.send(http.MethodDelete, r.resource()+"/absences/"+guid.String(), nil)
				}
				return r.send(http.MethodPost, r.resource()+"/absences", harness.Fields{
					"AbsenceGuid": guid, "OnBooked": policy, "From": r.cell(i % 3)["Start"],
					"To": r.cell(i%3 + 1)["End"],
				})
			},
		},
		"windows and absences": {
			true, append([]string{"absence_absent"}, windowRules...),
			func(r *registrar, policy string, i int) harness.Answer {
				guid := uuid.NewSHA1(r.Doctor, fmt.Append(nil, i/4))
				switch i % 4 {
				case 0:
					return r.send(http.MethodPost, r.resource()+"/absences", harness.Fields{
						"AbsenceGuid": guid, "OnBooked": policy, "From": r.cell(1)["Start"], "To": r.cell(2)["End"],
					})
				case 1:
					return r.send(http.MethodDelete, r.resource()+"/absences/"+guid.String(), nil)
				default:
					return r.putDay(i+1, policy, r.offer(1+i%4, all, i/2)...)
				}
			},
		},
	} {
		for _, policy := range []string{"refuse", "keep"} {
			t.Run(name+" "+policy, func(t *testing.T) {
				t.Parallel()
				s := startRegistryRaces(t)
				var raced []*registrar
				for round := range max(2, raceRounds(t)/4) { // there are many contests
					r := newRegistrar(s)
					raced = append(raced, r)
					patients := r.patients(round%2 == 0)
					before := r.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1`, r.To)
					succeeded := compete(t, slices.Concat(patients, sources(c.rules, func(i int) harness.Answer {
						return c.message(r, policy, i)
					})))
					require.Equal(t, before+succeeded["book"], r.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1`, r.To))
					require.Equal(t, succeeded["cancel"],
						r.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND cancelled_at IS NOT NULL`, r.To))
					require.Equal(t, succeeded["hold"], r.Count(`SELECT count(*) FROM hold WHERE lpu_guid = $1`, r.To))
				}
				s.RequireInvariants()
				for _, r := range raced {
					requireNewestDecides(t, r)
				}
				s.RequireInvariants()
				require.Zero(t, s.Count(`SELECT count(*) FROM slot WHERE blocked <> (closed_by <> 0)`))
				if !c.recreates {
					require.Zero(t, s.Count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
				}
			})
		}
	}
}

// startRegistryRaces starts a service for races of the registry.
func startRegistryRaces(t *testing.T) *harness.Service {
	t.Helper()
	s := harness.StartEmpty(t, harness.WaitForLocks,
		func(c *app.Config) { c.Timeout, c.DatabaseConns = time.Minute, 16 })
	s.Exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, harness.ClientGuid)
	s.Exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
	return s
}

// compete runs the contestants concurrently, and returns how many requests of each kind succeeded.
// It requires that the others were rejected by one of their rules.
func compete(t *testing.T, contestants []contestant) map[string]int {
	t.Helper()
	var group sync.WaitGroup
	gate := make(chan struct{})
	answers := make([][]harness.Answer, len(contestants))
	for i, c := range contestants {
		group.Go(func() {
			<-gate
			for _, send := range c.sends {
				answers[i] = append(answers[i], send())
			}
		})
	}
	close(gate)
	group.Wait()
	succeeded := map[string]int{}
	for i, c := range contestants {
		for _, a := range answers[i] {
			if a.StatusCode == http.StatusOK {
				succeeded[c.kind]++
				continue
			}
			a.RequireAnyRefusal(t, c.rules...)
		}
	}
	return succeeded
}

// requireNewestDecides sends two newer messages: the first withdraws all, the second states all
// cells anew. It requires that the schedule then is what they state, apart from visits and holds.
func requireNewestDecides(t *testing.T, r *registrar) {
	t.Helper()
	const day = `lpu_guid = $1 AND start_at < '2019-08-22T00:00:00+03:00'`
	booked := r.Count(`SELECT count(*) FROM slot WHERE (taken > 0 OR holds IS NOT NULL) AND `+day, r.To)
	empty := r.mustPutDay(100, "keep")
	schedule := harness.Decode[api.Schedule](t, r.send(http.MethodGet, r.day(), nil))
	require.Len(t, schedule.Cells, booked)
	require.Len(t, schedule.Windows, 1)
	require.EqualValues(t, 100, schedule.Windows[0].Version)
	require.Len(t, empty.Conflicts, r.Count(`SELECT count(*) FROM slot WHERE taken > 0 AND `+day, r.To))
	visits := map[uuid.UUID]bool{}
	for _, conflict := range empty.Conflicts {
		for _, visit := range conflict.Appointments {
			visits[visit.GUID] = true
		}
	}
	require.Len(t, visits, r.Count(`SELECT count(*) FROM appointment WHERE cancelled_at IS NULL AND `+day, r.To))
	for _, cell := range schedule.Cells {
		require.Contains(t, cell.Closed, "withdrawn")
	}
	stated := r.offer(4, 1000, 0)
	for i := range stated { // a cell with visits keeps its time
		for _, cell := range schedule.Cells {
			if cell.GUID == stated[i]["Guid"] {
				stated[i]["Start"], stated[i]["End"] = cell.Start, cell.End
			}
		}
	}
	a := r.putDay(101, "refuse", stated...)
	if a.StatusCode != http.StatusOK {
		a.RequireRefusal(t, "cell_overlap") // cells that are gone would get the time of others
		return
	}
	schedule = harness.Decode[api.Schedule](t, r.send(http.MethodGet, r.day(), nil))
	require.Len(t, schedule.Cells, len(stated))
	for _, cell := range schedule.Cells {
		require.EqualValues(t, 1000, cell.Capacity)
		require.NotContains(t, cell.Closed, "withdrawn")
		require.False(t, cell.Blocked)
	}
}

// Promise: of concurrent messages of two resources that bring in the same cells or the same
// absence, those of one resource succeed, and the others are rejected with the rule.
func TestRegistryRacesBetweenResources(t *testing.T) {
	t.Parallel()
	s := startRegistryRaces(t)
	for range 2 * raceRounds(t) {
		r := newRegistrar(s)
		other := *r
		scene := *r.Scene
		other.Scene, scene.Doctor = &scene, uuid.New()
		r.Exec(`INSERT INTO resource SELECT lpu_guid, $2, kind, name, speciality_code FROM resource WHERE lpu_guid = $1`, r.To, scene.Doctor)
		resources := []*registrar{r, &other}
		added := []harness.Fields{r.cell(5), r.cell(6), r.cell(7)}
		absence := uuid.New()
		won := compete(t, slices.Concat(
			sources([]string{"cell_foreign"}, func(i int) harness.Answer {
				return resources[i%2].putDay(1, "keep", added...)
			}),
			sources([]string{"version_conflict"}, func(i int) harness.Answer {
				return resources[i%2].putAbsence(absence, "2019-08-21T00:00:00Z", "2019-08-22T00:00:00Z")
			}),
		))
		require.Equal(t, messagesOfRace, won["message"], "half of the windows and half of the absences")
		require.Equal(t, 3, r.Count(`SELECT count(*) FROM slot WHERE lpu_guid = $1 AND id > $2`, r.To, harness.FirstSlotID+4))
		require.Equal(t, 1, r.Count(`SELECT count(*) FROM absence WHERE lpu_guid = $1`, r.To))
	}
	s.RequireInvariants()
	require.Zero(t, s.Count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}
