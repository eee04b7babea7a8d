package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/test/harness"
)

// Promise: a cancel releases the cells, the referral and the speciality. Bookings that they
// prevented then succeed, and the copy of the referral is reused.
func TestCancelReleasesEverything(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first := sc.TryBook(harness.Fields{"Difficulty": 2})
	require.Equal(t, 200, first.StatusCode, "%s", first.Raw)
	require.Equal(t, 5, sc.CountTaken())
	person, direction := sc.AddPatient()
	sc.Book(person, sc.BookingBody(harness.Fields{"DirectionGuid": direction})).RequireRefusal(t, "slot_full")
	another := uuid.New()
	sc.AddDirection(another, "Consult")
	third := harness.Fields{"SlotId": harness.FirstSlotID + 2}
	sc.TryBook(third, harness.Fields{"DirectionGuid": another}).RequireRefusal(t, "speciality_already_booked")
	sc.TryBook(third).RequireRefusal(t, "direction_already_booked")

	reason := harness.Fields{"ReasonCode": 6, "Reason": "уезжает"}
	sc.Cancel(sc.Person, harness.AppointmentOf(first).GUID, reason).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE cancelled_at = $1 AND updated_at = $1 AND cancel_reason_code = 6 AND cancel_reason = 'уезжает'`, harness.Moment))
	require.Equal(t, 2, sc.Count(`SELECT cardinality(slot_guids) FROM appointment`), "the cancelled visit still lists its cells")
	sc.RequireInvariants()

	again := sc.TryBook(harness.Fields{"Difficulty": 2})
	require.Equal(t, 200, again.StatusCode, "%s", again.Raw)
	require.NotEqual(t, harness.AppointmentOf(first).GUID, harness.AppointmentOf(again).GUID)
	require.Equal(t, first.Result.ConsultDirection.ID, again.Result.ConsultDirection.ID)
	sc.Cancel(sc.Person, harness.AppointmentOf(again).GUID).RequireCancelled(t)
	require.NotZero(t, sc.MustBook(third, harness.Fields{"DirectionGuid": another}), "the speciality is free")
	require.Equal(t, 200, sc.Book(person, sc.BookingBody(harness.Fields{"DirectionGuid": direction})).StatusCode,
		"the cell is free")
	sc.RequireInvariants()
}

// Promise: a cancel releases everything also within one institution, of an examination and out of
// schedule. It leaves the claims of other visits alone.
func TestCancelOfOtherKinds(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	within := uuid.New()
	sc.Exec(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, lpu_from_guid)
		VALUES ($1, $2, 'Consult', '1', '2019-08-13', '2019-09-12', $3, $4, '92', $1)`, sc.To, within, harness.Moment, sc.MkabTo)
	sc.Cancel(sc.Person, sc.MustBook(harness.Fields{"DirectionGuid": within, "LpuFromGuid": sc.To})).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())

	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	consultation := sc.MustBook() // the cancel of the examination must not release its claim
	visit := sc.MustBook(harness.Fields{
		"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": harness.FirstSlotID + 1,
	})
	sc.Cancel(sc.Person, visit).RequireCancelled(t)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1`, consultation))
	sc.Cancel(sc.Person, consultation).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())

	sc.Cancel(sc.Person, sc.MustBook(sc.OutOfSchedule("2019-08-21"))).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())
	sc.RequireInvariants()
}

// Promise: a repeated cancel gets the same response and changes nothing, also after the referral
// and the cell were booked again.
func TestCancelAgain(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first := sc.MustBook()
	sc.Cancel(sc.Person, first, harness.Fields{"ReasonCode": 1}).RequireCancelled(t)
	// As if it was cancelled before a visit that has begun since.
	sc.Exec(`UPDATE appointment SET cancelled_at = $1, updated_at = $1, start_at = $1, end_at = $1`, harness.Moment.Add(-time.Hour))
	sc.MustBook()
	before := sc.Snapshot()
	sc.Cancel(sc.Person, first, harness.Fields{"ReasonCode": 6, "Reason": "другая"}).RequireCancelled(t)
	sc.Cancel(sc.Person, first).RequireCancelled(t)
	require.Equal(t, before, sc.Snapshot())
	sc.RequireInvariants()
}

// Promise: a cancel of another person's appointment gets the same response as one of an appointment
// that does not exist. Nothing changes.
func TestCancelByAnotherPerson(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	booked := sc.MustBook()
	before := sc.Snapshot()
	person := uuid.New()
	foreign := sc.Cancel(person, booked)
	absent := sc.Cancel(person, uuid.New())
	for _, a := range []harness.Answer{
		foreign, absent, sc.Cancel(sc.Person, uuid.New()), sc.Cancel(sc.Person, uuid.Nil),
		sc.Cancel(sc.Person, sc.Direction),
	} {
		require.Equal(t, 404, a.StatusCode, "%s", a.Raw)
		a.RequireRefusal(t, "appointment_absent")
	}
	foreign.Refusal.RequestID, absent.Refusal.RequestID = uuid.Nil, uuid.Nil
	require.Equal(t, absent.Refusal, foreign.Refusal)
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()
}

// Promise: a cancel without a valid token changes nothing.
func TestCancelNeedsAToken(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	path := "/appointments/" + sc.MustBook().String()
	before := sc.Snapshot()
	sc.Do(sc.NewRequest(http.MethodDelete, path, nil)).RequireRefusal(t, "token_missing")
	request := sc.NewRequest(http.MethodDelete, path, nil)
	request.Header.Set("Authorization", "Bearer x")
	sc.Do(request).RequireRefusal(t, "token_invalid")
	require.Equal(t, before, sc.Snapshot())
}

// Promise: the reason code is stored as given. The text of the reason is stored for code 6 only.
func TestCancelKeepsTheReason(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	long := strings.Repeat("ж", 1000)
	for name, c := range map[string]struct {
		body []any
		kept string
	}{
		"no body":               {nil, "- -"},
		"empty":                 {[]any{harness.Fields{}}, "- -"},
		"null":                  {[]any{harness.Fields{"ReasonCode": nil, "Reason": nil}}, "- -"},
		"text alone":            {[]any{harness.Fields{"Reason": "просто так"}}, "- -"},
		"a code":                {[]any{harness.Fields{"ReasonCode": 1}}, "1 -"},
		"the lowest code":       {[]any{harness.Fields{"ReasonCode": 0}}, "0 -"},
		"the highest code":      {[]any{harness.Fields{"ReasonCode": 99}}, "99 -"},
		"text for another code": {[]any{harness.Fields{"ReasonCode": 1, "Reason": "просто так"}}, "1 -"},
		"text for code 6":       {[]any{harness.Fields{"ReasonCode": 6, "Reason": "просто «так»"}}, "6 просто «так»"},
		"long text for code 6":  {[]any{harness.Fields{"ReasonCode": 6, "Reason": long}}, "6 " + long},
		"text with spaces":      {[]any{harness.Fields{"ReasonCode": 6, "Reason": " так "}}, "6  так "},
	} {
		t.Run(name, func(t *testing.T) {
			booked := sc.MustBook()
			sc.Cancel(sc.Person, booked, c.body...).RequireCancelled(t)
			var kept string
			require.NoError(t, sc.DB.QueryRow(t.Context(), `SELECT coalesce(cancel_reason_code::text, '-') || ' ' || coalesce(cancel_reason, '-')
				FROM appointment WHERE guid = $1`, booked).Scan(&kept))
			require.Equal(t, c.kept, kept)
		})
	}
}

// Promise: an empty body counts as none, whatever its framing and its media type. A body that is
// not empty is also read in chunks.
func TestCancelBodyFraming(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	send := func(mediaType, body string) (harness.Answer, uuid.UUID) {
		booked := sc.MustBook()
		request := sc.NewRequest(http.MethodDelete, "/appointments/"+booked.String(),
			io.NopCloser(strings.NewReader(body)))
		request.TransferEncoding = []string{"chunked"} // even if it is empty
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		if mediaType != "" {
			request.Header.Set("Content-Type", mediaType)
		}
		a := sc.Do(request)
		if a.StatusCode != http.StatusOK {
			sc.Cancel(sc.Person, booked).RequireCancelled(t)
		}
		return a, booked
	}
	for _, mediaType := range []string{"", "application/json", "text/plain"} {
		a, booked := send(mediaType, "")
		a.RequireCancelled(t)
		require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancelled_at IS NOT NULL AND cancel_reason_code IS NULL`, booked))
	}
	a, booked := send("application/json", `{"ReasonCode":6,"Reason":"`+strings.Repeat("ж", 1000)+`"}`)
	a.RequireCancelled(t)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancel_reason_code = 6 AND length(cancel_reason) = 1000`, booked))

	for mediaType, rule := range map[string]string{
		"": "media_type_unsupported", "text/plain": "media_type_unsupported", "application/json": "body_malformed",
	} {
		a, _ := send(mediaType, " ")
		a.RequireRefusal(t, rule)
	}
	a, _ = send("application/json", `{"Reason":"`+strings.Repeat("x", 64<<10)+`"}`)
	a.RequireRefusal(t, "body_too_large")

	// A booking requires a body.
	request := sc.NewRequest(http.MethodPost, "/appointments", io.NopCloser(strings.NewReader("")))
	request.TransferEncoding = []string{"chunked"}
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	sc.Do(request).RequireRefusal(t, "media_type_unsupported")
}

// Promise: a cancel that breaks the contract is rejected with a message that names the field.
// Nothing changes.
func TestBadCancels(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	booked := sc.MustBook().String()
	before := sc.Snapshot()
	const notAGuid = "Поле appointmentGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	for name, bad := range map[string]struct{ guid, mediaType, body, rule, message string }{
		"no guid":                {"x", "", "", "field_invalid", notAGuid},
		"a guid in braces":       {"{" + booked + "}", "", "", "field_invalid", notAGuid},
		"a guid without dashes":  {strings.ReplaceAll(booked, "-", ""), "", "", "field_invalid", notAGuid},
		"36 other characters":    {strings.Repeat("я", 36), "", "", "field_invalid", notAGuid},
		"bad guid and bad field": {"x", "application/json", `{"ReasonCode":-1}`, "field_invalid", notAGuid},
		"blank":                  {booked, "application/json", " ", "body_malformed", "Тело запроса должно быть корректным объектом JSON: тело запроса пустое"},
		"an array":               {booked, "application/json", "[]", "body_malformed", "Тело запроса должно быть корректным объектом JSON: ожидается объект"},
		"broken":                 {booked, "application/json", "{", "body_malformed", ""},
		"a key twice":            {booked, "application/json", `{"Reason":"a","Reason":"b"}`, "body_malformed", ""},
		"an unknown key": {
			booked, "application/json", `{"reasonCode":1}`, "field_invalid", "Поле reasonCode: неизвестное поле",
		},
		"a code below the minimum": {booked, "application/json", `{"ReasonCode":-1}`, "field_invalid", "Поле ReasonCode: значение должно быть не меньше 0"},
		"a code above the maximum": {booked, "application/json", `{"ReasonCode":100}`, "field_invalid", "Поле ReasonCode: значение должно быть не больше 99"},
		"a code as a string":       {booked, "application/json", `{"ReasonCode":"6"}`, "field_invalid", "Поле ReasonCode: ожидается целое число"},
		"a fraction":               {booked, "application/json", `{"ReasonCode":6.5}`, "field_invalid", "Поле ReasonCode: ожидается целое число"},
		"text of another type": {
			booked, "application/json", `{"ReasonCode":6,"Reason":6}`, "field_invalid", "Поле Reason: ожидается строка",
		},
		"too long text": {
			booked, "application/json", `{"Reason":"` + strings.Repeat("ж", 1001) + `"}`, "field_invalid", "Поле Reason: длина должна быть не больше 1000 символов",
		},
		"NUL":                   {booked, "application/json", `{"ReasonCode":6,"Reason":"a\u0000"}`, "field_invalid", "Поле Reason: недопустимые символы"},
		"no text for code 6":    {booked, "application/json", `{"ReasonCode":6}`, "field_invalid", "Поле Reason: обязательное поле не указано"},
		"null text for code 6":  {booked, "application/json", `{"ReasonCode":6,"Reason":null}`, "field_invalid", "Поле Reason: обязательное поле не указано"},
		"blank text for code 6": {booked, "application/json", `{"ReasonCode":6,"Reason":" \t"}`, "field_invalid", "Поле Reason: обязательное поле не указано"},
		"no media type":         {booked, "", `{"ReasonCode":1}`, "media_type_unsupported", ""},
		"a form": {
			booked, "application/x-www-form-urlencoded", "ReasonCode=1", "media_type_unsupported", "",
		},
		"too large": {
			booked, "application/json", `{"Reason":"` + strings.Repeat("x", 64<<10) + `"}`, "body_too_large", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			request := sc.NewRequest(http.MethodDelete, "/appointments/"+bad.guid, strings.NewReader(bad.body))
			request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
			if bad.mediaType != "" {
				request.Header.Set("Content-Type", bad.mediaType)
			}
			a := sc.Do(request)
			a.RequireRefusal(t, bad.rule)
			if bad.message != "" {
				require.Equal(t, bad.message, a.Refusal.Message)
			}
		})
	}
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()

	// Without a body the media type is not checked. A guid is accepted in upper case.
	request := sc.NewRequest(http.MethodDelete, "/appointments/"+strings.ToUpper(booked), nil)
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	request.Header.Set("Content-Type", "text/plain")
	sc.Do(request).RequireCancelled(t)
}

// Promise: an appointment can be cancelled until its visit begins. After that it can be cancelled
// where the setting DeleteOldTime allows it. The institution's setting overrides the region's.
func TestCancelUntilTheVisitBegins(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	visit := func(begins, ends time.Time) uuid.UUID {
		sc.Exec(`UPDATE direction SET appointment_guid = NULL`)
		sc.Exec(`DELETE FROM speciality_claim`)
		sc.Exec(`UPDATE slot SET taken = 0`)
		sc.Exec(`UPDATE appointment SET cancelled_at = $1 WHERE cancelled_at IS NULL`, harness.Moment)
		booked := sc.MustBook()
		sc.Exec(`UPDATE appointment SET start_at = $2, end_at = $3 WHERE guid = $1`, booked, begins, ends)
		return booked
	}
	sc.Cancel(sc.Person, visit(harness.Moment, harness.Moment.Add(time.Hour))).RequireCancelled(t)
	begun := visit(harness.Moment.Add(-time.Second), harness.Moment.Add(time.Hour))
	before := sc.Snapshot()
	sc.Cancel(sc.Person, begun).RequireRefusal(t, "appointment_started")
	require.Equal(t, before, sc.Snapshot())

	set := func(owner uuid.UUID, value string) {
		sc.Exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', $2) ON CONFLICT (owner_guid, code) DO UPDATE SET value = excluded.value`, owner, value)
	}
	set(sc.From, "true") // of another institution than the visit's
	sc.Cancel(sc.Person, begun).RequireRefusal(t, "appointment_started")
	set(uuid.Nil, "true")
	set(sc.To, "false")
	sc.Cancel(sc.Person, begun).RequireRefusal(t, "appointment_started")
	set(sc.To, "true")
	set(uuid.Nil, "false")
	sc.Cancel(sc.Person, begun).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())
	sc.Exec(`DELETE FROM setting WHERE owner_guid = $1`, sc.To)
	ended := visit(harness.Moment.Add(-2*time.Hour), harness.Moment.Add(-time.Hour))
	sc.Cancel(sc.Person, ended).RequireRefusal(t, "appointment_started")
	set(uuid.Nil, "true")
	sc.Cancel(sc.Person, ended).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())
}

// Promise: a visit on a bare day can be cancelled until that day is over in the institution's zone.
// A visit at a moment can be cancelled until that moment.
func TestCancelOutOfSchedule(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	today := sc.MustBook(sc.OutOfSchedule("2019-08-20")) // it started at midnight
	sc.Cancel(sc.Person, today).RequireCancelled(t)
	for _, c := range []struct {
		ends    time.Duration
		refused bool
	}{{time.Second, false}, {0, true}} {
		booked := sc.MustBook(sc.OutOfSchedule("2019-08-20"))
		sc.Exec(`UPDATE appointment SET start_at = $2::timestamptz - interval '1 day', end_at = $2 WHERE guid = $1`, booked, harness.Moment.Add(c.ends))
		a := sc.Cancel(sc.Person, booked)
		if c.refused {
			a.RequireRefusal(t, "appointment_started")
			sc.Exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.To)
			a = sc.Cancel(sc.Person, booked)
			sc.Exec(`DELETE FROM setting`)
		}
		a.RequireCancelled(t)
	}
	now := sc.MustBook(sc.OutOfSchedule(harness.Moment.Format(time.RFC3339)))
	sc.Cancel(sc.Person, now).RequireCancelled(t)
	passed := sc.MustBook(sc.OutOfSchedule(harness.Moment.Format(time.RFC3339)))
	sc.Exec(`UPDATE appointment SET start_at = $2, end_at = $2 WHERE guid = $1`, passed, harness.Moment.Add(-time.Second))
	sc.Cancel(sc.Person, passed).RequireRefusal(t, "appointment_started")
}

// Promise: after a cancel the claim passes to the consultation that ends last. Consultations booked
// while the setting was off count when it is turned on.
func TestCancelPassesTheClaimOn(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')`, uuid.Nil)
	var booked []uuid.UUID
	for i := range 3 {
		another := uuid.New()
		sc.AddDirection(another, "Consult")
		// In the second, the third and the first cell.
		slot := harness.FirstSlotID + (i+1)%3
		booked = append(booked, sc.MustBook(harness.Fields{"DirectionGuid": another, "SlotId": slot}))
	}
	holder := func() (guid uuid.UUID) {
		require.NoError(t, sc.DB.QueryRow(t.Context(), `SELECT appointment_guid FROM speciality_claim`).Scan(&guid))
		return guid
	}
	require.Equal(t, booked[1], holder())
	sc.Cancel(sc.Person, booked[2]).RequireCancelled(t)
	require.Equal(t, booked[1], holder())
	sc.Cancel(sc.Person, booked[1]).RequireCancelled(t)
	require.Equal(t, booked[0], holder())
	sc.RequireInvariants()

	sc.Exec(`UPDATE setting SET value = 'true'`)
	a := sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 3})
	a.RequireRefusal(t, "speciality_already_booked")
	require.Contains(t, a.Refusal.Message, "Вы уже записаны Врач Терапевт на 21.08.2019 09:00.")
	sc.Cancel(sc.Person, booked[0]).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())
	sc.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 3})
}

// Promise: a cancel that fails changes nothing.
func TestCancelIsAllOrNothing(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	booked := sc.MustBook()
	before := sc.Snapshot()
	sc.AddTrigger(`TRIGGER fault BEFORE UPDATE ON slot`, `RAISE 'no';`)
	sc.Cancel(sc.Person, booked).RequireRefusal(t, "internal_error")
	require.Equal(t, before, sc.Snapshot())
	sc.Exec(`DROP TRIGGER fault ON slot`)
	sc.Cancel(sc.Person, booked).RequireCancelled(t)
}

// Promises: concurrent cancels of one appointment all get a 200 response and release its cells
// once. Of the bookings that race with a cancel, at most as many succeed as it releases places for.
// The others are rejected as documented. Nothing deadlocks, and the tables satisfy the invariants.
func TestCancelRaces(t *testing.T) {
	t.Parallel()
	runRaces(t, map[string]race{
		"cancels of one appointment": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				booked := sc.MustBook(harness.Fields{"Difficulty": 3})
				return repeated(func(int) harness.Answer { return sc.Cancel(sc.Person, booked) })
			},
			nil,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, harness.Contenders, succeeded)
				require.Zero(t, sc.Count(`SELECT sum(taken) FROM slot WHERE lpu_guid = $1`, sc.To))
			},
		},
		"a cancel and bookings of its cell": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				booked := sc.MustBook()
				attempts := sc.ContenderBookings(harness.Fields{})
				attempts[harness.Contenders/2] = func() harness.Answer { return sc.Cancel(sc.Person, booked) }
				return attempts
			},
			[]string{"slot_full", "slot_taken"},
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, succeeded-1, sc.Count(`SELECT taken FROM slot WHERE guid = $1`, sc.Slots[0]), "the cancel and at most one booking succeed")
			},
		},
		"cancels and bookings of one referral": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.AddSlots(harness.Contenders / 2)
				booked := sc.MustBook()
				return repeated(func(i int) harness.Answer {
					if i%2 == 0 {
						return sc.Cancel(sc.Person, booked)
					}
					return sc.TryBook(harness.Fields{"SlotId": i/2 + 1})
				})
			},
			[]string{"direction_already_booked"},
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				active := sc.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND cancelled_at IS NULL`, sc.To)
				require.Equal(t, harness.Contenders/2+active, succeeded)
				require.LessOrEqual(t, active, 1)
			},
		},
		"overlapping complex slots, each cancelled after its booking": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				var attempts []func() harness.Answer
				persons, directions := sc.AddPatients(harness.Contenders)
				for i, person := range persons {
					direction := directions[i]
					attempts = append(attempts, func() harness.Answer {
						a := sc.Book(person, sc.BookingBody(harness.Fields{
							"DirectionGuid": direction, "SlotId": harness.FirstSlotID + i%3, "Difficulty": 2,
						}))
						if a.StatusCode == 200 {
							a = sc.Cancel(person, harness.AppointmentOf(a).GUID)
							require.Equal(sc.T, 200, a.StatusCode, "%s", a.Raw)
						}
						return a
					})
				}
				return attempts
			},
			[]string{"slot_full", "slot_taken", "complex_slot_failed"},
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Positive(t, succeeded)
				require.Zero(t, sc.CountTaken())
			},
		},
		"visits of one patient and speciality while the setting is off": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false') ON CONFLICT DO NOTHING`, uuid.Nil)
				sc.AddSlots(harness.Contenders)
				booked := make([]uuid.UUID, harness.Contenders)
				for i := range booked {
					another := uuid.New()
					sc.AddDirection(another, "Consult")
					booked[i] = sc.MustBook(harness.Fields{"DirectionGuid": another, "SlotId": i + 1})
				}
				return repeated(func(i int) harness.Answer { // cancels all but the first
					return sc.Cancel(sc.Person, booked[max(i, 1)])
				})
			},
			nil,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, harness.Contenders, succeeded)
				require.Equal(t, 1, sc.Count(`SELECT count(*) FROM speciality_claim c JOIN appointment a ON a.guid = c.appointment_guid
					WHERE a.cancelled_at IS NULL AND c.person_guid = $1`, sc.Person))
			},
		},
	})
}
