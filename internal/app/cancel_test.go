package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// booked books what the scene allows and gives the appointment.
func (sc *scene) booked(changes ...fields) uuid.UUID {
	sc.t.Helper()
	a := sc.attempt(changes...)
	require.Equal(sc.t, 200, a.StatusCode, "%s", a.raw)
	return appointmentOf(a).GUID
}

// requireCancelled requires the vendor's answer to a cancel.
func (a answer) requireCancelled(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.JSONEq(t, `{"code": 200, "message": "Запись на прием отменена", "message_code": "2000"}`, a.raw)
}

// held counts what active visits hold: places of cells, referrals, specialities.
func (s *service) held() int {
	s.t.Helper()
	return s.count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM speciality_claim) + (SELECT count(*) FROM direction
		WHERE num_nonnulls(appointment_guid, appointment_lpu_guid, appointment_start_at, appointment_end_at) > 0)`)
}

// Promise: a cancel gives back the cells, the referral and the speciality; what they were refused for can be booked, and the copy is used again.
func TestCancelGivesBackEverything(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first := sc.attempt(fields{"Difficulty": 2})
	require.Equal(t, 200, first.StatusCode, "%s", first.raw)
	require.Equal(t, 5, sc.held())
	person, direction := sc.patient()
	sc.book(person, sc.request(fields{"DirectionGuid": direction})).requireRefusal(t, "slot_full")
	another := uuid.New()
	sc.addDirection(another, "Consult")
	third := fields{"SlotId": firstSlotID + 2}
	sc.attempt(third, fields{"DirectionGuid": another}).requireRefusal(t, "speciality_already_booked")
	sc.attempt(third).requireRefusal(t, "direction_already_booked")

	sc.cancel(sc.person, appointmentOf(first).GUID, fields{"ReasonCode": 6, "Reason": "уезжает"}).requireCancelled(t)
	require.Zero(t, sc.held())
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE cancelled_at = $1 AND updated_at = $1 AND cancel_reason_code = 6 AND cancel_reason = 'уезжает'`, moment))
	require.Equal(t, 2, sc.count(`SELECT cardinality(slot_guids) FROM appointment`), "which cells it was is still known")
	sc.requireInvariants()

	again := sc.attempt(fields{"Difficulty": 2})
	require.Equal(t, 200, again.StatusCode, "%s", again.raw)
	require.NotEqual(t, appointmentOf(first).GUID, appointmentOf(again).GUID)
	require.Equal(t, first.body.ConsultDirection.ID, again.body.ConsultDirection.ID)
	sc.cancel(sc.person, appointmentOf(again).GUID).requireCancelled(t)
	require.NotZero(t, sc.booked(third, fields{"DirectionGuid": another}), "the speciality is free")
	require.Equal(t, 200, sc.book(person, sc.request(fields{"DirectionGuid": direction})).StatusCode, "the cell is free")
	sc.requireInvariants()
}

// Promise: where source and target are one institution, and where the referral is for an examination, a cancel gives back what there is.
func TestCancelOfOtherKinds(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	within := uuid.New()
	sc.exec(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, lpu_from_guid)
		VALUES ($1, $2, 'Consult', '1', '2019-08-13', '2019-09-12', $3, $4, '92', $1)`, sc.to, within, moment, sc.mkabTo)
	sc.cancel(sc.person, sc.booked(fields{"DirectionGuid": within, "LpuFromGuid": sc.to})).requireCancelled(t)
	require.Zero(t, sc.held())

	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	consultation := sc.booked() // its claim is nobody else's to give back
	sc.cancel(sc.person, sc.booked(fields{"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": firstSlotID + 1})).requireCancelled(t)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1`, consultation))
	sc.cancel(sc.person, consultation).requireCancelled(t)
	require.Zero(t, sc.held())

	sc.cancel(sc.person, sc.booked(sc.outOfSchedule("2019-08-21"))).requireCancelled(t)
	require.Zero(t, sc.held())
	sc.requireInvariants()
}

// Promise: to cancel again is answered the same and changes nothing, also after the referral and the cell were booked again.
func TestCancelAgain(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first := sc.booked()
	sc.cancel(sc.person, first, fields{"ReasonCode": 1}).requireCancelled(t)
	sc.exec(`UPDATE appointment SET cancelled_at = $1, updated_at = $1, start_at = $1, end_at = $1`, moment.Add(-time.Hour)) // long ago, before a visit that has begun since
	sc.booked()
	before := sc.snapshot()
	sc.cancel(sc.person, first, fields{"ReasonCode": 6, "Reason": "другая"}).requireCancelled(t)
	sc.cancel(sc.person, first).requireCancelled(t)
	require.Equal(t, before, sc.snapshot())
	sc.requireInvariants()
}

// Promise: another person's appointment is answered as one that there is not, and nothing changes.
func TestCancelIsForThePatientAlone(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	booked := sc.booked()
	before := sc.snapshot()
	person := uuid.New()
	others := sc.cancel(person, booked)
	none := sc.cancel(person, uuid.New())
	for _, a := range []answer{others, none, sc.cancel(sc.person, uuid.New()), sc.cancel(sc.person, uuid.Nil), sc.cancel(sc.person, sc.direction)} {
		require.Equal(t, 404, a.StatusCode, "%s", a.raw)
		a.requireRefusal(t, "appointment_absent")
	}
	others.error.RequestID, none.error.RequestID = uuid.Nil, uuid.Nil
	require.Equal(t, none.error, others.error)
	require.Equal(t, before, sc.snapshot())
	sc.requireDiscreetLog()
}

// Promise: a cancel without a token, or with one that is refused, changes nothing.
func TestCancelNeedsAToken(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	path := "/appointments/" + sc.booked().String()
	before := sc.snapshot()
	sc.do(sc.service.request(http.MethodDelete, path, nil)).requireRefusal(t, "token_missing")
	request := sc.service.request(http.MethodDelete, path, nil)
	request.Header.Set("Authorization", "Bearer x")
	sc.do(request).requireRefusal(t, "token_invalid")
	require.Equal(t, before, sc.snapshot())
}

// Promise: the reason is kept as the client gave it; its words where the code is 6 alone.
func TestCancelKeepsTheReason(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	long := strings.Repeat("ж", 1000)
	for name, c := range map[string]struct {
		body []any
		kept string
	}{
		"no body":           {nil, "- -"},
		"empty":             {[]any{fields{}}, "- -"},
		"null":              {[]any{fields{"ReasonCode": nil, "Reason": nil}}, "- -"},
		"words alone":       {[]any{fields{"Reason": "просто так"}}, "- -"},
		"a code":            {[]any{fields{"ReasonCode": 1}}, "1 -"},
		"the lowest code":   {[]any{fields{"ReasonCode": 0}}, "0 -"},
		"the highest code":  {[]any{fields{"ReasonCode": 99}}, "99 -"},
		"words for a code":  {[]any{fields{"ReasonCode": 1, "Reason": "просто так"}}, "1 -"},
		"words for 6":       {[]any{fields{"ReasonCode": 6, "Reason": "просто «так»"}}, "6 просто «так»"},
		"many words for 6":  {[]any{fields{"ReasonCode": 6, "Reason": long}}, "6 " + long},
		"blanks and a word": {[]any{fields{"ReasonCode": 6, "Reason": " так "}}, "6  так "},
	} {
		t.Run(name, func(t *testing.T) {
			booked := sc.booked()
			sc.cancel(sc.person, booked, c.body...).requireCancelled(t)
			var kept string
			require.NoError(t, sc.db.QueryRow(t.Context(), `SELECT coalesce(cancel_reason_code::text, '-') || ' ' || coalesce(cancel_reason, '-')
				FROM appointment WHERE guid = $1`, booked).Scan(&kept))
			require.Equal(t, c.kept, kept)
		})
	}
}

// Promise: an empty body is none, however it is framed, and whatever its type is said to be; one that is not empty is read in chunks, too.
func TestCancelInChunks(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	send := func(mediaType, body string) (answer, uuid.UUID) {
		booked := sc.booked()
		request := sc.service.request(http.MethodDelete, "/appointments/"+booked.String(), io.NopCloser(strings.NewReader(body)))
		request.TransferEncoding = []string{"chunked"} // also where it is empty
		request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
		if mediaType != "" {
			request.Header.Set("Content-Type", mediaType)
		}
		a := sc.do(request)
		if a.StatusCode != http.StatusOK {
			sc.cancel(sc.person, booked).requireCancelled(t)
		}
		return a, booked
	}
	for _, mediaType := range []string{"", "application/json", "text/plain"} {
		a, booked := send(mediaType, "")
		a.requireCancelled(t)
		require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancelled_at IS NOT NULL AND cancel_reason_code IS NULL`, booked))
	}
	a, booked := send("application/json", `{"ReasonCode":6,"Reason":"`+strings.Repeat("ж", 1000)+`"}`)
	a.requireCancelled(t)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancel_reason_code = 6 AND length(cancel_reason) = 1000`, booked))

	for mediaType, rule := range map[string]string{"": "media_type_unsupported", "text/plain": "media_type_unsupported", "application/json": "body_malformed"} {
		a, _ := send(mediaType, " ")
		a.requireRefusal(t, rule)
	}
	a, _ = send("application/json", `{"Reason":"`+strings.Repeat("x", 64<<10)+`"}`)
	a.requireRefusal(t, "body_too_large")

	// A booking needs one.
	request := sc.service.request(http.MethodPost, "/appointments", io.NopCloser(strings.NewReader("")))
	request.TransferEncoding = []string{"chunked"}
	request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
	sc.do(request).requireRefusal(t, "media_type_unsupported")
}

// Promise: what breaks the contract is refused by its name, and nothing changes.
func TestBadCancels(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	booked := sc.booked().String()
	before := sc.snapshot()
	const notAGuid = "Поле appointmentGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	for name, bad := range map[string]struct{ guid, mediaType, body, rule, message string }{
		"no guid":              {"x", "", "", "field_invalid", notAGuid},
		"a guid in braces":     {"{" + booked + "}", "", "", "field_invalid", notAGuid},
		"a guid without lines": {strings.ReplaceAll(booked, "-", ""), "", "", "field_invalid", notAGuid},
		"a guid of other text": {strings.Repeat("я", 36), "", "", "field_invalid", notAGuid},
		"guid and field":       {"x", "application/json", `{"ReasonCode":-1}`, "field_invalid", notAGuid},
		"blank":                {booked, "application/json", " ", "body_malformed", "Тело запроса должно быть корректным объектом JSON: тело запроса пустое"},
		"an array":             {booked, "application/json", "[]", "body_malformed", "Тело запроса должно быть корректным объектом JSON: ожидается объект"},
		"broken":               {booked, "application/json", "{", "body_malformed", ""},
		"a key twice":          {booked, "application/json", `{"Reason":"a","Reason":"b"}`, "body_malformed", ""},
		"an unknown key":       {booked, "application/json", `{"reasonCode":1}`, "field_invalid", "Поле reasonCode: неизвестное поле"},
		"a code below":         {booked, "application/json", `{"ReasonCode":-1}`, "field_invalid", "Поле ReasonCode: значение должно быть не меньше 0"},
		"a code above":         {booked, "application/json", `{"ReasonCode":100}`, "field_invalid", "Поле ReasonCode: значение должно быть не больше 99"},
		"a code of text":       {booked, "application/json", `{"ReasonCode":"6"}`, "field_invalid", "Поле ReasonCode: ожидается целое число"},
		"a fraction":           {booked, "application/json", `{"ReasonCode":6.5}`, "field_invalid", "Поле ReasonCode: ожидается целое число"},
		"words of another type": {
			booked, "application/json", `{"ReasonCode":6,"Reason":6}`, "field_invalid", "Поле Reason: ожидается строка",
		},
		"too many words": {
			booked, "application/json", `{"Reason":"` + strings.Repeat("ж", 1001) + `"}`, "field_invalid", "Поле Reason: длина должна быть не больше 1000 символов",
		},
		"NUL":           {booked, "application/json", `{"ReasonCode":6,"Reason":"a\u0000"}`, "field_invalid", "Поле Reason: недопустимые символы"},
		"no words":      {booked, "application/json", `{"ReasonCode":6}`, "field_invalid", "Поле Reason: обязательное поле не указано"},
		"words null":    {booked, "application/json", `{"ReasonCode":6,"Reason":null}`, "field_invalid", "Поле Reason: обязательное поле не указано"},
		"words blank":   {booked, "application/json", `{"ReasonCode":6,"Reason":" \t"}`, "field_invalid", "Поле Reason: обязательное поле не указано"},
		"no media type": {booked, "", `{"ReasonCode":1}`, "media_type_unsupported", ""},
		"a form":        {booked, "application/x-www-form-urlencoded", "ReasonCode=1", "media_type_unsupported", ""},
		"too large":     {booked, "application/json", `{"Reason":"` + strings.Repeat("x", 64<<10) + `"}`, "body_too_large", ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := sc.service.request(http.MethodDelete, "/appointments/"+bad.guid, strings.NewReader(bad.body))
			request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
			if bad.mediaType != "" {
				request.Header.Set("Content-Type", bad.mediaType)
			}
			a := sc.do(request)
			a.requireRefusal(t, bad.rule)
			if bad.message != "" {
				require.Equal(t, bad.message, a.error.Message)
			}
		})
	}
	require.Equal(t, before, sc.snapshot())
	sc.requireDiscreetLog()

	// Where there is no body its type is not looked at, and a guid is one in either case.
	request := sc.service.request(http.MethodDelete, "/appointments/"+strings.ToUpper(booked), nil)
	request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
	request.Header.Set("Content-Type", "text/plain")
	sc.do(request).requireCancelled(t)
}

// Promise: an appointment can be cancelled until its visit begins, by what a booking goes by; after that where DeleteOldTime says so, the institution's
// rather than the region's.
func TestCancelUntilTheVisitBegins(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	visit := func(begins, ends time.Time) uuid.UUID {
		sc.exec(`UPDATE direction SET appointment_guid = NULL`)
		sc.exec(`DELETE FROM speciality_claim`)
		sc.exec(`UPDATE slot SET taken = 0`)
		sc.exec(`UPDATE appointment SET cancelled_at = $1 WHERE cancelled_at IS NULL`, moment)
		booked := sc.booked()
		sc.exec(`UPDATE appointment SET start_at = $2, end_at = $3 WHERE guid = $1`, booked, begins, ends)
		return booked
	}
	sc.cancel(sc.person, visit(moment, moment.Add(time.Hour))).requireCancelled(t)
	begun := visit(moment.Add(-time.Second), moment.Add(time.Hour))
	before := sc.snapshot()
	sc.cancel(sc.person, begun).requireRefusal(t, "appointment_started")
	require.Equal(t, before, sc.snapshot())

	set := func(owner uuid.UUID, value string) {
		sc.exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', $2) ON CONFLICT (owner_guid, code) DO UPDATE SET value = excluded.value`, owner, value)
	}
	set(sc.from, "true") // not where the visit is
	sc.cancel(sc.person, begun).requireRefusal(t, "appointment_started")
	set(uuid.Nil, "true")
	set(sc.to, "false")
	sc.cancel(sc.person, begun).requireRefusal(t, "appointment_started")
	set(sc.to, "true")
	set(uuid.Nil, "false")
	sc.cancel(sc.person, begun).requireCancelled(t)
	require.Zero(t, sc.held())
	sc.exec(`DELETE FROM setting WHERE owner_guid = $1`, sc.to)
	over := visit(moment.Add(-2*time.Hour), moment.Add(-time.Hour))
	sc.cancel(sc.person, over).requireRefusal(t, "appointment_started")
	set(uuid.Nil, "true")
	sc.cancel(sc.person, over).requireCancelled(t)
	require.Zero(t, sc.held())
}

// Promise: a visit on a day without a time has begun when the day is over, in the institution's zone; one at a moment, when that has passed.
func TestCancelOutOfSchedule(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	today := sc.booked(sc.outOfSchedule("2019-08-20")) // it started at midnight
	sc.cancel(sc.person, today).requireCancelled(t)
	for _, c := range []struct {
		ends    time.Duration
		refused bool
	}{{time.Second, false}, {0, true}} {
		booked := sc.booked(sc.outOfSchedule("2019-08-20"))
		sc.exec(`UPDATE appointment SET start_at = $2::timestamptz - interval '1 day', end_at = $2 WHERE guid = $1`, booked, moment.Add(c.ends))
		a := sc.cancel(sc.person, booked)
		if c.refused {
			a.requireRefusal(t, "appointment_started")
			sc.exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.to)
			a = sc.cancel(sc.person, booked)
			sc.exec(`DELETE FROM setting`)
		}
		a.requireCancelled(t)
	}
	now := sc.booked(sc.outOfSchedule(moment.Format(time.RFC3339)))
	sc.cancel(sc.person, now).requireCancelled(t)
	passed := sc.booked(sc.outOfSchedule(moment.Format(time.RFC3339)))
	sc.exec(`UPDATE appointment SET start_at = $2, end_at = $2 WHERE guid = $1`, passed, moment.Add(-time.Second))
	sc.cancel(sc.person, passed).requireRefusal(t, "appointment_started")
}

// Promise: a claim is the last consultation's, also after that is cancelled: booked while the setting was off, the other ones count when it is on.
func TestCancelHandsTheClaimOn(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')`, uuid.Nil)
	var booked []uuid.UUID
	for i := range 3 {
		another := uuid.New()
		sc.addDirection(another, "Consult")
		booked = append(booked, sc.booked(fields{"DirectionGuid": another, "SlotId": firstSlotID + (i+1)%3})) // the second, the third, the first
	}
	holder := func() (guid uuid.UUID) {
		require.NoError(t, sc.db.QueryRow(t.Context(), `SELECT appointment_guid FROM speciality_claim`).Scan(&guid))
		return guid
	}
	require.Equal(t, booked[1], holder())
	sc.cancel(sc.person, booked[2]).requireCancelled(t)
	require.Equal(t, booked[1], holder())
	sc.cancel(sc.person, booked[1]).requireCancelled(t)
	require.Equal(t, booked[0], holder())
	sc.requireInvariants()

	sc.exec(`UPDATE setting SET value = 'true'`)
	a := sc.attempt(fields{"SlotId": firstSlotID + 3})
	a.requireRefusal(t, "speciality_already_booked")
	require.Contains(t, a.error.Message, "Вы уже записаны Врач Терапевт на 21.08.2019 09:00.")
	sc.cancel(sc.person, booked[0]).requireCancelled(t)
	require.Zero(t, sc.held())
	sc.booked(fields{"SlotId": firstSlotID + 3})
}

// Promise: a cancel that fails on the way changes nothing.
func TestCancelIsAllOrNothing(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	booked := sc.booked()
	before := sc.snapshot()
	sc.run(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
		CREATE TRIGGER fail BEFORE UPDATE ON slot FOR EACH ROW EXECUTE FUNCTION fail()`)
	sc.cancel(sc.person, booked).requireRefusal(t, "internal_error")
	require.Equal(t, before, sc.snapshot())
	sc.run(`DROP TRIGGER fail ON slot`)
	sc.cancel(sc.person, booked).requireCancelled(t)
}

// all sends all requests at once and gives the answers.
func all(attempts []func() answer) []answer {
	gate := make(chan struct{})
	answers := make(chan answer, len(attempts))
	for _, attempt := range attempts {
		go func() {
			<-gate
			answers <- attempt()
		}()
	}
	close(gate)
	got := make([]answer, 0, len(attempts))
	for range attempts {
		got = append(got, <-answers)
	}
	return got
}

// Promises: cancels of one appointment at once are all answered 200, and give back once; bookings that race with a cancel get what it gives back at most
// once, or their documented refusal; nobody deadlocks. The tables then satisfy the invariants.
func TestCancelRaces(t *testing.T) {
	t.Parallel()
	runContests(t, map[string]contest{
		"cancels of one appointment": {
			func(_ *testing.T, sc *scene) []func() answer {
				booked := sc.booked(fields{"Difficulty": 3})
				return repeat(func(int) answer { return sc.cancel(sc.person, booked) })
			},
			nil,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, contenders, succeeded)
				require.Zero(t, sc.count(`SELECT sum(taken) FROM slot WHERE lpu_guid = $1`, sc.to))
			},
		},
		"a cancel and bookings of its cell": {
			func(_ *testing.T, sc *scene) []func() answer {
				booked := sc.booked()
				attempts := sc.patientsFor(fields{})
				attempts[contenders/2] = func() answer { return sc.cancel(sc.person, booked) }
				return attempts
			},
			[]string{"slot_full", "slot_taken"},
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, succeeded-1, sc.count(`SELECT taken FROM slot WHERE guid = $1`, sc.slots[0]), "the cancel, and at most one booking")
			},
		},
		"cancels and bookings of one referral": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.addSlots(contenders / 2)
				booked := sc.booked()
				return repeat(func(i int) answer {
					if i%2 == 0 {
						return sc.cancel(sc.person, booked)
					}
					return sc.attempt(fields{"SlotId": i/2 + 1})
				})
			},
			[]string{"direction_already_booked"},
			func(t *testing.T, sc *scene, succeeded int) {
				active := sc.count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND cancelled_at IS NULL`, sc.to)
				require.Equal(t, contenders/2+active, succeeded)
				require.LessOrEqual(t, active, 1)
			},
		},
		"complex slots that overlap, each cancelled at once": {
			func(_ *testing.T, sc *scene) []func() answer {
				var attempts []func() answer
				for i := range contenders {
					person, direction := sc.patient()
					attempts = append(attempts, func() answer {
						a := sc.book(person, sc.request(fields{"DirectionGuid": direction, "SlotId": firstSlotID + i%3, "Difficulty": 2}))
						if a.StatusCode == 200 {
							a = sc.cancel(person, appointmentOf(a).GUID)
							require.Equal(sc.t, 200, a.StatusCode, "%s", a.raw)
						}
						return a
					})
				}
				return attempts
			},
			[]string{"slot_full", "slot_taken", "complex_slot_failed"},
			func(t *testing.T, sc *scene, succeeded int) {
				require.Positive(t, succeeded)
				require.Zero(t, sc.held())
			},
		},
		"one patient's visits of one speciality, the setting off": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false') ON CONFLICT DO NOTHING`, uuid.Nil)
				sc.addSlots(contenders)
				booked := make([]uuid.UUID, contenders)
				for i := range booked {
					another := uuid.New()
					sc.addDirection(another, "Consult")
					booked[i] = sc.booked(fields{"DirectionGuid": another, "SlotId": i + 1})
				}
				return repeat(func(i int) answer { // all but the first
					return sc.cancel(sc.person, booked[max(i, 1)])
				})
			},
			nil,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, contenders, succeeded)
				require.Equal(t, 1, sc.count(`SELECT count(*) FROM speciality_claim c JOIN appointment a ON a.guid = c.appointment_guid
					WHERE a.cancelled_at IS NULL AND c.person_guid = $1`, sc.person))
			},
		},
	})
}
