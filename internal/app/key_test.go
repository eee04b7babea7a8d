package app_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/auth"
	"talon.example/internal/testdb"
)

// bookWith books with an Idempotency-Key, by a person through a client application.
func (sc *scene) bookWith(key string, person, client uuid.UUID, changes ...fields) answer {
	sc.t.Helper()
	token, err := sc.key.Sign(auth.Token{Person: person, Client: client}, "issuer", "talon", moment, time.Hour)
	require.NoError(sc.t, err)
	body, err := json.Marshal(sc.request(changes...))
	require.NoError(sc.t, err)
	request := sc.service.request(http.MethodPost, "/appointments", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Idempotency-Key", key)
	return sc.do(request)
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

// Promise: of many requests at once with one key one books; every other gets its answer, or is told that it still runs; nobody is refused a rule.
func TestKeyRaces(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	answers := make([]answer, contenders)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = sc.bookWith("k", sc.person, clientGuid) })
	}
	group.Wait()
	var first *answer
	for i := range answers {
		if answers[i].StatusCode == 200 && answers[i].Header.Get("Idempotency-Replayed") == "" {
			require.Nil(t, first, "it is done once")
			first = &answers[i]
		}
	}
	require.NotNil(t, first)
	for _, a := range answers {
		switch {
		case a.StatusCode == http.StatusConflict:
			a.requireRefusal(t, "idempotency_key_in_use")
			require.Equal(t, "1", a.Header.Get("Retry-After"))
		case a.Header.Get("Idempotency-Replayed") != "":
			a.requireReplayed(t, *first)
		default:
			require.Equal(t, first.raw, a.raw)
		}
	}
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment`))
	sc.bookWith("k", sc.person, clientGuid).requireReplayed(t, *first)
}

// Promise: a request that died leaves its key running for a minute, by the service's clock; then the key is free for any request.
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
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM idempotency_key WHERE running_until = $1`, moment.Add(time.Minute)))
	sc.exec(`UPDATE idempotency_key SET running_until = $1`, moment)
	second := sc.bookWith("k", sc.person, clientGuid, fields{"IsCito": true})
	require.Equal(t, 200, second.StatusCode, second.raw)
	require.NotEqual(t, appointmentOf(first).GUID, appointmentOf(second).GUID)
}

// Promise: a request whose key another has taken over meanwhile books nothing.
func TestKeyTakenOver(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`CREATE FUNCTION take_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		UPDATE idempotency_key SET taken_by = gen_random_uuid(); RETURN NULL; END $$`)
	sc.exec(`CREATE TRIGGER take_over AFTER INSERT ON appointment FOR EACH ROW EXECUTE FUNCTION take_over()`)
	sc.bookWith("k", sc.person, clientGuid).requireRefusal(t, "idempotency_key_in_use")
	require.Zero(t, sc.count(`SELECT count(*) FROM appointment`))
	require.Zero(t, sc.count(`SELECT count(*) FROM slot WHERE taken > 0`))
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

// Promise: a key that breaks the contract is named in the answer, and changes nothing.
func TestKeyBadInput(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	for name, key := range map[string]string{"empty": "", "a space": "a b", "too long": strings.Repeat("k", 256), "not ASCII": "ключ"} {
		a := sc.bookWith(key, sc.person, clientGuid)
		a.requireRefusal(t, "field_invalid")
		require.True(t, strings.HasPrefix(a.error.Message, "Поле Idempotency-Key: "), "%s: %s", name, a.error.Message)
	}
	require.Zero(t, sc.count(`SELECT count(*) FROM appointment`))
	require.Equal(t, 200, sc.bookWith(strings.Repeat("k", 255), sc.person, clientGuid).StatusCode)
}
