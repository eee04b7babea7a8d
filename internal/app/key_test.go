package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// keyed sends a request with an Idempotency-Key, by a person through a client application; a body, if there is one, as JSON.
func (s *service) keyed(key string, person, client uuid.UUID, method, path string, body any) answer {
	s.t.Helper()
	token, err := s.key.Sign(auth.Token{Person: person, Client: client}, "issuer", "talon", moment, time.Hour)
	require.NoError(s.t, err)
	var text []byte
	if body != nil {
		text, err = json.Marshal(body)
		require.NoError(s.t, err)
	}
	request := s.request(method, path, bytes.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Idempotency-Key", key)
	return s.do(request)
}

// bookWith books with an Idempotency-Key, by a person through a client application.
func (sc *scene) bookWith(key string, person, client uuid.UUID, changes ...fields) answer {
	sc.t.Helper()
	return sc.keyed(key, person, client, http.MethodPost, "/appointments", sc.request(changes...))
}

// moveWith moves a visit of the scene's patient with an Idempotency-Key.
func (sc *scene) moveWith(key string, visit uuid.UUID, body fields) answer {
	sc.t.Helper()
	return sc.keyed(key, sc.person, clientGuid, http.MethodPost, "/appointments/"+visit.String()+"/move", body)
}

// cancelWith cancels a visit of the scene's patient with an Idempotency-Key.
func (sc *scene) cancelWith(key string, visit uuid.UUID, body any) answer {
	sc.t.Helper()
	return sc.keyed(key, sc.person, clientGuid, http.MethodDelete, "/appointments/"+visit.String(), body)
}

// eachKeyed runs a test for each operation that takes a key, on a scene where it can be done. ask asks for it, always the same.
func eachKeyed(t *testing.T, test func(t *testing.T, sc *scene, ask func(key string) answer)) {
	t.Helper()
	for name, prepare := range map[string]func(sc *scene) func(key string) answer{
		"book": func(sc *scene) func(string) answer {
			return func(key string) answer { return sc.bookWith(key, sc.person, clientGuid) }
		},
		"move": func(sc *scene) func(string) answer {
			visit := sc.booked()
			return func(key string) answer { return sc.moveWith(key, visit, fields{"SlotId": firstSlotID + 1}) }
		},
		"cancel": func(sc *scene) func(string) answer {
			visit := sc.booked()
			return func(key string) answer { return sc.cancelWith(key, visit, nil) }
		},
		"move to where it is": func(sc *scene) func(string) answer {
			visit := sc.booked()
			return func(key string) answer { return sc.moveWith(key, visit, fields{"SlotId": firstSlotID}) }
		},
		"cancel again": func(sc *scene) func(string) answer {
			visit := sc.booked()
			sc.cancel(sc.person, visit).requireCancelled(sc.t)
			return func(key string) answer { return sc.cancelWith(key, visit, nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := start(t).scene()
			test(t, sc, prepare(sc))
		})
	}
}

// requireFirst requires an answer of 200 that is not a repetition.
func (a answer) requireFirst(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Empty(t, a.Header.Get("Idempotency-Replayed"))
}

func (a answer) requireReplayed(t testing.TB, first answer) {
	t.Helper()
	require.Equal(t, "true", a.Header.Get("Idempotency-Replayed"))
	require.Equal(t, first.raw, a.raw)
	require.NotEqual(t, first.Header.Get("X-Request-ID"), a.Header.Get("X-Request-ID"))
}

// Promise: a request with a key is done once; a repetition is answered the same, to the letter, also after the visit was cancelled.
func TestKeyRepeats(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first := sc.bookWith("k-1", sc.person, clientGuid)
	require.Equal(t, 200, first.StatusCode, first.raw)
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	sc.bookWith("k-1", sc.person, clientGuid).requireReplayed(t, first)
	sc.bookWith("k-1", sc.person, clientGuid, fields{"Difficulty": nil, "SlotId": float64(firstSlotID)}).requireReplayed(t, first)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment`))

	sc.bookWith("k-1", sc.person, clientGuid, fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "idempotency_key_reused")
	sc.bookWith("k-2", sc.person, clientGuid).requireRefusal(t, "direction_already_booked")
	sc.cancel(sc.person, appointmentOf(first).GUID)
	sc.bookWith("k-1", sc.person, clientGuid).requireReplayed(t, first)
	require.Equal(t, 200, sc.bookWith("k-2", sc.person, clientGuid).StatusCode, "a refusal was not kept")
}

// Promise: the same goes for a move, also for one that comes again when the visit has been moved on or cancelled, and for one that had nothing to do.
func TestKeyRepeatsAMove(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	visit := sc.booked()
	stayed := sc.moveWith("stay", visit, fields{"SlotId": firstSlotID})
	stayed.requireFirst(t)
	first := sc.moveWith("k", visit, fields{"SlotId": firstSlotID + 1})
	first.requireFirst(t)
	require.Equal(t, 200, sc.move(sc.person, visit, fields{"SlotId": firstSlotID + 2}).StatusCode)
	again := func() {
		before := sc.snapshot()
		sc.moveWith("k", visit, fields{"SlotId": firstSlotID + 1, "Difficulty": nil}).requireReplayed(t, first)
		sc.moveWith("stay", visit, fields{"SlotId": firstSlotID}).requireReplayed(t, stayed)
		sc.moveWith("k", visit, fields{"SlotId": firstSlotID + 2}).requireRefusal(t, "idempotency_key_reused")
		sc.moveWith("k", visit, fields{"SlotId": firstSlotID + 1, "VisitComment": ""}).requireRefusal(t, "idempotency_key_reused")
		sc.moveWith("k", uuid.New(), fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "idempotency_key_reused")
		require.Equal(t, before, sc.snapshot())
	}
	again()
	sc.cancel(sc.person, visit).requireCancelled(t)
	again()
	sc.moveWith("new", visit, fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "appointment_cancelled")
	sc.moveWith("new", uuid.New(), fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "appointment_absent")
	require.Equal(t, 2, sc.count(`SELECT count(*) FROM idempotency_key`), "refusals are not kept")
}

// Promise: the same goes for a cancel. No body asks what an empty one does, and a guid is one in either case.
func TestKeyRepeatsACancel(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	visit := sc.booked()
	sc.exec(`UPDATE appointment SET start_at = $1`, moment.Add(-time.Second))
	sc.cancelWith("k", visit, nil).requireRefusal(t, "appointment_started")
	sc.exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.to)
	first := sc.cancelWith("k", visit, nil)
	first.requireFirst(t)
	first.requireCancelled(t)
	again := sc.cancelWith("again", visit, fields{"ReasonCode": 1})
	again.requireFirst(t)

	sc.booked()
	before := sc.snapshot()
	sc.cancelWith("k", visit, nil).requireReplayed(t, first)
	sc.cancelWith("k", visit, fields{}).requireReplayed(t, first)
	sc.cancelWith("k", visit, fields{"ReasonCode": nil}).requireReplayed(t, first)
	sc.keyed("k", sc.person, clientGuid, http.MethodDelete, "/appointments/"+strings.ToUpper(visit.String()), nil).requireReplayed(t, first)
	sc.cancelWith("again", visit, fields{"ReasonCode": 1}).requireReplayed(t, again)
	sc.cancelWith("k", visit, fields{"ReasonCode": 1}).requireRefusal(t, "idempotency_key_reused")
	sc.cancelWith("k", uuid.New(), nil).requireRefusal(t, "idempotency_key_reused")
	sc.cancelWith("new", uuid.New(), nil).requireRefusal(t, "appointment_absent")
	require.Equal(t, before, sc.snapshot())
}

// Promise: a key of one operation is refused for another.
func TestKeyIsForOneRequest(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	booked := sc.bookWith("book", sc.person, clientGuid)
	visit := appointmentOf(booked).GUID
	sc.moveWith("move", visit, fields{"SlotId": firstSlotID + 1}).requireFirst(t)
	sc.cancelWith("cancel", visit, nil).requireFirst(t)
	before := sc.snapshot()
	for _, key := range []string{"book", "move", "cancel"} {
		for name, ask := range map[string]func() answer{
			"book":   func() answer { return sc.bookWith(key, sc.person, clientGuid) },
			"move":   func() answer { return sc.moveWith(key, visit, fields{"SlotId": firstSlotID + 1}) },
			"cancel": func() answer { return sc.cancelWith(key, visit, nil) },
		} {
			a := ask()
			if name == key {
				require.Equal(t, "true", a.Header.Get("Idempotency-Replayed"), "%s: %s", name, a.raw)
				continue
			}
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, "%s", a.raw)
			a.requireRefusal(t, "idempotency_key_reused")
		}
	}
	require.Equal(t, before, sc.snapshot())
}

// Promise: a key is one patient's through one client application: it neither hides nor shows anything to another.
func TestKeyIsItsOwners(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first := sc.bookWith("k", sc.person, clientGuid)
	require.Equal(t, 200, first.StatusCode)
	stranger, direction := sc.patient()
	sc.bookWith("k", stranger, clientGuid).requireRefusal(t, "direction_not_patients")
	other := sc.bookWith("k", stranger, clientGuid, fields{"DirectionGuid": direction, "SlotId": firstSlotID + 1})
	require.Equal(t, 200, other.StatusCode, other.raw)
	require.Empty(t, other.Header.Get("Idempotency-Replayed"))
	sc.bookWith("k", sc.person, uuid.New()).requireRefusal(t, "direction_already_booked")
}

// Promise: of many requests at once with one key one is done; every other gets its answer, or is told that it still runs; nobody is refused a rule.
func TestKeyRaces(t *testing.T) {
	t.Parallel()
	eachKeyed(t, func(t *testing.T, sc *scene, ask func(string) answer) {
		visits := sc.count(`SELECT count(*) FROM appointment`)
		answers := all(repeat(func(int) answer { return ask("k") }))
		done := slices.IndexFunc(answers, func(a answer) bool { return a.StatusCode == 200 && a.Header.Get("Idempotency-Replayed") == "" })
		require.GreaterOrEqual(t, done, 0)
		first := answers[done]
		for _, a := range slices.Delete(answers, done, done+1) {
			if a.StatusCode == http.StatusConflict {
				a.requireRefusal(t, "idempotency_key_in_use")
				require.Equal(t, "1", a.Header.Get("Retry-After"))
				continue
			}
			a.requireReplayed(t, first)
		}
		require.Equal(t, max(visits, 1), sc.count(`SELECT count(*) FROM appointment`))
		ask("k").requireReplayed(t, first)
		sc.requireInvariants()
	})
}

// Promise: of several operations at once with one key one is done; the others are refused it.
func TestKeyRacesOfOperations(t *testing.T) {
	t.Parallel()
	runContests(t, map[string]contest{"a move and a cancel": {
		func(_ *testing.T, sc *scene) []func() answer {
			visit := sc.booked()
			key := uuid.NewString()
			return repeat(func(i int) answer {
				if i%2 == 0 {
					return sc.cancelWith(key, visit, nil)
				}
				return sc.moveWith(key, visit, fields{"SlotId": firstSlotID + 1})
			})
		},
		[]string{"idempotency_key_in_use", "idempotency_key_reused"},
		func(t *testing.T, sc *scene, succeeded int) {
			require.Positive(t, succeeded)
			require.LessOrEqual(t, succeeded, contenders/2)
			require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment a
				WHERE a.lpu_guid = $1 AND (a.cancelled_at IS NOT NULL) = (a.slot_guids = ARRAY[$2::uuid])`, sc.to, sc.slots[0]), "cancelled where it was, or moved")
		},
	}})
}

// Promise: a request that died leaves its key running until its deadline and two seconds more, by the service's clock; then the key is free for any request.
func TestKeyOfADeadRequest(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.bookWith("k", sc.person, clientGuid, fields{"SlotId": 1}).requireRefusal(t, "slot_not_found")
	require.Zero(t, sc.count(`SELECT count(*) FROM idempotency_key`), "a refusal gives the key back")
	first := sc.bookWith("k", sc.person, clientGuid)
	require.Equal(t, 200, first.StatusCode)
	sc.cancel(sc.person, appointmentOf(first).GUID)
	sc.exec(`UPDATE idempotency_key SET answer = NULL`)
	sc.bookWith("k", sc.person, clientGuid).requireRefusal(t, "idempotency_key_in_use")
	sc.bookWith("k", sc.person, clientGuid, fields{"IsCito": true}).requireRefusal(t, "idempotency_key_reused")
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM idempotency_key WHERE running_until > $1 AND running_until <= $2`,
		moment.Add(booking.KeyGrace), moment.Add(sc.config.Timeout+booking.KeyGrace)))
	sc.exec(`UPDATE idempotency_key SET running_until = $1`, moment)
	second := sc.bookWith("k", sc.person, clientGuid, fields{"IsCito": true})
	require.Equal(t, 200, second.StatusCode, second.raw)
	require.NotEqual(t, appointmentOf(first).GUID, appointmentOf(second).GUID)
}

// Promise: that goes for every operation: what died has left nothing but its key, and is done when it is asked for after that.
func TestKeyOfADeadRequestIsFreeAgain(t *testing.T) {
	t.Parallel()
	eachKeyed(t, func(t *testing.T, sc *scene, ask func(string) answer) {
		sc.run(`CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = 'UPDATE' THEN RAISE 'no'; END IF; RETURN NULL; END $$;
			CREATE TRIGGER die BEFORE UPDATE OR DELETE ON idempotency_key FOR EACH ROW EXECUTE FUNCTION die()`) // no answer is kept, no key given back
		ask("k").requireRefusal(t, "internal_error")
		sc.run(`DROP TRIGGER die ON idempotency_key`)
		ask("k").requireRefusal(t, "idempotency_key_in_use")
		sc.exec(`UPDATE idempotency_key SET running_until = $1`, moment)
		first := ask("k")
		first.requireFirst(t)
		ask("k").requireReplayed(t, first)
		sc.requireInvariants()
	})
}

// Promise: a request whose key another has taken over meanwhile does nothing.
func TestKeyTakenOver(t *testing.T) {
	t.Parallel()
	eachKeyed(t, func(t *testing.T, sc *scene, ask func(string) answer) {
		before := sc.snapshot()
		sc.run(`CREATE FUNCTION take_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.taken_by = gen_random_uuid(); RETURN NEW; END $$;
			CREATE TRIGGER take_over BEFORE INSERT ON idempotency_key FOR EACH ROW EXECUTE FUNCTION take_over()`)
		ask("k").requireRefusal(t, "idempotency_key_in_use")
		require.Equal(t, 1, sc.count(`SELECT count(*) FROM idempotency_key WHERE answer IS NULL`), "the other's")
		sc.exec(`DELETE FROM idempotency_key`)
		require.Equal(t, before, sc.snapshot())
	})
}

// Promise: a failure is not kept, and leaves nothing; the same key may be tried again at once.
func TestKeyOfAFailure(t *testing.T) {
	t.Parallel()
	eachKeyed(t, func(t *testing.T, sc *scene, ask func(string) answer) {
		before := sc.snapshot()
		sc.run(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
			CREATE TRIGGER fail BEFORE UPDATE ON idempotency_key FOR EACH ROW EXECUTE FUNCTION fail()`) // as it writes its answer, the last thing it does
		ask("k").requireRefusal(t, "internal_error")
		require.Equal(t, before, sc.snapshot())
		sc.run(`DROP TRIGGER fail ON idempotency_key`)
		first := ask("k")
		first.requireFirst(t)
		ask("k").requireReplayed(t, first)
		sc.requireInvariants()
	})
}

// Promise: a client that hangs up, whenever that is, can ask again: what it wants is done once, and it does not wait for a lease to end.
func TestKeyOfAClientThatHangsUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, clientGuid)
	s.exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
	for i := range 100 {
		sc := s.another()
		body, err := json.Marshal(sc.request())
		require.NoError(t, err)
		ctx, hangUp := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		request := sc.service.request(http.MethodPost, "/appointments", bytes.NewReader(body)).WithContext(ctx)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
		request.Header.Set("Idempotency-Key", "k")
		if response, err := httpClient.Do(request); err == nil {
			require.NoError(t, response.Body.Close())
		}
		hangUp()
		again := sc.bookWith("k", sc.person, clientGuid)
		for gaveUp := time.Now().Add(20 * time.Second); again.StatusCode != http.StatusOK && time.Now().Before(gaveUp); {
			again.requireRefusal(t, "idempotency_key_in_use") // the first one has not noticed yet
			again = sc.bookWith("k", sc.person, clientGuid)
		}
		require.Equal(t, http.StatusOK, again.StatusCode, "%s", again.raw)
		require.Equal(t, 1, s.count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1`, sc.to))
	}
	s.requireInvariants()
}

// Promise: an answer is kept with the work or not at all: where the commit itself fails, it is done when it is asked for again.
func TestKeyOfAFailedCommit(t *testing.T) {
	t.Parallel()
	eachKeyed(t, func(t *testing.T, sc *scene, ask func(string) answer) {
		before := sc.snapshot()
		sc.run(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
			CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON slot DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()`)
		failed := ask("k")
		if failed.StatusCode == http.StatusOK {
			return // it has nothing to do
		}
		failed.requireRefusal(t, "internal_error")
		require.Equal(t, before, sc.snapshot())
		sc.run(`DROP TRIGGER fail ON slot`)
		first := ask("k")
		first.requireFirst(t)
		ask("k").requireReplayed(t, first)
		sc.requireInvariants()
	})
}

// Promise: a key is remembered for 24 hours; older ones are as new, and are swept while the service runs, in steps.
func TestKeyIsForgotten(t *testing.T) {
	t.Parallel()
	database := testdb.New(t)
	sc := startOn(t, database).scene()
	first := sc.bookWith("k", sc.person, clientGuid)
	require.Equal(t, 200, first.StatusCode)
	sc.exec(`UPDATE idempotency_key SET taken_at = $1`, moment.Add(-24*time.Hour+time.Second))
	sc.bookWith("k", sc.person, clientGuid).requireReplayed(t, first)
	sc.exec(`UPDATE idempotency_key SET taken_at = $1`, moment.Add(-24*time.Hour))
	sc.bookWith("k", sc.person, clientGuid).requireRefusal(t, "direction_already_booked")

	sc.exec(`INSERT INTO idempotency_key SELECT gen_random_uuid(), gen_random_uuid(), n::text, sha256(''), gen_random_uuid(), $1::timestamptz - interval '1 second' * n, $1, 'null'
		FROM generate_series(86000, 88500) n`, moment)
	sc.stop()
	startOn(t, database)
	require.Eventually(t, func() bool {
		return sc.count(`SELECT count(*) FROM idempotency_key WHERE taken_at <= $1`, moment.Add(-24*time.Hour)) == 0
	},
		20*time.Second, 5*time.Millisecond)
	require.Equal(t, 400, sc.count(`SELECT count(*) FROM idempotency_key`), "the younger ones stay")
}

// Promise: after 24 hours a request with the key is a new one.
func TestKeyIsNewAfterADay(t *testing.T) {
	t.Parallel()
	eachKeyed(t, func(t *testing.T, sc *scene, ask func(string) answer) {
		first := ask("k")
		first.requireFirst(t)
		sc.exec(`UPDATE idempotency_key SET taken_at = $1`, moment.Add(-24*time.Hour+time.Second))
		ask("k").requireReplayed(t, first)
		sc.exec(`UPDATE idempotency_key SET taken_at = $1`, moment.Add(-24*time.Hour))
		if again := ask("k"); again.StatusCode != 200 {
			again.requireRefusal(t, "direction_already_booked")
		} else {
			again.requireFirst(t)
		}
	})
}

// Promise: a key that breaks the contract is named in the answer, and changes nothing.
func TestKeyBadInput(t *testing.T) {
	t.Parallel()
	eachKeyed(t, func(t *testing.T, sc *scene, ask func(string) answer) {
		before := sc.snapshot()
		for name, key := range map[string]string{"empty": "", "a space": "a b", "too long": strings.Repeat("k", 256), "not ASCII": "ключ"} {
			a := ask(key)
			a.requireRefusal(t, "field_invalid")
			require.True(t, strings.HasPrefix(a.error.Message, "Поле Idempotency-Key: "), "%s: %s", name, a.error.Message)
		}
		require.Equal(t, before, sc.snapshot())
		ask(strings.Repeat("k", 255)).requireFirst(t)
	})
}
