package e2e_test

import (
	"maps"
	"net/http"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// patientRegistrar is the system of both institutions of the scene, which writes the objects of
// patients.
type patientRegistrar struct {
	*harness.Scene

	token string
}

func startPatientRegistrar(t testing.TB) *patientRegistrar {
	t.Helper()
	sc := harness.Start(t).Scene()
	scopes := []string{"patient:write", "referral:write"}
	client := sc.AddSystemClient(scopes, sc.From, sc.To)
	return &patientRegistrar{sc, sc.SystemToken(client, scopes, sc.From, sc.To)}
}

// send sends a request to the target institution, sendTo to any. path begins after it.
func (r *patientRegistrar) send(method, path string, body any) harness.Answer {
	r.T.Helper()
	return r.sendTo(r.To, method, path, body)
}

func (r *patientRegistrar) sendTo(lpu uuid.UUID, method, path string, body any) harness.Answer {
	r.T.Helper()
	return r.AskAs(r.token, method, "/registry/lpus/"+lpu.String()+path, body)
}

// changed returns whether a write has changed something. The write must succeed.
func (r *patientRegistrar) changed(a harness.Answer) bool {
	r.T.Helper()
	return harness.Decode[api.ObjectResult](r.T, a).Changed
}

// card returns the body of a write of an open card of the scene's patient, with changes.
func (r *patientRegistrar) card(version int, changes ...harness.Fields) harness.Fields {
	return with(harness.Fields{
		"Version": version, "PersonGuid": r.Person, "Surname": "Иванова", "Name": "Анна", "BirthDate": "1985-04-12",
		"Sex": "female",
	}, changes)
}

// closed closes a card.
var closed = harness.Fields{"Closed": "2019-08-20T10:00:00+03:00"}

// referral returns the body of a write of a referral like the scene's.
func (r *patientRegistrar) referral(version int, card uuid.UUID, changes ...harness.Fields) harness.Fields {
	return with(harness.Fields{
		"Version": version, "CardGuid": card, "Type": "Consult", "Number": "47010157096", "Date": "2019-08-13",
		"DateEnd": "2019-09-12", "DateCreate": "2019-08-13T09:00:00+03:00", "SpecialityCode": "92", "LpuToGuid": r.To,
	}, changes)
}

// withdraw withdraws a referral of the source institution.
func (r *patientRegistrar) withdraw(referral uuid.UUID, version int, onBooked string) harness.Answer {
	r.T.Helper()
	path := "/referrals/" + referral.String() + "?version=" + strconv.Itoa(version) + "&onBooked=" + onBooked
	return r.sendTo(r.From, http.MethodDelete, path, nil)
}

// with returns a body with changes. A nil value removes its key.
func with(body harness.Fields, changes []harness.Fields) harness.Fields {
	for _, change := range changes {
		maps.Copy(body, change)
	}
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

// Promise: a card is returned as it was written. A patient is identified by it as by a card that
// booking has created, until it is closed, and can book only then. The same write again changes
// nothing, older ones and others of the same version are rejected.
func TestCardOverHTTP(t *testing.T) {
	t.Parallel()
	r := startPatientRegistrar(t)
	path := "/cards/" + r.MkabTo.String()
	before := harness.Decode[api.Card](t, r.send(http.MethodGet, path, nil))
	require.Nil(t, before.Version)
	require.Equal(t, r.Person, before.PersonGUID)

	card := r.card(5, harness.Fields{
		"Patronymic": "Сергеевна", "Snils": "112-233-445 95", "Disabled": true,
		"Policies": []harness.Fields{{"Number": "2"}, {"Series": "77", "Number": "1"}},
	})
	require.True(t, r.changed(r.send(http.MethodPut, path, card)))
	require.False(t, r.changed(r.send(http.MethodPut, path, card)))
	version := int64(5)
	want := before
	want.Version, want.Surname, want.Name, want.Patronymic = &version, "Иванова", "Анна", "Сергеевна"
	want.Snils, want.Sex, want.Disabled = "112-233-445 95", "female", true
	want.BirthDate.Time = want.BirthDate.AddDate(5, 1, 14) // 29.02.1980
	want.Policies = []api.CardPolicy{{Series: "", Number: "2"}, {Series: "77", Number: "1"}}
	got := harness.Decode[api.Card](t, r.send(http.MethodGet, path, nil))
	require.Equal(t, "1985-04-12", got.BirthDate.String())
	want.BirthDate = got.BirthDate
	require.Equal(t, want, got)

	r.send(http.MethodPut, path, r.card(4)).RequireRefusal(t, "version_stale")
	r.send(http.MethodPut, path, r.card(5)).RequireRefusal(t, "version_conflict")
	foreign := r.send(http.MethodPut, path, r.card(6, harness.Fields{"PersonGuid": uuid.New()}))
	foreign.RequireRefusal(t, "field_invalid")
	require.Equal(t, "person_fixed", (*foreign.Refusal.Details.Fields)[0].Problem)
	second := r.send(http.MethodPut, "/cards/"+uuid.NewString(), r.card(1))
	second.RequireRefusal(t, "mkab_open")
	require.Contains(t, second.Refusal.Message, r.MkabTo.String())

	closing := r.card(6, closed, harness.Fields{"Policies": []harness.Fields{{"Number": "2"}}})
	require.True(t, r.changed(r.send(http.MethodPut, path, closing)))
	r.TryBook().RequireRefusal(t, "mkab_closed")
	require.Equal(t, 2, r.Count(`SELECT count(*) FROM card_key WHERE lpu_guid = $1 AND mkab_guid = $2`, r.To, r.MkabTo))
	require.True(t, r.changed(r.send(http.MethodPut, path, r.card(7))))
	testdb.RequireIndexed(t, r.DB)
	r.MustBook()
}

// Promise: a referral that the institution has written can be booked, is changed also in the
// institution of the visit, but not in what the booking was checked by. Its withdrawal keeps the
// visit, or is refused.
func TestReferralOverHTTP(t *testing.T) {
	t.Parallel()
	r := startPatientRegistrar(t)
	guid := uuid.New()
	path := "/referrals/" + guid.String()
	put := func(version int, changes ...harness.Fields) harness.Answer {
		return r.sendTo(r.From, http.MethodPut, path, r.referral(version, r.MkabFrom, changes...))
	}
	written := harness.Fields{
		"Id": 58384, "MkbCode": "A01.1", "Urgent": true, "Flags": 5, "DocPrvdSenderGuid": r.Doctor,
	}
	require.True(t, r.changed(put(2, written)))
	require.False(t, r.changed(put(2, written)))
	stored := harness.Decode[api.Referral](t, r.sendTo(r.From, http.MethodGet, path, nil))
	require.EqualValues(t, 58384, stored.ID)
	require.EqualValues(t, 2, *stored.Version)
	require.Equal(t, "A01.1", stored.MkbCode)
	require.Equal(t, r.Doctor, *stored.DocPrvdSenderGUID)
	require.Equal(t, "2019-08-13 06:00:00 +0000 UTC", stored.DateCreate.UTC().String())
	require.Nil(t, stored.Withdrawn)

	visit := r.MustBook(harness.Fields{"DirectionGuid": guid})
	for name, change := range map[string]harness.Fields{
		"type":       {"Type": "Laboratory"},
		"speciality": {"SpecialityCode": "27"},
		"target":     {"LpuToGuid": nil},
	} {
		a := put(3, change)
		a.RequireRefusal(t, "object_booked")
		require.Equal(t, visit, a.Refusal.Details.Appointment.GUID, name)
	}
	require.True(t, r.changed(put(3, harness.Fields{"Comment": "после обеда", "MkbCode": "B02"})))
	require.Equal(t, 2, r.Count(`SELECT count(*) FROM direction WHERE guid = $1 AND comment = 'после обеда' AND mkb_code = 'B02' AND id IS NOT NULL`, guid))

	r.withdraw(guid, 4, "refuse").RequireRefusal(t, "object_booked")
	require.True(t, r.changed(r.withdraw(guid, 4, "keep")))
	require.False(t, r.changed(r.withdraw(guid, 4, "keep")))
	put(3).RequireRefusal(t, "version_stale")
	status := func() string {
		var direction api.PatientDirection
		r.GetInto(r.Person, "/directions/"+guid.String(), &direction)
		return direction.Status
	}
	require.Equal(t, "Booked", status())
	r.Move(r.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "direction_not_found")
	r.Cancel(r.Person, visit).RequireCancelled(t)
	require.Equal(t, "Cancelled", status())
	r.TryBook(harness.Fields{"DirectionGuid": guid}).RequireRefusal(t, "direction_not_found")

	require.True(t, r.changed(put(5)))
	require.Equal(t, "NotBooked", status())
	r.MustBook(harness.Fields{"DirectionGuid": guid})
}

// Promise: an original never takes the guid or the number of another referral, and a withdrawal
// that arrives before the referral wins over it.
func TestReferralIdentity(t *testing.T) {
	t.Parallel()
	r := startPatientRegistrar(t)
	r.MustBook()
	copied := "/referrals/" + r.Direction.String()
	r.send(http.MethodPut, copied, r.referral(1, r.MkabTo)).RequireRefusal(t, "guid_foreign")
	r.send(http.MethodDelete, copied+"?version=1", nil).RequireRefusal(t, "guid_foreign")
	r.send(http.MethodGet, copied, nil).RequireRefusal(t, "object_absent")
	put := func(guid uuid.UUID, id int) harness.Answer {
		body := r.referral(1, r.MkabFrom, harness.Fields{"Id": id})
		return r.sendTo(r.From, http.MethodPut, "/referrals/"+guid.String(), body)
	}
	require.True(t, r.changed(put(uuid.New(), 7)))
	put(uuid.New(), 7).RequireRefusal(t, "guid_foreign")

	late := uuid.New()
	require.True(t, r.changed(r.withdraw(late, 2, "refuse")))
	put(late, 8).RequireRefusal(t, "version_stale")
	r.sendTo(r.From, http.MethodGet, "/referrals/"+late.String(), nil).RequireRefusal(t, "object_absent")
}

// Promise: a case is returned as it was written, counts while it is open, and stays deleted.
func TestCaseOverHTTP(t *testing.T) {
	t.Parallel()
	r := startPatientRegistrar(t)
	path := "/cases/" + uuid.NewString()
	body := func(version int, changes ...harness.Fields) harness.Fields {
		return with(harness.Fields{"Version": version, "CardGuid": r.MkabTo, "OpenedOn": "2019-08-01"}, changes)
	}
	require.True(t, r.changed(r.send(http.MethodPut, path, body(1))))
	r.Exec(`UPDATE slot SET restriction = 'healthy_children'`)
	r.Exec(`UPDATE mkab SET birth_date = '2010-01-01'`)
	refused := r.TryBook()
	refused.RequireRefusal(t, "slot_healthy_children_only")
	require.Contains(t, refused.Refusal.Message, "01.08.2019")
	require.True(t, r.changed(r.send(http.MethodPut, path, body(2, harness.Fields{"ClosedOn": "2019-08-02"}))))
	found := harness.Decode[api.Case](t, r.send(http.MethodGet, path, nil))
	require.Equal(t, "2019-08-02", found.ClosedOn.String())
	r.MustBook()

	require.True(t, r.changed(r.send(http.MethodDelete, path+"?version=3", nil)))
	require.False(t, r.changed(r.send(http.MethodDelete, path+"?version=3", nil)))
	r.send(http.MethodPut, path, body(2)).RequireRefusal(t, "version_stale")
	r.send(http.MethodGet, path, nil).RequireRefusal(t, "object_absent")
}

// Promise: booking creates cards from the persons that the region's system has written, and names
// what they lack. Systems of institutions cannot write persons.
func TestPersonOverHTTP(t *testing.T) {
	t.Parallel()
	r := startPatientRegistrar(t)
	scopes := []string{"patient:write"}
	region := r.SystemToken(r.AddSystemClient(scopes), scopes)
	path := "/registry/persons/" + r.Person.String()
	body := harness.Fields{"Version": 1, "Surname": "Иванова", "BirthDate": "1985-04-12", "Sex": "female"}
	r.AskAs(r.token, http.MethodPut, path, body).RequireRefusal(t, "institution_foreign")
	r.AskAs(r.token, http.MethodGet, path, nil).RequireRefusal(t, "institution_foreign")
	r.AskAs(r.token, http.MethodDelete, path+"?version=1", nil).RequireRefusal(t, "institution_foreign")
	require.True(t, r.changed(r.AskAs(region, http.MethodPut, path, body)))
	require.False(t, r.changed(r.AskAs(region, http.MethodPut, path, body)))
	person := harness.Decode[api.Person](t, r.AskAs(region, http.MethodGet, path, nil))
	require.Equal(t, "Иванова", person.Surname)
	require.Empty(t, person.PolicyNumber)

	r.Exec(`DELETE FROM mkab WHERE guid = $1`, r.MkabTo)
	r.Exec(`INSERT INTO setting (owner_guid, code, value) VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', '2')`, r.To)
	r.TryBook().RequireRefusal(t, "mkab_policy_number_empty")
	body["Version"], body["Name"], body["PolicyNumber"] = 2, "Анна", "1"
	require.True(t, r.changed(r.AskAs(region, http.MethodPut, path, body)))
	require.True(t, r.changed(r.AskAs(region, http.MethodDelete, path+"?version=3", nil)))
	r.TryBook().RequireRefusal(t, "mip_person_not_found")
	r.AskAs(region, http.MethodGet, path, nil).RequireRefusal(t, "object_absent")
	body["Version"] = 4
	require.True(t, r.changed(r.AskAs(region, http.MethodPut, path, body)))
	r.MustBook()
	require.Equal(t, 1, r.Count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1 AND name = 'Анна'`, r.To))
}

// Promise: a merge gives the referrals, the open cases and the visits of a duplicate to the other
// card. Later writes that name the duplicate mean the other card.
func TestMergeOverHTTP(t *testing.T) {
	t.Parallel()
	r := startPatientRegistrar(t)
	visit := r.MustBook()
	other := uuid.New()
	duplicate := "/cards/" + r.MkabTo.String()
	merge := func(version int, into uuid.UUID) harness.Answer {
		return r.send(http.MethodPost, duplicate+"/merge", harness.Fields{"Version": version, "IntoCardGuid": into})
	}
	require.True(t, r.changed(r.send(http.MethodPut, "/cases/"+uuid.NewString(), harness.Fields{
		"Version": 1, "CardGuid": r.MkabTo, "OpenedOn": "2019-08-01",
	})))
	require.True(t, r.changed(r.send(http.MethodPut, duplicate, r.card(1, closed))))
	problem := func(a harness.Answer) string {
		a.RequireRefusal(t, "field_invalid")
		return (*a.Refusal.Details.Fields)[0].Problem
	}
	require.Equal(t, "card_unknown", problem(merge(2, other)))
	require.Equal(t, "card_same", problem(merge(2, r.MkabTo)))
	stranger := uuid.New()
	person, _ := r.AddPatient()
	r.Exec(`UPDATE mkab SET guid = $1 WHERE lpu_guid = $2 AND person_guid = $3`, stranger, r.To, person)
	require.Equal(t, "person_other", problem(merge(2, stranger)))
	require.True(t, r.changed(r.send(http.MethodPut, "/cards/"+other.String(), r.card(1))))

	require.True(t, r.changed(merge(2, other)))
	require.False(t, r.changed(merge(2, other)))
	merge(3, other).RequireRefusal(t, "guid_foreign")
	r.send(http.MethodPut, duplicate, r.card(4)).RequireRefusal(t, "guid_foreign")
	merged := harness.Decode[api.Card](t, r.send(http.MethodGet, duplicate, nil))
	require.Equal(t, other, *merged.MergedInto)
	for _, table := range []string{"direction", "appointment", "tap"} {
		require.Equal(t, 1, r.Count(`SELECT count(*) FROM `+table+` WHERE lpu_guid = $1 AND mkab_guid = $2`, r.To, other), table)
	}
	late := "/cases/" + uuid.NewString()
	require.True(t, r.changed(r.send(http.MethodPut, late, harness.Fields{
		"Version": 1, "CardGuid": r.MkabTo, "OpenedOn": "2019-08-02",
	})))
	require.Equal(t, other, harness.Decode[api.Case](t, r.send(http.MethodGet, late, nil)).CardGUID)
	r.Move(r.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "")
	r.Cancel(r.Person, visit).RequireCancelled(t)
	r.RequireInvariants()
}

// Promise: bad writes are rejected with the field, and change nothing. Tokens of patients, of other
// institutions and without the scope are rejected on every operation.
func TestPatientObjectRejections(t *testing.T) {
	t.Parallel()
	r := startPatientRegistrar(t)
	before := r.Snapshot()
	guid := uuid.NewString()
	person, twice := "PersonGuid", []harness.Fields{{"Number": "1"}, {"Number": "1"}}
	for field, c := range map[string]struct {
		path string
		body harness.Fields
	}{
		"PersonGuid":        {"/cards/" + guid, r.card(1, harness.Fields{person: uuid.Nil})},
		"Surname":           {"/cards/" + guid, r.card(1, harness.Fields{"Surname": ""})},
		"BirthDate":         {"/cards/" + guid, r.card(1, harness.Fields{"BirthDate": "1899-12-31"})},
		"Sex":               {"/cards/" + guid, r.card(1, harness.Fields{"Sex": "other"})},
		"Closed":            {"/cards/" + guid, r.card(1, harness.Fields{"Closed": "2200-01-01T00:00:00Z"})},
		"Policies.1.Number": {"/cards/" + guid, r.card(1, harness.Fields{"Policies": twice})},
		"Snils":             {"/cards/" + guid, r.card(1, harness.Fields{"Snils": "1"})},
		"Version":           {"/cards/" + guid, r.card(0)},
		"Id":                {"/referrals/" + guid, r.referral(1, r.MkabTo, harness.Fields{"Id": 1_000_000_000})},
		"CardGuid":          {"/referrals/" + guid, r.referral(1, r.MkabFrom)},
		"CardGuid:": {"/cases/" + guid, harness.Fields{
			"Version": 1, "CardGuid": r.MkabFrom, "OpenedOn": "2019-08-01",
		}},
		"LpuToGuid": {"/referrals/" + guid, r.referral(1, r.MkabTo, harness.Fields{"LpuToGuid": uuid.New()})},
		"DateEnd":   {"/referrals/" + guid, r.referral(1, r.MkabTo, harness.Fields{"DateEnd": "2019-08-12"})},
		"Type":      {"/referrals/" + guid, r.referral(1, r.MkabTo, harness.Fields{"Type": "consult"})},
		"ClosedOn": {"/cases/" + guid, harness.Fields{
			"Version": 1, "CardGuid": r.MkabTo, "OpenedOn": "2019-08-02", "ClosedOn": "2019-08-01",
		}},
	} {
		a := r.send(http.MethodPut, c.path, c.body)
		a.RequireRefusal(t, "field_invalid")
		require.Contains(t, a.Refusal.Message, field)
	}
	r.send(http.MethodDelete, "/referrals/"+guid+"?version=1&onBooked=displace", nil).RequireRefusal(t, "field_invalid")
	r.send(http.MethodDelete, "/referrals/"+guid, nil).RequireRefusal(t, "field_invalid")
	r.send(http.MethodPut, "/cards/"+uuid.Nil.String(), r.card(1)).RequireRefusal(t, "field_invalid")

	scopes := []string{"patient:write", "referral:write"}
	client := r.AddSystemClient(scopes, r.From)
	reading := []string{"visit:read"}
	for rule, token := range map[string]string{
		"token_invalid":       r.Token(r.Person),
		"institution_foreign": r.SystemToken(client, scopes, r.From),
		"scope_missing":       r.SystemToken(r.AddSystemClient(reading, r.To), reading, r.To),
	} {
		for _, request := range []struct{ method, path string }{
			{http.MethodPut, "/cards/" + guid},
			{http.MethodGet, "/cards/" + guid},
			{http.MethodPost, "/cards/" + guid + "/merge"},
			{http.MethodPut, "/cases/" + guid},
			{http.MethodGet, "/cases/" + guid},
			{http.MethodDelete, "/cases/" + guid + "?version=1"},
			{http.MethodPut, "/referrals/" + guid},
			{http.MethodGet, "/referrals/" + guid},
			{http.MethodDelete, "/referrals/" + guid + "?version=1"},
		} {
			var body any
			if request.method == http.MethodPut || request.method == http.MethodPost {
				body = harness.Fields{"Version": 1}
			}
			r.AskAs(token, request.method, "/registry/lpus/"+r.To.String()+request.path, body).RequireRefusal(t, rule)
		}
	}
	region := r.SystemToken(r.AddSystemClient(scopes), scopes)
	unknown := "/registry/lpus/" + uuid.NewString() + "/cards/" + guid
	r.AskAs(region, http.MethodPut, unknown, r.card(1)).RequireRefusal(t, "lpu_absent")
	after := r.Snapshot()
	delete(after, "client_application")
	delete(before, "client_application")
	require.Equal(t, before, after)
}
