package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// forEachKeyedOperation runs a test for each operation that accepts a key. Each has a scene in
// which the operation succeeds. send sends the same request each time.
func forEachKeyedOperation(t *testing.T,
	test func(t *testing.T, sc *harness.Scene, send func(key string) harness.Answer)) {
	t.Helper()
	for name, prepare := range map[string]func(sc *harness.Scene) func(key string) harness.Answer{
		"book": func(sc *harness.Scene) func(string) harness.Answer {
			return func(key string) harness.Answer { return sc.BookWithKey(key, sc.Person, harness.ClientGuid) }
		},
		"book at the desk": func(sc *harness.Scene) func(string) harness.Answer {
			c := bookingDesk(sc)
			return func(key string) harness.Answer { return c.bookWithKey(key) }
		},
		"move": func(sc *harness.Scene) func(string) harness.Answer {
			visit := sc.MustBook()
			return func(key string) harness.Answer {
				return sc.MoveWithKey(key, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1})
			}
		},
		"cancel": func(sc *harness.Scene) func(string) harness.Answer {
			visit := sc.MustBook()
			return func(key string) harness.Answer { return sc.CancelWithKey(key, visit, nil) }
		},
		"move to the same cell": func(sc *harness.Scene) func(string) harness.Answer {
			visit := sc.MustBook()
			return func(key string) harness.Answer {
				return sc.MoveWithKey(key, visit, harness.Fields{"SlotId": harness.FirstSlotID})
			}
		},
		"cancel again": func(sc *harness.Scene) func(string) harness.Answer {
			visit := sc.MustBook()
			sc.Cancel(sc.Person, visit).RequireCancelled(sc.T)
			return func(key string) harness.Answer { return sc.CancelWithKey(key, visit, nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t).Scene()
			test(t, sc, prepare(sc))
		})
	}
}

// Promise: a request with a key is done once. A repetition gets the same response body, also after
// the visit was cancelled.
func TestKeyRepeats(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first := sc.BookWithKey("k-1", sc.Person, harness.ClientGuid)
	require.Equal(t, 200, first.StatusCode, first.Raw)
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	sc.BookWithKey("k-1", sc.Person, harness.ClientGuid).RequireReplayed(t, first)
	sc.BookWithKey("k-1", sc.Person, harness.ClientGuid, harness.Fields{
		"Difficulty": nil, "SlotId": float64(harness.FirstSlotID),
	}).RequireReplayed(t, first)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment`))

	sc.BookWithKey("k-1", sc.Person, harness.ClientGuid, harness.Fields{
		"SlotId": harness.FirstSlotID + 1,
	}).RequireRefusal(t, "idempotency_key_reused")
	sc.BookWithKey("k-2", sc.Person, harness.ClientGuid).RequireRefusal(t, "direction_already_booked")
	sc.Cancel(sc.Person, harness.AppointmentOf(first).GUID)
	sc.BookWithKey("k-1", sc.Person, harness.ClientGuid).RequireReplayed(t, first)
	require.Equal(t, 200, sc.BookWithKey("k-2", sc.Person, harness.ClientGuid).StatusCode, "the refusal was not stored")
}

// Promise: a move with a key is done once, also if it is repeated after another move or a cancel,
// and if it changed nothing.
func TestKeyRepeatsAMove(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	visit := sc.MustBook()
	unmoved := sc.MoveWithKey("stay", visit, harness.Fields{"SlotId": harness.FirstSlotID})
	unmoved.RequireNotReplayed(t)
	first := sc.MoveWithKey("k", visit, harness.Fields{"SlotId": harness.FirstSlotID + 1})
	first.RequireNotReplayed(t)
	require.Equal(t, 200, sc.Move(sc.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 2}).StatusCode)
	requireReplays := func() {
		before := sc.Snapshot()
		sc.MoveWithKey("k", visit, harness.Fields{
			"SlotId": harness.FirstSlotID + 1, "Difficulty": nil,
		}).RequireReplayed(t, first)
		sc.MoveWithKey("stay", visit, harness.Fields{"SlotId": harness.FirstSlotID}).RequireReplayed(t, unmoved)
		sc.MoveWithKey("k", visit, harness.Fields{
			"SlotId": harness.FirstSlotID + 2,
		}).RequireRefusal(t, "idempotency_key_reused")
		sc.MoveWithKey("k", visit, harness.Fields{
			"SlotId": harness.FirstSlotID + 1, "VisitComment": "",
		}).RequireRefusal(t, "idempotency_key_reused")
		sc.MoveWithKey("k", uuid.New(), harness.Fields{
			"SlotId": harness.FirstSlotID + 1,
		}).RequireRefusal(t, "idempotency_key_reused")
		require.Equal(t, before, sc.Snapshot())
	}
	requireReplays()
	sc.Cancel(sc.Person, visit).RequireCancelled(t)
	requireReplays()
	sc.MoveWithKey("new", visit, harness.Fields{
		"SlotId": harness.FirstSlotID + 1,
	}).RequireRefusal(t, "appointment_cancelled")
	sc.MoveWithKey("new", uuid.New(), harness.Fields{
		"SlotId": harness.FirstSlotID + 1,
	}).RequireRefusal(t, "appointment_absent")
	require.Equal(t, 2, sc.Count(`SELECT count(*) FROM idempotency_key`), "refusals are not stored")
}

// Promise: a cancel with a key is done once. No body equals an empty one, and guids are equal in
// upper and lower case.
func TestKeyRepeatsACancel(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	visit := sc.MustBook()
	sc.Exec(`UPDATE appointment SET start_at = $1`, harness.Moment.Add(-time.Second))
	sc.CancelWithKey("k", visit, nil).RequireRefusal(t, "appointment_started")
	sc.Exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.To)
	first := sc.CancelWithKey("k", visit, nil)
	first.RequireNotReplayed(t)
	first.RequireCancelled(t)
	repeatedCancel := sc.CancelWithKey("again", visit, harness.Fields{"ReasonCode": 1})
	repeatedCancel.RequireNotReplayed(t)

	sc.MustBook()
	before := sc.Snapshot()
	sc.CancelWithKey("k", visit, nil).RequireReplayed(t, first)
	sc.CancelWithKey("k", visit, harness.Fields{}).RequireReplayed(t, first)
	sc.CancelWithKey("k", visit, harness.Fields{"ReasonCode": nil}).RequireReplayed(t, first)
	sc.SendWithKey("k", sc.Person, harness.ClientGuid, http.MethodDelete,
		"/appointments/"+strings.ToUpper(visit.String()), nil).RequireReplayed(t, first)
	sc.CancelWithKey("again", visit, harness.Fields{"ReasonCode": 1}).RequireReplayed(t, repeatedCancel)
	sc.CancelWithKey("k", visit, harness.Fields{"ReasonCode": 1}).RequireRefusal(t, "idempotency_key_reused")
	sc.CancelWithKey("k", uuid.New(), nil).RequireRefusal(t, "idempotency_key_reused")
	sc.CancelWithKey("new", uuid.New(), nil).RequireRefusal(t, "appointment_absent")
	require.Equal(t, before, sc.Snapshot())
}

// Promise: a key of one operation is rejected for another operation.
func TestKeyIsForOneRequest(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	booked := sc.BookWithKey("book", sc.Person, harness.ClientGuid)
	visit := harness.AppointmentOf(booked).GUID
	sc.MoveWithKey("move", visit, harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireNotReplayed(t)
	sc.CancelWithKey("cancel", visit, nil).RequireNotReplayed(t)
	before := sc.Snapshot()
	for _, key := range []string{"book", "move", "cancel"} {
		for name, send := range map[string]func() harness.Answer{
			"book": func() harness.Answer { return sc.BookWithKey(key, sc.Person, harness.ClientGuid) },
			"move": func() harness.Answer {
				return sc.MoveWithKey(key, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1})
			},
			"cancel": func() harness.Answer { return sc.CancelWithKey(key, visit, nil) },
		} {
			a := send()
			if name == key {
				require.Equal(t, "true", a.Header.Get("Idempotency-Replayed"), "%s: %s", name, a.Raw)
				continue
			}
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, "%s", a.Raw)
			a.RequireRefusal(t, "idempotency_key_reused")
		}
	}
	require.Equal(t, before, sc.Snapshot())
}

// Promise: a key belongs to one patient and client application. Another caller's request with the
// same key neither conflicts with it nor sees its response.
func TestKeyBelongsToOneCaller(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first := sc.BookWithKey("k", sc.Person, harness.ClientGuid)
	require.Equal(t, 200, first.StatusCode)
	stranger, direction := sc.AddPatient()
	sc.BookWithKey("k", stranger, harness.ClientGuid).RequireRefusal(t, "direction_not_patients")
	other := sc.BookWithKey("k", stranger, harness.ClientGuid, harness.Fields{
		"DirectionGuid": direction, "SlotId": harness.FirstSlotID + 1,
	})
	require.Equal(t, 200, other.StatusCode, other.Raw)
	require.Empty(t, other.Header.Get("Idempotency-Replayed"))
	client := uuid.New()
	sc.Exec(`INSERT INTO client_application VALUES ($1, 'Другое')`, client)
	sc.BookWithKey("k", sc.Person, client).RequireRefusal(t, "direction_already_booked")
}

// Promise: of concurrent requests with one key one is done. The others receive its response, or an
// error that the key is in use. None is rejected by another rule.
func TestKeyRaces(t *testing.T) {
	t.Parallel()
	forEachKeyedOperation(t, func(t *testing.T, sc *harness.Scene, send func(string) harness.Answer) {
		visits := sc.Count(`SELECT count(*) FROM appointment`)
		answers := sendAll(repeated(func(int) harness.Answer { return send("k") }))
		done := slices.IndexFunc(answers, func(a harness.Answer) bool {
			return a.StatusCode == 200 && a.Header.Get("Idempotency-Replayed") == ""
		})
		require.GreaterOrEqual(t, done, 0)
		first := answers[done]
		for _, a := range slices.Delete(answers, done, done+1) {
			if a.StatusCode == http.StatusConflict {
				a.RequireRefusal(t, "idempotency_key_in_use")
				require.Equal(t, "1", a.Header.Get("Retry-After"))
				continue
			}
			a.RequireReplayed(t, first)
		}
		require.Equal(t, max(visits, 1), sc.Count(`SELECT count(*) FROM appointment`))
		send("k").RequireReplayed(t, first)
		sc.RequireInvariants()
	})
}

// Promise: of concurrent operations with one key one is done. The others are rejected because of
// the key.
func TestKeyRacesOfOperations(t *testing.T) {
	t.Parallel()
	runRaces(t, map[string]race{"a move and a cancel": {
		func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
			visit := sc.MustBook()
			key := uuid.NewString()
			return repeated(func(i int) harness.Answer {
				if i%2 == 0 {
					return sc.CancelWithKey(key, visit, nil)
				}
				return sc.MoveWithKey(key, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1})
			})
		},
		[]string{"idempotency_key_in_use", "idempotency_key_reused"},
		func(t *testing.T, sc *harness.Scene, succeeded int) {
			require.Positive(t, succeeded)
			require.LessOrEqual(t, succeeded, harness.Contenders/2)
			require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment a
				WHERE a.lpu_guid = $1 AND (a.cancelled_at IS NOT NULL) = (a.slot_guids = ARRAY[$2::uuid])`, sc.To, sc.Slots[0]), "either cancelled in its old cell or moved")
		},
	}})
}

// Promise: the key of a request that died is in use until its deadline plus two seconds, by the
// service's clock. Then any request may use the key.
func TestKeyOfADeadRequest(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.BookWithKey("k", sc.Person, harness.ClientGuid, harness.Fields{"SlotId": 1}).RequireRefusal(t, "slot_not_found")
	require.Zero(t, sc.Count(`SELECT count(*) FROM idempotency_key`), "a refusal frees the key")
	first := sc.BookWithKey("k", sc.Person, harness.ClientGuid)
	require.Equal(t, 200, first.StatusCode)
	sc.Cancel(sc.Person, harness.AppointmentOf(first).GUID)
	sc.Exec(`UPDATE idempotency_key SET answer = NULL`)
	sc.BookWithKey("k", sc.Person, harness.ClientGuid).RequireRefusal(t, "idempotency_key_in_use")
	sc.BookWithKey("k", sc.Person, harness.ClientGuid, harness.Fields{
		"IsCito": true,
	}).RequireRefusal(t, "idempotency_key_reused")
	longest := cmp.Or(sc.Config.Timeout, 10*time.Second) // of a booking
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM idempotency_key WHERE running_until > $1 AND running_until <= $2`,
		harness.Moment.Add(booking.KeyGrace), harness.Moment.Add(longest+booking.KeyGrace)))
	sc.Exec(`UPDATE idempotency_key SET running_until = $1`, harness.Moment)
	second := sc.BookWithKey("k", sc.Person, harness.ClientGuid, harness.Fields{"IsCito": true})
	require.Equal(t, 200, second.StatusCode, second.Raw)
	require.NotEqual(t, harness.AppointmentOf(first).GUID, harness.AppointmentOf(second).GUID)
}

// Promise: for every operation, a request that died leaves only its key. It is done when it is
// repeated after the key is free.
func TestKeyOfADeadRequestIsFreeAgain(t *testing.T) {
	t.Parallel()
	forEachKeyedOperation(t, func(t *testing.T, sc *harness.Scene, send func(string) harness.Answer) {
		sc.AddTrigger(`TRIGGER fault BEFORE UPDATE OR DELETE ON idempotency_key`, `IF TG_OP = 'UPDATE' THEN RAISE 'no'; END IF; RETURN NULL;`) // no response is stored, no key is freed
		send("k").RequireRefusal(t, "internal_error")
		sc.Exec(`DROP TRIGGER fault ON idempotency_key`)
		send("k").RequireRefusal(t, "idempotency_key_in_use")
		sc.Exec(`UPDATE idempotency_key SET running_until = $1`, harness.Moment)
		first := send("k")
		first.RequireNotReplayed(t)
		send("k").RequireReplayed(t, first)
		sc.RequireInvariants()
	})
}

// Promise: a request whose key was taken over by another request does nothing.
func TestKeyTakenOver(t *testing.T) {
	t.Parallel()
	forEachKeyedOperation(t, func(t *testing.T, sc *harness.Scene, send func(string) harness.Answer) {
		before := sc.Snapshot()
		sc.AddTrigger(`TRIGGER fault BEFORE INSERT ON idempotency_key`, `NEW.taken_by = gen_random_uuid(); RETURN NEW;`)
		send("k").RequireRefusal(t, "idempotency_key_in_use")
		require.Equal(t, 1, sc.Count(`SELECT count(*) FROM idempotency_key WHERE answer IS NULL`), "the key of the other request stays")
		sc.Exec(`DELETE FROM idempotency_key`)
		require.Equal(t, before, sc.Snapshot())
	})
}

// Promise: a failed request stores no response and changes nothing. The same key can be retried at
// once.
func TestKeyOfAFailure(t *testing.T) {
	t.Parallel()
	forEachKeyedOperation(t, func(t *testing.T, sc *harness.Scene, send func(string) harness.Answer) {
		before := sc.Snapshot()
		sc.AddTrigger(`TRIGGER fault BEFORE UPDATE ON idempotency_key`, `RAISE 'no';`) // it fails when it stores the response, its last statement
		send("k").RequireRefusal(t, "internal_error")
		require.Equal(t, before, sc.Snapshot())
		sc.Exec(`DROP TRIGGER fault ON idempotency_key`)
		first := send("k")
		first.RequireNotReplayed(t)
		send("k").RequireReplayed(t, first)
		sc.RequireInvariants()
	})
}

// Promise: a client that hangs up at any time can repeat its request. It is done once, and the
// client does not wait for the key to expire.
func TestKeyOfAClientThatHangsUp(t *testing.T) {
	t.Parallel()
	s := harness.StartEmpty(t)
	s.Exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, harness.ClientGuid)
	s.Exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
	for i := range 100 {
		sc := s.AnotherScene()
		body, err := json.Marshal(sc.BookingBody())
		require.NoError(t, err)
		ctx, hangUp := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		request := sc.NewRequest(http.MethodPost, "/appointments", bytes.NewReader(body)).WithContext(ctx)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		request.Header.Set("Idempotency-Key", "k")
		if response, err := harness.HTTPClient.Do(request); err == nil {
			require.NoError(t, response.Body.Close())
		}
		hangUp()
		again := sc.BookWithKey("k", sc.Person, harness.ClientGuid)
		deadline := time.Now().Add(20 * time.Second)
		for again.StatusCode != http.StatusOK && time.Now().Before(deadline) {
			// The first request has not noticed that its client is gone.
			again.RequireRefusal(t, "idempotency_key_in_use")
			again = sc.BookWithKey("k", sc.Person, harness.ClientGuid)
		}
		require.Equal(t, http.StatusOK, again.StatusCode, "%s", again.Raw)
		require.Equal(t, 1, s.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1`, sc.To))
	}
	s.RequireInvariants()
}

// Promise: a response is stored with the change or not at all. If the commit fails, a repetition is
// done.
func TestKeyOfAFailedCommit(t *testing.T) {
	t.Parallel()
	forEachKeyedOperation(t, func(t *testing.T, sc *harness.Scene, send func(string) harness.Answer) {
		before := sc.Snapshot()
		sc.AddTrigger(`CONSTRAINT TRIGGER fault AFTER UPDATE ON slot DEFERRABLE INITIALLY DEFERRED`, `RAISE 'no';`)
		failed := send("k")
		if failed.StatusCode == http.StatusOK {
			return // the operation changes no cell
		}
		failed.RequireRefusal(t, "internal_error")
		require.Equal(t, before, sc.Snapshot())
		sc.Exec(`DROP TRIGGER fault ON slot`)
		first := send("k")
		first.RequireNotReplayed(t)
		send("k").RequireReplayed(t, first)
		sc.RequireInvariants()
	})
}

// Promise: a key is stored for 24 hours. An older key counts as new, and the running service
// deletes it in batches.
func TestKeyExpires(t *testing.T) {
	t.Parallel()
	database := testdb.New(t)
	sc := harness.StartOn(t, database).Scene()
	first := sc.BookWithKey("k", sc.Person, harness.ClientGuid)
	require.Equal(t, 200, first.StatusCode)
	sc.Exec(`UPDATE idempotency_key SET taken_at = $1`, harness.Moment.Add(-24*time.Hour+time.Second))
	sc.BookWithKey("k", sc.Person, harness.ClientGuid).RequireReplayed(t, first)
	sc.Exec(`UPDATE idempotency_key SET taken_at = $1`, harness.Moment.Add(-24*time.Hour))
	sc.BookWithKey("k", sc.Person, harness.ClientGuid).RequireRefusal(t, "direction_already_booked")

	sc.Exec(`INSERT INTO idempotency_key SELECT gen_random_uuid(), gen_random_uuid(), n::text, sha256(''), gen_random_uuid(), $1::timestamptz - interval '1 second' * n, $1, 'null'
		FROM generate_series(86000, 88500) n`, harness.Moment)
	sc.Stop()
	harness.StartOn(t, database)
	require.Eventually(t, func() bool {
		return sc.Count(`SELECT count(*) FROM idempotency_key WHERE taken_at <= $1`, harness.Moment.Add(-24*time.Hour)) == 0
	},
		20*time.Second, 5*time.Millisecond)
	require.Equal(t, 400, sc.Count(`SELECT count(*) FROM idempotency_key`), "younger keys stay")
}

// Promise: for every operation, a request with an expired key counts as new.
func TestExpiredKeyIsNew(t *testing.T) {
	t.Parallel()
	forEachKeyedOperation(t, func(t *testing.T, sc *harness.Scene, send func(string) harness.Answer) {
		first := send("k")
		first.RequireNotReplayed(t)
		sc.Exec(`UPDATE idempotency_key SET taken_at = $1`, harness.Moment.Add(-24*time.Hour+time.Second))
		send("k").RequireReplayed(t, first)
		sc.Exec(`UPDATE idempotency_key SET taken_at = $1`, harness.Moment.Add(-24*time.Hour))
		if again := send("k"); again.StatusCode != 200 {
			again.RequireRefusal(t, "direction_already_booked")
		} else {
			again.RequireNotReplayed(t)
		}
	})
}

// Promise: a key that breaks the contract is rejected with a message that names the header. Nothing
// changes.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	forEachKeyedOperation(t, func(t *testing.T, sc *harness.Scene, send func(string) harness.Answer) {
		before := sc.Snapshot()
		for name, key := range map[string]string{
			"empty": "", "a space": "a b", "too long": strings.Repeat("k", 256), "not ASCII": "ключ",
		} {
			a := send(key)
			a.RequireRefusal(t, "field_invalid")
			named := strings.HasPrefix(a.Refusal.Message, "Поле Idempotency-Key: ")
			require.True(t, named, "%s: %s", name, a.Refusal.Message)
		}
		require.Equal(t, before, sc.Snapshot())
		send(strings.Repeat("k", 255)).RequireNotReplayed(t)
	})
}
