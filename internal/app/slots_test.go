package app_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/gen/api"
	"talon.example/internal/auth"
)

// slotAnswer is a page of cells, or a refusal.
type slotAnswer struct {
	answer

	page api.SlotPage
}

// search asks for the cells of the scene's referral as a person. The query is name=value, separated by spaces.
func (sc *scene) search(person uuid.UUID, query string) slotAnswer {
	sc.t.Helper()
	return sc.slotsOf(sc.direction, "Bearer "+sc.token(person), query)
}

func (s *service) slotsOf(direction uuid.UUID, authorization, query string) slotAnswer {
	s.t.Helper()
	var pairs []string
	for pair := range strings.FieldsSeq(query) {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, name+"="+url.QueryEscape(value))
	}
	request := s.request(http.MethodGet, "/directions/"+direction.String()+"/slots?"+strings.Join(pairs, "&"), nil)
	request.Header.Set("Authorization", authorization)
	a := slotAnswer{answer: s.do(request)}
	if a.StatusCode == http.StatusOK {
		require.NoError(s.t, json.Unmarshal([]byte(a.raw), &a.page))
	}
	return a
}

// ids are those of the page's cells.
func (a slotAnswer) ids(t testing.TB) []int {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	ids := []int{}
	for _, item := range a.page.Items {
		ids = append(ids, int(item.ID))
	}
	return ids
}

// told are the page's cells in a few words each.
func (a slotAnswer) told(t testing.TB) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	told := []string{}
	for _, item := range a.page.Items {
		words := fmt.Sprintf("%d %s", item.ID, item.Status)
		if item.Rule != nil {
			words += " " + string(*item.Rule)
		}
		told = append(told, words)
	}
	return told
}

// Promise: the answer is what the contract shows, and holds all that booking needs.
func TestSlots(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	examples := contractDoc().Paths.Value("/directions/{directionGuid}/slots").Get.Responses.Value("200").Value.Content.Get("application/json").Examples
	shown := func(name string, a slotAnswer) {
		t.Helper()
		encoded, err := json.Marshal(examples[name].Value.Value)
		require.NoError(t, err)
		var want api.SlotPage
		require.NoError(t, json.Unmarshal(encoded, &want))
		for i := range a.page.Items {
			want.Items[i].GUID = a.page.Items[i].GUID
		}
		got, err := json.Marshal(a.page)
		require.NoError(t, err)
		wanted, err := json.Marshal(want)
		require.NoError(t, err)
		require.Equal(t, string(wanted), string(got))
	}
	all := sc.search(sc.person, "")
	require.Equal(t, []int{14527455, 14527456, 14527457, 14527458}, all.ids(t))
	sc.exec(`DELETE FROM slot WHERE id <> $1`, firstSlotID)
	free := sc.search(sc.person, "")
	shown("free_slots", free)

	item := free.page.Items[0]
	body := fields{
		"DirectionGuid": free.page.DirectionGUID, "DirectionType": free.page.DirectionType, "LpuFromGuid": free.page.HolderLpuGUID, "LpuToGuid": item.Lpu.GUID,
		"SlotId": item.ID,
	}
	require.Equal(t, 200, sc.book(sc.person, body).StatusCode)
	shown("blocked_slots", sc.search(sc.person, ""))

	other := sc.another()
	sc.exec(`UPDATE slot SET taken = capacity WHERE lpu_guid = $1`, other.to)
	sc.exec(`UPDATE slot SET start_at = start_at + interval '14 days', end_at = end_at + interval '14 days', taken = 0 WHERE lpu_guid = $1 AND id = $2`,
		other.to, firstSlotID+3)
	require.Empty(t, other.search(other.person, "").ids(t))
	require.Equal(t, "2019-09-04T09:30:00+03:00", other.search(other.person, "").page.NextAvailable.Format(time.RFC3339))
	require.Equal(t, []string{"14527455 Booked slot_full", "14527456 Booked slot_full", "14527457 Booked slot_full"}, other.search(other.person, "explain=true").told(t))
}

// Promise: another person's referral, a copy and what does not exist are answered alike.
func TestSlotsOfOthers(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	stranger, theirs := sc.patient()
	sc.search(stranger, "").requireRefusal(t, "direction_absent")
	sc.search(uuid.New(), "").requireRefusal(t, "direction_absent")
	sc.slotsOf(theirs, "Bearer "+sc.token(sc.person), "").requireRefusal(t, "direction_absent")
	sc.slotsOf(uuid.New(), "Bearer "+sc.token(sc.person), "").requireRefusal(t, "direction_absent")
	sc.slotsOf(uuid.Nil, "Bearer "+sc.token(sc.person), "").requireRefusal(t, "direction_absent")
	require.Len(t, sc.slotsOf(theirs, "Bearer "+sc.token(stranger), "").ids(t), 4)
	sc.slotsOf(sc.direction, "Bearer x", "limit=0").requireRefusal(t, "token_invalid")

	sc.exec(`INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT $1, $2, lpu_guid, type, number, date, date_end, created_at, $3, lpu_from_guid FROM direction WHERE guid = $4`,
		sc.to, uuid.MustParse("c0000000-0000-4000-8000-000000000001"), sc.mkabTo, sc.direction)
	sc.slotsOf(uuid.MustParse("c0000000-0000-4000-8000-000000000001"), "Bearer "+sc.token(sc.person), "").requireRefusal(t, "direction_absent")
	sc.requireDiscreetLog()
}

// Promise: each bad parameter is named with what is wrong with it.
func TestBadSlotParameters(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	const aGuid, aDate = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef", "ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)"
	const aCursor = "ожидается значение next предыдущей страницы"
	for query, message := range map[string]string{
		"limit=0":                              "Поле limit: значение должно быть не меньше 1",
		"limit=101":                            "Поле limit: значение должно быть не больше 100",
		"limit=":                               "Поле limit: значение не указано",
		"limit=x":                              "Поле limit: ожидается целое число",
		"limit=1.0":                            "Поле limit: ожидается целое число",
		"limit=1 limit=2":                      "Поле limit: значение указано больше одного раза",
		"limit=99999999999":                    "Поле limit: ожидается целое число от 1 до 100",
		"difficulty=0":                         "Поле difficulty: значение должно быть не меньше 1",
		"difficulty=17":                        "Поле difficulty: значение должно быть не больше 16",
		"explain=maybe":                        "Поле explain: ожидается true или false",
		"explain=1":                            "Поле explain: ожидается true или false",
		"explain=t":                            "Поле explain: ожидается true или false",
		"explain=TRUE":                         "Поле explain: ожидается true или false",
		"explain=False":                        "Поле explain: ожидается true или false",
		"explain=":                             "Поле explain: значение не указано",
		"lpuGuid=x":                            "Поле lpuGuid: " + aGuid,
		"lpuGuid=" + uuid.NewString():          "Поле lpuGuid: ЛПУ не найдено",
		"lpuGuid=" + uuid.Nil.String():         "Поле lpuGuid: ЛПУ не найдено",
		"resourceGuid=x":                       "Поле resourceGuid: " + aGuid,
		"appointmentGuid=":                     "Поле appointmentGuid: значение не указано",
		"appointmentGuid=x":                    "Поле appointmentGuid: " + aGuid,
		"appointmentGuid={" + uuid.NewString(): "Поле appointmentGuid: " + aGuid,
		"appointmentGuid=" + uuid.NewString() + " appointmentGuid=" + uuid.NewString(): "Поле appointmentGuid: значение указано больше одного раза",
		"dateFrom=":                             "Поле dateFrom: значение не указано",
		"dateFrom=завтра":                       "Поле dateFrom: " + aDate,
		"dateFrom=2019-02-30":                   "Поле dateFrom: " + aDate,
		"dateFrom=9999-12-31":                   "Поле dateFrom: дата должна быть не позже чем через 366 дней",
		"dateTo=2019-08-21T25:00:00":            "Поле dateTo: " + aDate,
		"dateTo=2019-08-19":                     "Поле dateTo: конец периода должен быть позже его начала",
		"dateTo=2019-08-20T17:52:14":            "Поле dateTo: конец периода должен быть позже его начала",
		"dateTo=2019-09-04":                     "Поле dateTo: период должен быть не больше 14 дней",
		"dateFrom=0000-01-01 dateTo=2019-08-21": "Поле dateTo: период должен быть не больше 14 дней",
		"dateFrom=2019-08-21 dateTo=2019-09-04": "Поле dateTo: период должен быть не больше 14 дней",
		"dateFrom=2019-08-22 dateTo=2019-08-21": "Поле dateTo: конец периода должен быть позже его начала",
		"cursor=x":                              "Поле cursor: " + aCursor,
		"cursor=e30":                            "Поле cursor: " + aCursor,
		"cursor=bnVsbA":                         "Поле cursor: " + aCursor,
		"cursor=" + strings.Repeat("A", 201):    "Поле cursor: длина должна быть не больше 200 символов",
	} {
		a := sc.search(sc.person, query)
		a.requireRefusal(t, "field_invalid")
		require.Equal(t, message, a.error.Message, query)
		require.Equal(t, 400, a.StatusCode)
	}
	request := sc.service.request(http.MethodGet, "/directions/x/slots", nil)
	request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
	a := sc.do(request)
	a.requireRefusal(t, "field_invalid")
	require.Equal(t, "Поле directionGuid: "+aGuid, a.error.Message)

	for _, query := range []string{
		"unknown=1 unknown=2", "limit=1", "limit=100", "difficulty=16", "explain=false", "resourceGuid=" + uuid.NewString(), "dateTo=2019-09-03T17:52:14",
		"dateFrom=2019-08-21 dateTo=2019-09-03", "dateFrom=0000-01-01", "dateFrom=2019-08-20T17:52:14+03:00 dateTo=2019-09-03T17:52:14+03:00",
	} {
		require.Equal(t, 200, sc.search(sc.person, query).StatusCode, query)
	}
}

// Promise: a cursor that somebody made up is refused or leads on within the period; it is never a failure.
func TestSlotCursorsMadeUp(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	next := *sc.search(sc.person, "limit=1").page.Next
	require.LessOrEqual(t, len(next), 200)
	for i := range next {
		for _, letter := range "A9_" {
			a := sc.search(sc.person, "cursor="+next[:i]+string(letter)+next[i+1:])
			if a.StatusCode != 200 {
				a.requireRefusal(t, "field_invalid")
			}
		}
	}
}

// Promise: the pages together are the whole list, each cell once, also while cells are added, taken and given back; and in the order of time.
func TestSlotPages(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`DELETE FROM slot`)
	nearby := sc.institution(sc.to, "Asia/Kamchatka")
	for i := range 30 {
		sc.addSlot(sc.doctor, 100+i, moment.Add(time.Duration(1+i/3)*time.Hour), 1)
		sc.addSlotIn(nearby, 100+i, moment.Add(time.Duration(1+i/2)*time.Hour))
	}
	whole := sc.search(sc.person, "limit=100").page.Items
	require.Len(t, whole, 60)
	for limit := range 7 {
		var got []api.Slot
		query := fmt.Sprintf("limit=%d", limit+1)
		for cursor := ""; ; {
			a := sc.search(sc.person, query+cursor)
			require.Equal(t, 200, a.StatusCode, "%s", a.raw)
			require.LessOrEqual(t, len(a.page.Items), limit+1)
			got = append(got, a.page.Items...)
			if a.page.Next == nil {
				break
			}
			cursor = " cursor=" + *a.page.Next
			// Behind the page, where it is not seen any more; and taken, where it has been seen.
			sc.addSlot(sc.doctor, 1000*(limit+1)+len(got), moment.Add(time.Minute), 1)
			sc.exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, got[0].GUID)
		}
		require.Equal(t, whole, got)
		sc.exec(`UPDATE slot SET taken = 0`)
		sc.exec(`DELETE FROM slot WHERE id >= 1000`)
	}
	require.True(t, slices.IsSortedFunc(whole, func(a, b api.Slot) int { return a.Start.Compare(b.Start) }))
}

// institution adds one of the same legal entity, where the scene's patient has a card, with a doctor of the same guid.
func (sc *scene) institution(like uuid.UUID, zone string) uuid.UUID {
	sc.t.Helper()
	guid := uuid.New()
	sc.exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, gen_random_uuid(), 'Соседняя', $3 FROM lpu WHERE guid = $2`, guid, like, zone)
	sc.addMkab(guid, uuid.New(), sc.person)
	sc.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач Терапевт', '92')`, guid, sc.doctor)
	return guid
}

func (sc *scene) addSlotIn(lpu uuid.UUID, id int, start time.Time) {
	sc.t.Helper()
	sc.exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type) VALUES ($1, gen_random_uuid(), $2, $3, $4, $5, 127, 1)`,
		lpu, id, sc.doctor, start, start.Add(15*time.Minute))
}

// Promise: a day is the institution's own and dateTo includes it; a moment as dateTo is not included; what comes later is told by nextAvailable.
func TestSlotPeriods(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	far := sc.institution(sc.to, "Asia/Kamchatka") // nine hours ahead
	for i, start := range []time.Time{
		time.Date(2019, 8, 21, 0, 0, 0, 0, mustZone("Asia/Kamchatka")), time.Date(2019, 8, 21, 23, 45, 0, 0, mustZone("Asia/Kamchatka")),
		time.Date(2019, 8, 22, 0, 0, 0, 0, mustZone("Asia/Kamchatka")),
	} {
		sc.addSlotIn(far, 1+i, start)
	}
	sc.addSlot(sc.doctor, 9, time.Date(2019, 8, 22, 0, 0, 0, 0, moment.Location()), 1)
	a := sc.search(sc.person, "dateFrom=2019-08-21 dateTo=2019-08-21")
	require.Equal(t, []int{14527455, 14527456, 14527457, 14527458, 2}, a.ids(t), "cell 1 has begun, at 15:00 in Moscow")
	require.Equal(t, "2019-08-21T23:45:00+12:00", a.page.Items[4].Start.Format(time.RFC3339))
	require.Equal(t, "Asia/Kamchatka", a.page.Items[4].Lpu.TimeZone)
	require.Equal(t, []int{14527456, 14527457}, sc.search(sc.person, "dateFrom=2019-08-21T09:00:00+03:00 dateTo=2019-08-21T06:30:00Z lpuGuid="+sc.to.String()).ids(t))
	require.Equal(t, []int{14527456, 14527457}, sc.search(sc.person, "dateFrom=2019-08-21T09:00 dateTo=2019-08-21T09:30 lpuGuid="+sc.to.String()).ids(t))
	require.Equal(t, []int{2}, sc.search(sc.person, "dateFrom=2019-08-21 dateTo=2019-08-21 lpuGuid="+far.String()).ids(t))

	a = sc.search(sc.person, "dateFrom=2019-08-23")
	require.Empty(t, a.ids(t))
	require.Nil(t, a.page.NextAvailable)
	a = sc.search(sc.person, "dateTo=2019-08-20T20:00")
	require.Empty(t, a.ids(t))
	require.Equal(t, "2019-08-21T08:45:00+03:00", a.page.NextAvailable.Format(time.RFC3339))
	require.Equal(t, []string{"1 Expired slot_time_passed"}, sc.search(sc.person, "explain=true dateFrom=2019-08-20 dateTo=2019-08-21T01:00 lpuGuid="+far.String()).told(t)[:1])

	sc.exec(`DELETE FROM slot`)
	sc.addSlot(sc.doctor, 1, moment.AddDate(0, 0, 14+90).Add(-time.Second), 1)
	sc.addSlot(sc.doctor, 2, moment.AddDate(0, 0, 14+90), 1)
	require.NotNil(t, sc.search(sc.person, "").page.NextAvailable)
	sc.exec(`DELETE FROM slot WHERE id = 1`)
	require.Nil(t, sc.search(sc.person, "").page.NextAvailable)
}

// Promise: the institutions are those that booking lets serve the referral.
func TestSlotTargets(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	neighbour := sc.institution(sc.to, "Europe/Moscow")
	sc.addSlotIn(neighbour, 1, moment.Add(time.Hour))
	stranger := sc.another()
	sc.addMkab(stranger.to, uuid.New(), sc.person)

	require.Equal(t, []int{1, 14527455, 14527456, 14527457, 14527458}, sc.search(sc.person, "").ids(t))
	require.Equal(t, []int{1}, sc.search(sc.person, "lpuGuid="+neighbour.String()).ids(t))
	require.Len(t, sc.search(sc.person, "lpuGuid="+strings.ToUpper(sc.to.String())).ids(t), 4)
	a := sc.search(sc.person, "lpuGuid="+stranger.to.String())
	a.requireRefusal(t, "field_invalid")
	require.Equal(t, "Поле lpuGuid: ЛПУ не принадлежит юр лицу, в которое выдано направление", a.error.Message)

	// One of them has closed its doors to the patient, the other has not.
	sc.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, sc.to)
	a = sc.search(sc.person, "")
	require.Equal(t, []int{1}, a.ids(t))
	require.Nil(t, a.page.BlockedBy)
	require.Equal(t, []string{"1 Available", "14527455 Unavailable mkab_closed"}, sc.search(sc.person, "explain=true limit=2").told(t))
	sc.exec(`DELETE FROM mkab WHERE lpu_guid = $1`, neighbour)
	a = sc.search(sc.person, "")
	require.Empty(t, a.ids(t))
	require.EqualValues(t, "mkab_closed", a.page.BlockedBy.Rule, "the one that the referral names comes first")
	require.EqualValues(t, "mkab_absent", sc.search(sc.person, "lpuGuid="+neighbour.String()).page.BlockedBy.Rule)

	// A card that booking would make counts as made, unless the institution cannot make any.
	sc.exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true')`, neighbour)
	require.EqualValues(t, "mkab_lpu_not_found", sc.search(sc.person, "lpuGuid="+neighbour.String()).page.BlockedBy.Rule)
	sc.exec(`INSERT INTO setting SELECT guid, 'PolyclinicCode', code FROM lpu WHERE guid = $1`, neighbour)
	require.Equal(t, []int{1}, sc.search(sc.person, "").ids(t))

	// To wherever.
	sc.exec(`UPDATE direction SET lpu_to_guid = NULL WHERE guid = $1`, sc.direction)
	a = sc.search(sc.person, "")
	a.requireRefusal(t, "field_invalid")
	require.Equal(t, "Поле lpuGuid: обязательно указание ЛПУ: в направлении оно не указано", a.error.Message)
	require.Len(t, sc.search(sc.person, "lpuGuid="+stranger.to.String()).ids(t), 4)

	// Withdrawn.
	sc.exec(`UPDATE direction SET cancelled_at = $1`, moment)
	require.EqualValues(t, "direction_not_found", sc.search(sc.person, "lpuGuid="+stranger.to.String()).page.BlockedBy.Rule)

	sc.exec(`UPDATE direction SET lpu_to_guid = $1, cancelled_at = NULL WHERE guid = $2`, sc.to, sc.direction)
	sc.exec(`INSERT INTO lpu SELECT gen_random_uuid(), legal_entity_guid, 'one of many ' || n, 'Филиал', time_zone FROM lpu, generate_series(1, 47) n WHERE guid = $1`, sc.to)
	require.Equal(t, 200, sc.search(sc.person, "").StatusCode)
	sc.exec(`INSERT INTO lpu SELECT gen_random_uuid(), legal_entity_guid, 'too many', 'Филиал', time_zone FROM lpu WHERE guid = $1`, sc.to)
	a = sc.search(sc.person, "")
	a.requireRefusal(t, "field_invalid")
	require.Equal(t, "Поле lpuGuid: обязательно указание ЛПУ: у юр лица их больше 50", a.error.Message)
}

// Promise: what refuses every cell alike is told, also where other institutions have no cell for the referral; these have a say only where none has a cell.
func TestSlotsRefusedAlike(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	blockedBy := func(query string) string {
		t.Helper()
		a := sc.search(sc.person, query)
		require.Empty(t, a.ids(t))
		require.Nil(t, a.page.NextAvailable)
		if a.page.BlockedBy == nil {
			return ""
		}
		return string(a.page.BlockedBy.Rule)
	}
	// Next to the only cells, the source has no resource at all, and the neighbour one with no cell to come.
	neighbour := sc.institution(sc.to, "Europe/Moscow")
	sc.addSlotIn(neighbour, 1, moment.Add(-time.Second))
	sc.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, sc.to)
	require.Equal(t, "mkab_closed", blockedBy(""))
	require.Equal(t, "mkab_closed", blockedBy("dateTo=2019-08-20T18:00"), "whatever the period")
	require.Equal(t, "mkab_closed", blockedBy("resourceGuid="+sc.doctor.String()))
	require.Empty(t, blockedBy("lpuGuid="+sc.from.String()))
	require.Empty(t, blockedBy("resourceGuid="+uuid.NewString()))
	explained := sc.search(sc.person, "explain=true limit=1")
	require.Equal(t, []string{"14527455 Unavailable mkab_closed"}, explained.told(t))
	require.EqualValues(t, "mkab_closed", explained.page.BlockedBy.Rule)

	// What the neighbour has is no cell for the referral, or one that is refused otherwise.
	sc.addSlotIn(neighbour, 2, moment.Add(time.Hour))
	for _, unfit := range []string{"active = false", "kind = 'equipment'", "speciality_code = '27'"} {
		sc.run(fmt.Sprintf(`UPDATE resource SET %s WHERE lpu_guid = '%s'`, unfit, neighbour))
		require.Equal(t, "mkab_closed", blockedBy(""), unfit)
		sc.exec(`UPDATE resource SET active = true, kind = 'doctor', speciality_code = '92' WHERE lpu_guid = $1`, neighbour)
	}
	require.Equal(t, []int{2}, sc.search(sc.person, "").ids(t))
	sc.exec(`UPDATE slot SET taken = 1 WHERE lpu_guid = $1`, neighbour)
	require.Empty(t, blockedBy(""))
	sc.exec(`DELETE FROM mkab WHERE lpu_guid = $1`, neighbour)
	require.Equal(t, "mkab_closed", blockedBy(""), "the institution that the referral names comes first")
	sc.exec(`DELETE FROM slot WHERE lpu_guid = $1`, sc.to)
	require.Equal(t, "mkab_absent", blockedBy(""), "unless it has no cells")

	// Where there is no cell in the world, the referral may still be past booking.
	sc.exec(`DELETE FROM slot`)
	require.Empty(t, blockedBy(""))
	sc.exec(`INSERT INTO setting VALUES ($1, 'DirectionExpires', 'true')`, uuid.Nil)
	sc.exec(`UPDATE direction SET date_end = '2019-08-19'`)
	require.Equal(t, "direction_expired", blockedBy(""))
}

// Promise: of a resource that cannot serve the referral it is told why.
func TestSlotsOfAnUnfitResource(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	for change, rule := range map[string]string{
		"speciality_code = '27'": "speciality_mismatch", "kind = 'equipment'": "resource_kind_mismatch", "active = false": "slot_resource_not_found",
	} {
		sc.run(`UPDATE resource SET ` + change)
		for _, query := range []string{"resourceGuid=" + sc.doctor.String(), "explain=true resourceGuid=" + sc.doctor.String()} {
			a := sc.search(sc.person, query)
			require.Equal(t, 200, a.StatusCode, "%s", a.raw)
			require.NotNil(t, a.page.BlockedBy, rule)
			require.EqualValues(t, rule, a.page.BlockedBy.Rule)
		}
		require.Nil(t, sc.search(sc.person, "").page.BlockedBy, "then there is no cell")
		sc.exec(`UPDATE resource SET active = true, kind = 'doctor', speciality_code = '92'`)
	}
	require.Len(t, sc.search(sc.person, "resourceGuid="+sc.doctor.String()).ids(t), 4)
}

// Promise: with explain each cell is listed with the rule that hides it, and a status.
func TestSlotsExplained(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`DELETE FROM slot`)
	other, equipment, gone := uuid.New(), uuid.New(), uuid.New()
	sc.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач Невролог', '27', true), ($1, $3, 'equipment', 'Аппарат', '92', true), ($1, $4, 'doctor', 'Врач Бывший', '92', false)`,
		sc.to, other, equipment, gone)
	want := []string{}
	for i, cell := range []struct{ change, rule string }{
		{"", "Available"},
		{"taken = capacity", "Booked slot_full"},
		{"blocked = true", "Unavailable slot_unavailable"},
		{"flag_access = 0", "Unavailable slot_unavailable"},
		{"flag_access = 32", "Unauthorized slot_access_denied"},
		{"busy_type = 2", "Unavailable slot_not_for_reception"},
		{"restriction = 'children'", "Unavailable slot_children_only"},
		{"restriction = 'infants'", "Unavailable slot_infants_only"},
		{"restriction = 'disabled'", "Unavailable slot_disabled_only"},
		{"restriction = 'pregnant'", "Unavailable slot_pregnant_only"},
		{"restriction = 'healthy_children'", "Unavailable slot_children_only"},
		{"restriction = 'adults'", "Available"},
		{"resource_guid = '" + gone.String() + "'", "Unavailable slot_resource_not_found"},
		{"resource_guid = '" + equipment.String() + "'", "Unavailable resource_kind_mismatch"},
	} {
		guid := sc.addSlot(sc.doctor, i+1, moment.Add(time.Duration(i+1)*time.Hour), 2)
		if cell.change != "" {
			sc.run(fmt.Sprintf(`UPDATE slot SET %s WHERE guid = '%s'`, cell.change, guid))
		}
		want = append(want, fmt.Sprintf("%d %s", i+1, cell.rule))
	}
	sc.addSlot(other, 100, moment.Add(time.Hour), 1)
	require.Equal(t, want, sc.search(sc.person, "explain=true").told(t))
	require.Equal(t, []int{1, 12}, sc.search(sc.person, "").ids(t))
	require.Equal(t, []string{"100 Unavailable speciality_mismatch"}, sc.search(sc.person, "explain=true resourceGuid="+other.String()).told(t))
	require.Empty(t, sc.search(sc.person, "resourceGuid="+other.String()).ids(t))
	require.Equal(t, []int{1, 12}, sc.search(sc.person, "resourceGuid="+sc.doctor.String()).ids(t))

	sc.exec(`UPDATE direction SET type = 'Laboratory'`)
	a := sc.search(sc.person, "")
	require.EqualValues(t, "Laboratory", a.page.DirectionType)
	require.ElementsMatch(t, []int{1, 100, 12, 14}, a.ids(t), "of all resources")
}

// Promise: of a complex slot only the beginnings are offered that as many cells follow as can be had; it ends with the last, and has as many places left as
// the fullest.
func TestSlotsOfSeveralCells(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE slot SET capacity = 3`)
	sc.exec(`UPDATE slot SET taken = 1 WHERE id = $1`, firstSlotID+1)
	a := sc.search(sc.person, "difficulty=2")
	require.Equal(t, []int{firstSlotID, firstSlotID + 1, firstSlotID + 2}, a.ids(t))
	require.Equal(t, "2019-08-21T09:15:00+03:00", a.page.Items[0].End.Format(time.RFC3339))
	require.EqualValues(t, 2, a.page.Items[0].Left)
	require.EqualValues(t, 3, a.page.Items[2].Left)
	require.Equal(t, []int{firstSlotID}, sc.search(sc.person, "difficulty=4").ids(t))
	require.Empty(t, sc.search(sc.person, "difficulty=5").ids(t))
	sc.exec(`UPDATE slot SET blocked = true WHERE id = $1`, firstSlotID+1)
	require.Equal(t, []int{firstSlotID + 2}, sc.search(sc.person, "difficulty=2").ids(t))
	require.Equal(t, []string{
		"14527455 Unavailable complex_slot_failed", "14527456 Unavailable slot_unavailable", "14527457 Available", "14527458 Unavailable complex_slot_failed",
	}, sc.search(sc.person, "difficulty=2 explain=true").told(t))
	require.Equal(t, 200, sc.attempt(fields{"SlotId": firstSlotID + 2, "Difficulty": 2}).StatusCode)
}

// Promise: whatever the world, each cell that is offered would be booked, each that is not would be refused, and explain names the very rule; by the model
// of the rules, which knows nothing of the service, and for some by booking them. The same of each visit that there is and the cells that it can be moved to, for
// some by holding them and moving it.
func TestSlotsByModel(t *testing.T) {
	t.Parallel()
	s := startModel(t)
	rapid.Check(t, func(rt *rapid.T) {
		st := longStories.Draw(rt, "story")
		client := rapid.IntRange(0, len(st.world.clients)-1).Draw(rt, "client")
		difficulty := rapid.SampledFrom([]int{1, 2, 1, 3, 0}).Draw(rt, "difficulty")
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		minutes := rapid.IntRange(1, 24*60).Draw(rt, "minutes")
		chosen := rapid.Uint8().Draw(rt, "chosen")

		failures := &storyT{TB: t}
		on := *s
		on.t = failures
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			g := on.furnish(&st.world)
			now := st.world.begin()
			for _, e := range on.playHistory(st, g) {
				_, now = now.apply(e)
			}
			search := &modelSearch{service: &on, g: g, state: now.withPersonsKnown(), client: client, difficulty: difficulty, limit: limit, chosen: int(chosen)}
			end := now.now.Add(time.Duration(minutes) * time.Minute)
			for n := range st.world.directions {
				search.judge(n, end)
			}
			for _, v := range search.state.visits {
				search.moved = v.label
				search.judge(v.direction, end)
			}
		}()
		<-finished
		if len(failures.problems) > 0 {
			rt.Fatal(strings.Join(failures.problems, "\n"))
		}
	})
}

// withPersonsKnown is the state where the master patient index knows all of everybody, as a list takes for granted.
func (s state) withPersonsKnown() state {
	known := *s.world
	known.persons = slices.Clone(known.persons)
	for i := range known.persons {
		known.persons[i] = person{known: true, data: true, surname: "?", name: "?", sex: "female", policy: "?"}
	}
	s.world = &known
	return s
}

type modelSearch struct {
	*service

	g          *guids
	state      state
	client     int
	difficulty int
	limit      int
	chosen     int
	moved      string // the visit that is to be moved; empty where a new one is to be booked
}

// judge compares the lists of a referral with the model: in the whole period, and in one that ends at a moment.
func (m *modelSearch) judge(n int, end time.Time) {
	d := m.state.directions[n]
	var targets []int
	for l, at := range m.state.lpus {
		if d.to == unknown || at.entity == m.state.lpus[d.to].entity {
			targets = append(targets, l)
		}
	}
	if d.to != unknown {
		m.judgeIn(n, targets, "", end)
		return
	}
	for _, l := range targets {
		m.judgeIn(n, []int{l}, " lpuGuid="+m.g.of(label("L", l)).String(), end)
	}
}

func (m *modelSearch) judgeIn(n int, targets []int, where string, end time.Time) {
	m.t.Helper()
	d := m.state.directions[n]
	wanted := map[string]string{} // the answer that booking each cell would get, by the model
	first := time.Time{}
	for c, cell := range m.state.slots {
		at := m.state.resources[cell.resource]
		if !slices.Contains(targets, at.lpu) {
			continue
		}
		says := m.says(n, c)
		if m.stands(n, c) {
			continue
		}
		if d.kind == "Consult" && at.speciality != d.speciality {
			require.NotEmpty(m.t, says, "%s is not looked at", label("S", c))
			continue
		}
		wanted[label("S", c)] = says
		if says == "" && !cell.start.Before(end) && (first.IsZero() || cell.start.Before(first)) {
			first = cell.start
		}
	}
	common := fmt.Sprintf("limit=%d%s ", m.limit, where)
	if m.difficulty != 0 {
		common += fmt.Sprintf("difficulty=%d ", m.difficulty)
	}
	if m.moved != "" {
		common += "appointmentGuid=" + m.g.of(m.moved).String() + " "
	}
	blocked := m.blockedBy(n, targets, unknown)
	explained, last := m.list(n, common+"explain=true dateFrom=2019-08-19 dateTo=2019-09-01")
	require.Equal(m.t, blocked, m.toldRefusal(last.BlockedBy), "%s %s", label("D", n), common)
	got := map[string]string{}
	for _, item := range explained {
		says := ""
		if item.Rule != nil {
			says = m.toldRefusal(&api.SlotRefusal{Rule: *item.Rule, Message: *item.Message})
		}
		require.Equal(m.t, says == "", item.Status == api.SlotStatusAvailable)
		got[m.g.label[item.GUID]] = says
	}
	require.Equal(m.t, wanted, got, "%s %s", label("D", n), common)

	free := func(until time.Time) (cells []string) {
		for cell, says := range wanted {
			var c int
			_, err := fmt.Sscanf(cell, "S%d", &c)
			require.NoError(m.t, err)
			if says == "" && m.state.slots[c].start.Before(until) {
				cells = append(cells, cell)
			}
		}
		slices.Sort(cells)
		return cells
	}
	for query, until := range map[string]time.Time{"": m.state.now.AddDate(0, 0, 14), "dateTo=" + end.Format(time.RFC3339): end} {
		offered, last := m.list(n, common+query)
		var cells []string
		for _, item := range offered {
			require.Equal(m.t, api.SlotStatusAvailable, item.Status)
			cells = append(cells, m.g.label[item.GUID])
		}
		slices.Sort(cells)
		require.Equal(m.t, free(until), cells, "%s %s%s", label("D", n), common, query)
		require.Equal(m.t, blocked, m.toldRefusal(last.BlockedBy), "%s %s%s", label("D", n), common, query)
		require.True(m.t, blocked == "" || len(cells) == 0 && last.NextAvailable == nil)
		if query != "" {
			require.Equal(m.t, len(cells) == 0 && !first.IsZero(), last.NextAvailable != nil)
			if last.NextAvailable != nil {
				require.True(m.t, first.Equal(*last.NextAvailable), "%s, not %s", first, last.NextAvailable)
			}
		}
	}

	// One resource alone.
	at := m.chosen % len(m.state.resources)
	_, alone := m.list(n, common+"resourceGuid="+m.g.of(label("R", at)).String())
	require.Equal(m.t, m.blockedBy(n, targets, at), m.toldRefusal(alone.BlockedBy), "%s %s %s", label("D", n), common, label("R", at))

	// One of them is booked in earnest, or held and moved to.
	if n == m.chosen%len(m.state.directions) && len(explained) > 0 && !m.asksMip(n, targets) {
		item := explained[m.chosen%len(explained)]
		var c int
		_, err := fmt.Sscanf(m.g.label[item.GUID], "S%d", &c)
		require.NoError(m.t, err)
		m.take(n, c, &item)
	}
}

// take books a cell that is listed, or holds it for the visit that is to be moved and moves it there.
func (m *modelSearch) take(n, c int, item *api.Slot) {
	m.t.Helper()
	r := m.request(n, c)
	requireAs := func(a answer) {
		m.t.Helper()
		require.Equal(m.t, item.Status == api.SlotStatusAvailable, a.StatusCode == 200, "%s", a.raw)
		if item.Rule != nil {
			a.requireRefusal(m.t, string(*item.Rule))
			require.Equal(m.t, *item.Message, a.error.Message)
		}
	}
	if m.moved == "" {
		a := m.post(r.body(m.g), m.authorization(n))
		requireAs(a)
		if item.Rule == nil {
			guid := appointmentOf(a).GUID
			m.g.name(guid, "booked")
			_, m.state = m.state.book("booked", guid.String(), r)
		}
		return
	}
	st := step{move: 1, request: r}
	body := r.holdBody(m.g)
	body["AppointmentGuid"] = m.g.of(m.moved)
	held := m.send(r.holdPath(m.g), body, m.authorization(n))
	if refusal, asked := m.state.checkHoldForMove(m.moved, st); refusal != "" {
		requireAs(held)
	} else {
		var says string
		says, m.state = m.state.writeHoldForMove("held", m.moved, asked)
		if held.StatusCode == 200 {
			require.Equal(m.t, says, toldHold(m.g, as[api.Hold](m.t, held)))
		} else {
			held.requireRefusal(m.t, strings.Split(says, ";")[0])
		}
	}
	requireAs(m.moveAs(m.authorization(n), m.g.of(m.moved), st.moveBody(m.g)))
	if item.Rule != nil {
		return
	}
	says, asked, _ := m.state.checkMove(m.moved, st)
	require.Empty(m.t, says)
	says, m.state = m.state.writeMove(m.moved, asked, m.state.own(asked))
	require.Contains(m.t, says, "booked ")
	standing := m.count(`SELECT count(*) FROM hold WHERE person_guid = $1 AND until > $2`, m.g.of(label("P", r.person)), m.now())
	require.Len(m.t, m.state.holdsOf(r.person), standing, "what was held for it is used up")
}

// says is the answer of the model to the booking of a cell, or the move to it; empty where it succeeds.
func (m *modelSearch) says(n, cell int) string {
	if m.moved == "" {
		says, _ := m.state.check(m.request(n, cell))
		return says
	}
	says, _, _ := m.state.checkMove(m.moved, step{move: 1, request: m.request(n, cell)})
	return says
}

// stands tells whether the visit that is to be moved stands where it would be moved to: then nothing would change.
func (m *modelSearch) stands(n, cell int) bool {
	at := slices.IndexFunc(m.state.visits, func(v visit) bool { return v.label == m.moved })
	if at == unknown || m.state.visits[at].cancelled {
		return false
	}
	r := m.request(n, cell)
	if r.difficulty == 0 {
		r.difficulty = max(len(m.state.visits[at].slots), 1)
	}
	return m.state.staysPut(m.state.visits[at], r)
}

// blockedBy is the answer of the model to a cell that has nothing against it, in each of the institutions that have a cell to come for the referral, or of
// one resource; where none has, in all of them. None where one of them would take it.
func (m *modelSearch) blockedBy(n int, targets []int, alone int) string {
	d := m.state.directions[n]
	slices.SortFunc(targets, func(a, b int) int {
		if a == d.to || b == d.to {
			return map[bool]int{true: -1, false: 1}[a == d.to]
		}
		return strings.Compare(m.g.of(label("L", a)).String(), m.g.of(label("L", b)).String())
	})
	var voters, all []string
	for _, l := range targets {
		fits := resource{lpu: l, kind: "doctor", speciality: d.speciality}
		has := false
		for _, cell := range m.state.slots {
			at := m.state.resources[cell.resource]
			if at.lpu != l || cell.start.Before(m.state.now) {
				continue
			}
			switch {
			case cell.resource == alone:
				fits, has = at, true
			case alone == unknown && !at.inactive && (d.kind != "Consult" || at.kind != "equipment" && at.speciality == d.speciality):
				has = true
			}
		}
		says := m.ideal(n, fits)
		all = append(all, says)
		if has {
			voters = append(voters, says)
		}
	}
	if len(voters) == 0 {
		voters = all
	}
	if slices.Contains(voters, "") {
		return ""
	}
	return voters[0]
}

// ideal is the answer to a cell that has nothing against it.
func (m *modelSearch) ideal(n int, at resource) string {
	with := *m.state.world
	with.resources = append(slices.Clone(with.resources), at)
	with.slots = append(slices.Clone(with.slots), slot{resource: len(with.resources) - 1, start: m.state.now, capacity: 1, access: math.MaxInt32, restriction: "none"})
	ideal := modelSearch{state: m.state, client: m.client, difficulty: 1, moved: m.moved}
	ideal.state.world = &with
	return ideal.says(n, len(with.slots)-1)
}

// toldRefusal is what stands in the way, in the model's words.
func (m *modelSearch) toldRefusal(refusal *api.SlotRefusal) string {
	switch {
	case refusal == nil:
		return ""
	case slices.Contains(toldInFull, string(refusal.Rule)):
		return string(refusal.Rule) + ": " + m.g.tell(refusal.Message)
	default:
		return string(refusal.Rule)
	}
}

// asksMip tells whether booking would make a card somewhere.
func (m *modelSearch) asksMip(n int, targets []int) bool {
	return slices.ContainsFunc(targets, func(l int) bool {
		open, closed := m.state.cardsOf(m.state.mkabs[m.state.directions[n].mkab].person, l)
		return open == "" && !closed
	})
}

func (m *modelSearch) request(n, cell int) request {
	d := m.state.directions[n]
	card := m.state.mkabs[d.mkab]
	r := request{
		person: card.person, client: m.client, direction: n, kind: d.kind, from: card.lpu, to: m.state.resources[m.state.slots[cell].resource].lpu,
		place: place{how: "guid", slot: cell}, difficulty: m.difficulty,
	}
	if at := slices.IndexFunc(m.state.visits, func(v visit) bool { return v.label == m.moved }); at != unknown {
		r.comment, r.cito = m.state.visits[at].request.comment, m.state.visits[at].request.cito
	}
	return r
}

func (m *modelSearch) authorization(n int) string {
	m.t.Helper()
	person := m.state.mkabs[m.state.directions[n].mkab].person
	token, err := m.key.Sign(auth.Token{Person: m.g.of(label("P", person)), Client: m.g.of(label("C", m.client))}, "issuer", "talon", moment, 48*time.Hour)
	require.NoError(m.t, err)
	return "Bearer " + token
}

// list gives the items of all pages, and the last page.
func (m *modelSearch) list(n int, query string) ([]api.Slot, api.SlotPage) {
	m.t.Helper()
	var items []api.Slot
	for cursor := ""; ; {
		a := m.slotsOf(m.g.of(label("D", n)), m.authorization(n), query+cursor)
		require.Equal(m.t, 200, a.StatusCode, "%s", a.raw)
		items = append(items, a.page.Items...)
		if a.page.Next == nil {
			require.True(m.t, slices.IsSortedFunc(items, func(a, b api.Slot) int { return a.Start.Compare(b.Start) }))
			return items, a.page
		}
		require.Nil(m.t, a.page.NextAvailable)
		cursor = " cursor=" + *a.page.Next
	}
}
