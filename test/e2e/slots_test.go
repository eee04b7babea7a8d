package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// Promise: the responses are the contract's examples, and contain everything that a booking
// requires.
func TestSlots(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	operation := harness.ContractDoc().Paths.Value("/directions/{directionGuid}/slots").Get
	examples := operation.Responses.Value("200").Value.Content.Get("application/json").Examples
	requireExample := func(name string, a harness.SlotAnswer) {
		t.Helper()
		encoded, err := json.Marshal(examples[name].Value.Value)
		require.NoError(t, err)
		var want api.SlotPage
		require.NoError(t, json.Unmarshal(encoded, &want))
		for i := range a.Page.Items {
			want.Items[i].GUID = a.Page.Items[i].GUID
		}
		got, err := json.Marshal(a.Page)
		require.NoError(t, err)
		wanted, err := json.Marshal(want)
		require.NoError(t, err)
		require.Equal(t, string(wanted), string(got))
	}
	all := sc.Search(sc.Person, "")
	require.Equal(t, []int{14527455, 14527456, 14527457, 14527458}, all.IDs(t))
	sc.Exec(`DELETE FROM slot WHERE id <> $1`, harness.FirstSlotID)
	free := sc.Search(sc.Person, "")
	requireExample("free_slots", free)

	item := free.Page.Items[0]
	body := harness.Fields{
		"DirectionGuid": free.Page.DirectionGUID, "DirectionType": free.Page.DirectionType,
		"LpuFromGuid": free.Page.HolderLpuGUID, "LpuToGuid": item.Lpu.GUID,
		"SlotId": item.ID,
	}
	require.Equal(t, 200, sc.Book(sc.Person, body).StatusCode)
	requireExample("blocked_slots", sc.Search(sc.Person, ""))

	other := sc.AnotherScene()
	sc.Exec(`UPDATE slot SET taken = capacity WHERE lpu_guid = $1`, other.To)
	sc.Exec(`UPDATE slot SET `+harness.Shift("start_at", "interval '14 days'")+`, `+harness.Shift("end_at", "interval '14 days'")+`, taken = 0 WHERE lpu_guid = $1 AND id = $2`,
		other.To, harness.FirstSlotID+3)
	require.Empty(t, other.Search(other.Person, "").IDs(t))
	require.Equal(t, "2019-09-04T09:30:00+03:00",
		other.Search(other.Person, "").Page.NextAvailable.Format(time.RFC3339))
	require.Equal(t, []string{"14527455 Booked slot_full", "14527456 Booked slot_full", "14527457 Booked slot_full"},
		other.Search(other.Person, "explain=true").Summaries(t))
}

// Promise: another person's referral, a copy and a guid that does not exist get the same response.
func TestSlotsOfOthers(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	stranger, theirs := sc.AddPatient()
	sc.Search(stranger, "").RequireRefusal(t, "direction_absent")
	sc.Search(uuid.New(), "").RequireRefusal(t, "direction_absent")
	sc.SearchSlots(theirs, "Bearer "+sc.Token(sc.Person), "").RequireRefusal(t, "direction_absent")
	sc.SearchSlots(uuid.New(), "Bearer "+sc.Token(sc.Person), "").RequireRefusal(t, "direction_absent")
	sc.SearchSlots(uuid.Nil, "Bearer "+sc.Token(sc.Person), "").RequireRefusal(t, "direction_absent")
	require.Len(t, sc.SearchSlots(theirs, "Bearer "+sc.Token(stranger), "").IDs(t), 4)
	sc.SearchSlots(sc.Direction, "Bearer x", "limit=0").RequireRefusal(t, "token_invalid")

	copied := uuid.New()
	sc.Exec(`INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT $1, $2, lpu_guid, type, number, date, date_end, created_at, $3, lpu_from_guid FROM direction WHERE guid = $4`,
		sc.To, copied, sc.MkabTo, sc.Direction)
	sc.SearchSlots(copied, "Bearer "+sc.Token(sc.Person), "").RequireRefusal(t, "direction_absent")
	sc.RequireNoSecretsInLog()
}

// Promise: each bad parameter is named together with its problem.
func TestBadSlotParameters(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	const aGuid, aDate = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef", "ожидается дата (2006-01-02)"
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
		"dateTo=2019-08-21T08:00:00":            "Поле dateTo: " + aDate,
		"dateTo=2019-08-19":                     "Поле dateTo: конец периода должен быть позже его начала",
		"dateTo=2019-09-04":                     "Поле dateTo: период должен быть не больше 14 дней",
		"dateFrom=0000-01-01 dateTo=2019-08-21": "Поле dateTo: период должен быть не больше 14 дней",
		"dateFrom=2019-08-21 dateTo=2019-09-04": "Поле dateTo: период должен быть не больше 14 дней",
		"dateFrom=2019-08-22 dateTo=2019-08-21": "Поле dateFrom: дата должна быть не позже dateTo",
		"cursor=x":                              "Поле cursor: " + aCursor,
		"cursor=e30":                            "Поле cursor: " + aCursor,
		"cursor=bnVsbA":                         "Поле cursor: " + aCursor,
		"cursor=" + strings.Repeat("A", 201):    "Поле cursor: длина должна быть не больше 200 символов",
	} {
		a := sc.Search(sc.Person, query)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, message, a.Refusal.Message, query)
		require.Equal(t, 400, a.StatusCode)
	}
	request := sc.NewRequest(http.MethodGet, "/directions/x/slots", nil)
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	a := sc.Do(request)
	a.RequireRefusal(t, "field_invalid")
	require.Equal(t, "Поле directionGuid: "+aGuid, a.Refusal.Message)

	for _, query := range []string{
		"unknown=1 unknown=2", "limit=1", "limit=100", "difficulty=16", "explain=false",
		"resourceGuid=" + uuid.NewString(), "dateTo=2019-08-20", "dateTo=2019-09-02",
		"dateFrom=2019-08-21 dateTo=2019-09-03", "dateFrom=0000-01-01",
	} {
		require.Equal(t, 200, sc.Search(sc.Person, query).StatusCode, query)
	}
}

// Promise: a forged cursor is rejected or continues within the period. It never causes an internal
// error.
func TestForgedSlotCursors(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	next := *sc.Search(sc.Person, "limit=1").Page.Next
	require.LessOrEqual(t, len(next), 200)
	for i := range next {
		for _, letter := range "A9_" {
			a := sc.Search(sc.Person, "cursor="+next[:i]+string(letter)+next[i+1:])
			if a.StatusCode != 200 {
				a.RequireRefusal(t, "field_invalid")
			}
		}
	}
}

// Promise: the pages together contain each cell of the list once and in order of time, also while
// cells are added, taken and released.
func TestSlotPages(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`DELETE FROM slot`)
	nearby := sc.AddLpu(sc.To, "Asia/Kamchatka")
	for i := range 30 {
		sc.AddSlot(sc.Doctor, 100+i, harness.Moment.Add(time.Duration(1+i/3)*time.Hour), 1)
		sc.AddSlotIn(nearby, 100+i, harness.Moment.Add(time.Duration(1+i/2)*time.Hour))
	}
	whole := sc.Search(sc.Person, "limit=100").Page.Items
	require.Len(t, whole, 60)
	for limit := range 7 {
		var got []api.Slot
		query := fmt.Sprintf("limit=%d", limit+1)
		for cursor := ""; ; {
			a := sc.Search(sc.Person, query+cursor)
			require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
			require.LessOrEqual(t, len(a.Page.Items), limit+1)
			got = append(got, a.Page.Items...)
			if a.Page.Next == nil {
				break
			}
			cursor = " cursor=" + *a.Page.Next
			// The new cell begins before the page, and the taken one is on the page: neither
			// affects later pages.
			sc.AddSlot(sc.Doctor, 1000*(limit+1)+len(got), harness.Moment.Add(time.Minute), 1)
			sc.Exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, got[0].GUID)
		}
		require.Equal(t, whole, got)
		sc.Exec(`UPDATE slot SET taken = 0`)
		sc.Exec(`DELETE FROM slot WHERE id >= 1000`)
	}
	require.True(t, slices.IsSortedFunc(whole, func(a, b api.Slot) int { return a.Start.Compare(b.Start) }))
}

// Promise: days are those of the zone of each institution, and dateTo is included. nextAvailable is
// the first cell after the period.
func TestSlotPeriods(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	far := sc.AddLpu(sc.To, "Asia/Kamchatka") // nine hours ahead of Moscow
	for i, start := range []time.Time{
		time.Date(2019, 8, 21, 0, 0, 0, 0, harness.MustZone("Asia/Kamchatka")),
		time.Date(2019, 8, 21, 23, 45, 0, 0, harness.MustZone("Asia/Kamchatka")),
		time.Date(2019, 8, 22, 0, 0, 0, 0, harness.MustZone("Asia/Kamchatka")),
	} {
		sc.AddSlotIn(far, 1+i, start)
	}
	sc.AddSlot(sc.Doctor, 9, time.Date(2019, 8, 22, 0, 0, 0, 0, harness.Moment.Location()), 1)
	a := sc.Search(sc.Person, "dateFrom=2019-08-21 dateTo=2019-08-21")
	require.Equal(t, []int{14527455, 14527456, 14527457, 14527458, 2}, a.IDs(t), "cell 1 began at 15:00 in Moscow")
	require.Equal(t, "2019-08-21T23:45:00+12:00", a.Page.Items[4].Start.Format(time.RFC3339))
	require.Equal(t, "Asia/Kamchatka", a.Page.Items[4].Lpu.TimeZone)
	inMoscow, inKamchatka := " lpuGuid="+sc.To.String(), " lpuGuid="+far.String()
	require.Equal(t, []int{14527455, 14527456, 14527457, 14527458},
		sc.Search(sc.Person, "dateFrom=2019-08-21 dateTo=2019-08-21"+inMoscow).IDs(t))
	require.Equal(t, []int{2}, sc.Search(sc.Person, "dateFrom=2019-08-21 dateTo=2019-08-21"+inKamchatka).IDs(t))

	a = sc.Search(sc.Person, "dateFrom=2019-08-23")
	require.Empty(t, a.IDs(t))
	require.Nil(t, a.Page.NextAvailable)
	a = sc.Search(sc.Person, "dateTo=2019-08-20")
	require.Empty(t, a.IDs(t))
	require.Equal(t, "2019-08-21T08:45:00+03:00", a.Page.NextAvailable.Format(time.RFC3339))
	a = sc.Search(sc.Person, "explain=true dateFrom=2019-08-20 dateTo=2019-08-21"+inKamchatka)
	require.Equal(t, []string{"1 Expired slot_time_passed"}, a.Summaries(t)[:1])

	sc.Exec(`DELETE FROM slot`)
	sc.AddSlot(sc.Doctor, 1, harness.Moment.AddDate(0, 0, 14+90).Add(-time.Second), 1)
	sc.AddSlot(sc.Doctor, 2, harness.Moment.AddDate(0, 0, 14+90), 1)
	require.NotNil(t, sc.Search(sc.Person, "").Page.NextAvailable)
	sc.Exec(`DELETE FROM slot WHERE id = 1`)
	require.Nil(t, sc.Search(sc.Person, "").Page.NextAvailable)
}

// Promise: the search covers the institutions in which a booking accepts the referral.
func TestSlotInstitutions(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	neighbour := sc.AddLpu(sc.To, "Europe/Moscow")
	sc.AddSlotIn(neighbour, 1, harness.Moment.Add(time.Hour))
	stranger := sc.AnotherScene()
	sc.AddMkab(stranger.To, uuid.New(), sc.Person)

	require.Equal(t, []int{1, 14527455, 14527456, 14527457, 14527458}, sc.Search(sc.Person, "").IDs(t))
	require.Equal(t, []int{1}, sc.Search(sc.Person, "lpuGuid="+neighbour.String()).IDs(t))
	require.Len(t, sc.Search(sc.Person, "lpuGuid="+strings.ToUpper(sc.To.String())).IDs(t), 4)
	a := sc.Search(sc.Person, "lpuGuid="+stranger.To.String())
	a.RequireRefusal(t, "field_invalid")
	require.Equal(t, "Поле lpuGuid: ЛПУ не принадлежит юр лицу, в которое выдано направление", a.Refusal.Message)

	// The patient's card in one institution is closed.
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, harness.Moment, sc.To)
	a = sc.Search(sc.Person, "")
	require.Equal(t, []int{1}, a.IDs(t))
	require.Nil(t, a.Page.BlockedBy)
	require.Equal(t, []string{"1 Available", "14527455 Unavailable mkab_closed"},
		sc.Search(sc.Person, "explain=true limit=2").Summaries(t))
	sc.Exec(`DELETE FROM mkab WHERE lpu_guid = $1`, neighbour)
	a = sc.Search(sc.Person, "")
	require.Empty(t, a.IDs(t))
	require.Equal(t, "mkab_closed", a.Page.BlockedBy.Rule, "the referral's target comes first")
	require.Equal(t, "mkab_absent", sc.Search(sc.Person, "lpuGuid="+neighbour.String()).Page.BlockedBy.Rule)

	// A card that a booking would create counts as existing, unless the institution cannot create
	// any.
	sc.Exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true')`, neighbour)
	require.Equal(t, "mkab_lpu_not_found",
		sc.Search(sc.Person, "lpuGuid="+neighbour.String()).Page.BlockedBy.Rule)
	sc.Exec(`INSERT INTO setting SELECT guid, 'PolyclinicCode', code FROM lpu WHERE guid = $1`, neighbour)
	require.Equal(t, []int{1}, sc.Search(sc.Person, "").IDs(t))

	// The referral names no target.
	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL WHERE guid = $1`, sc.Direction)
	a = sc.Search(sc.Person, "")
	a.RequireRefusal(t, "field_invalid")
	require.Equal(t, "Поле lpuGuid: обязательно указание ЛПУ: в направлении оно не указано", a.Refusal.Message)
	require.Len(t, sc.Search(sc.Person, "lpuGuid="+stranger.To.String()).IDs(t), 4)

	// The referral is withdrawn.
	sc.Exec(`UPDATE direction SET cancelled_at = $1`, harness.Moment)
	require.Equal(t, "direction_not_found",
		sc.Search(sc.Person, "lpuGuid="+stranger.To.String()).Page.BlockedBy.Rule)

	sc.Exec(`UPDATE direction SET lpu_to_guid = $1, cancelled_at = NULL WHERE guid = $2`, sc.To, sc.Direction)
	sc.Exec(`INSERT INTO lpu SELECT gen_random_uuid(), legal_entity_guid, 'one of many ' || n, 'Филиал', time_zone FROM lpu, generate_series(1, 47) n WHERE guid = $1`, sc.To)
	require.Equal(t, 200, sc.Search(sc.Person, "").StatusCode)
	sc.Exec(`INSERT INTO lpu SELECT gen_random_uuid(), legal_entity_guid, 'too many', 'Филиал', time_zone FROM lpu WHERE guid = $1`, sc.To)
	a = sc.Search(sc.Person, "")
	a.RequireRefusal(t, "field_invalid")
	require.Equal(t, "Поле lpuGuid: обязательно указание ЛПУ: у юр лица их больше 50", a.Refusal.Message)
}

// Promise: blockedBy is the rule that rejects every cell. Institutions without a cell for the
// referral count only if no institution has one.
func TestSlotsBlockedBy(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	blockedBy := func(query string) string {
		t.Helper()
		a := sc.Search(sc.Person, query)
		require.Empty(t, a.IDs(t))
		require.Nil(t, a.Page.NextAvailable)
		if a.Page.BlockedBy == nil {
			return ""
		}
		return a.Page.BlockedBy.Rule
	}
	// The target has the only cells. The source has no resource, and the neighbour no future cell.
	neighbour := sc.AddLpu(sc.To, "Europe/Moscow")
	sc.AddSlotIn(neighbour, 1, harness.Moment.Add(-time.Second))
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, harness.Moment, sc.To)
	require.Equal(t, "mkab_closed", blockedBy(""))
	require.Equal(t, "mkab_closed", blockedBy("dateTo=2019-08-20"), "for any period")
	require.Equal(t, "mkab_closed", blockedBy("resourceGuid="+sc.Doctor.String()))
	require.Empty(t, blockedBy("lpuGuid="+sc.From.String()))
	require.Empty(t, blockedBy("resourceGuid="+uuid.NewString()))
	explained := sc.Search(sc.Person, "explain=true limit=1")
	require.Equal(t, []string{"14527455 Unavailable mkab_closed"}, explained.Summaries(t))
	require.Equal(t, "mkab_closed", explained.Page.BlockedBy.Rule)

	// The neighbour's cell does not fit the referral, or is rejected by another rule.
	sc.AddSlotIn(neighbour, 2, harness.Moment.Add(time.Hour))
	for _, change := range []string{"active = false", "kind = 'equipment'", "speciality_code = '27'"} {
		sc.Exec(fmt.Sprintf(`UPDATE resource SET %s WHERE lpu_guid = '%s'`, change, neighbour))
		require.Equal(t, "mkab_closed", blockedBy(""), change)
		sc.Exec(`UPDATE resource SET active = true, kind = 'doctor', speciality_code = '92' WHERE lpu_guid = $1`, neighbour)
	}
	require.Equal(t, []int{2}, sc.Search(sc.Person, "").IDs(t))
	sc.Exec(`UPDATE slot SET taken = 1 WHERE lpu_guid = $1`, neighbour)
	require.Empty(t, blockedBy(""))
	sc.Exec(`DELETE FROM mkab WHERE lpu_guid = $1`, neighbour)
	require.Equal(t, "mkab_closed", blockedBy(""), "the referral's target comes first")
	sc.Exec(`DELETE FROM slot WHERE lpu_guid = $1`, sc.To)
	require.Equal(t, "mkab_absent", blockedBy(""), "the referral's target has no cells")

	// Without any cell the referral may still be expired.
	sc.Exec(`DELETE FROM slot`)
	require.Empty(t, blockedBy(""))
	sc.Exec(`INSERT INTO setting VALUES ($1, 'DirectionExpires', 'true')`, uuid.Nil)
	sc.Exec(`UPDATE direction SET date_end = '2019-08-19'`)
	require.Equal(t, "direction_expired", blockedBy(""))
}

// Promise: for a resource that cannot serve the referral, blockedBy is the reason.
func TestSlotsOfUnsuitableResource(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for change, rule := range map[string]string{
		"speciality_code = '27'": "speciality_mismatch",
		"kind = 'equipment'":     "resource_kind_mismatch",
		"active = false":         "slot_resource_not_found",
	} {
		sc.Exec(`UPDATE resource SET ` + change)
		for _, query := range []string{
			"resourceGuid=" + sc.Doctor.String(), "explain=true resourceGuid=" + sc.Doctor.String(),
		} {
			a := sc.Search(sc.Person, query)
			require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
			require.NotNil(t, a.Page.BlockedBy, rule)
			require.Equal(t, rule, a.Page.BlockedBy.Rule)
		}
		require.Nil(t, sc.Search(sc.Person, "").Page.BlockedBy, "without a resource parameter")
		sc.Exec(`UPDATE resource SET active = true, kind = 'doctor', speciality_code = '92'`)
	}
	require.Len(t, sc.Search(sc.Person, "resourceGuid="+sc.Doctor.String()).IDs(t), 4)
}

// Promise: with explain every cell is listed with its status and the rule that hides it.
func TestSlotsExplained(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`DELETE FROM slot`)
	other, equipment, inactive := uuid.New(), uuid.New(), uuid.New()
	sc.Exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач Невролог', '27', true), ($1, $3, 'equipment', 'Аппарат', '92', true), ($1, $4, 'doctor', 'Врач Бывший', '92', false)`,
		sc.To, other, equipment, inactive)
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
		{"resource_guid = '" + inactive.String() + "'", "Unavailable slot_resource_not_found"},
		{"resource_guid = '" + equipment.String() + "'", "Unavailable resource_kind_mismatch"},
	} {
		guid := sc.AddSlot(sc.Doctor, i+1, harness.Moment.Add(time.Duration(i+1)*time.Hour), 2)
		if cell.change != "" {
			sc.Exec(fmt.Sprintf(`UPDATE slot SET %s WHERE guid = '%s'`, cell.change, guid))
		}
		want = append(want, fmt.Sprintf("%d %s", i+1, cell.rule))
	}
	sc.AddSlot(other, 100, harness.Moment.Add(time.Hour), 1)
	require.Equal(t, want, sc.Search(sc.Person, "explain=true").Summaries(t))
	require.Equal(t, []int{1, 12}, sc.Search(sc.Person, "").IDs(t))
	require.Equal(t, []string{"100 Unavailable speciality_mismatch"},
		sc.Search(sc.Person, "explain=true resourceGuid="+other.String()).Summaries(t))
	require.Empty(t, sc.Search(sc.Person, "resourceGuid="+other.String()).IDs(t))
	require.Equal(t, []int{1, 12}, sc.Search(sc.Person, "resourceGuid="+sc.Doctor.String()).IDs(t))

	sc.Exec(`UPDATE direction SET type = 'Laboratory'`)
	a := sc.Search(sc.Person, "")
	require.Equal(t, "Laboratory", a.Page.DirectionType)
	require.ElementsMatch(t, []int{1, 100, 12, 14}, a.IDs(t), "cells of all resources")
}

// Promise: a complex slot is listed by each cell that enough bookable cells follow. It ends with
// the last of them, and has as many free places as the fullest.
func TestSlotsOfSeveralCells(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE slot SET capacity = 3`)
	sc.Exec(`UPDATE slot SET taken = 1 WHERE id = $1`, harness.FirstSlotID+1)
	a := sc.Search(sc.Person, "difficulty=2")
	require.Equal(t, []int{harness.FirstSlotID, harness.FirstSlotID + 1, harness.FirstSlotID + 2}, a.IDs(t))
	require.Equal(t, "2019-08-21T09:15:00+03:00", a.Page.Items[0].End.Format(time.RFC3339))
	require.EqualValues(t, 2, a.Page.Items[0].Left)
	require.EqualValues(t, 3, a.Page.Items[2].Left)
	require.Equal(t, []int{harness.FirstSlotID}, sc.Search(sc.Person, "difficulty=4").IDs(t))
	require.Empty(t, sc.Search(sc.Person, "difficulty=5").IDs(t))
	sc.Exec(`UPDATE slot SET blocked = true WHERE id = $1`, harness.FirstSlotID+1)
	require.Equal(t, []int{harness.FirstSlotID + 2}, sc.Search(sc.Person, "difficulty=2").IDs(t))
	require.Equal(t, []string{
		"14527455 Unavailable complex_slot_failed", "14527456 Unavailable slot_unavailable",
		"14527457 Available", "14527458 Unavailable complex_slot_failed",
	}, sc.Search(sc.Person, "difficulty=2 explain=true").Summaries(t))
	require.Equal(t, 200, sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 2, "Difficulty": 2}).StatusCode)
}
