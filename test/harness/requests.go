package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
)

// Appointments reads all pages of the person's appointments.
func (s *Service) Appointments(person uuid.UUID, query string) []api.PatientAppointment {
	s.T.Helper()
	var all []api.PatientAppointment
	for cursor := ""; ; {
		page := As[api.AppointmentPage](s.T, s.Get(person, "/appointments?"+query+cursor))
		all = append(all, page.Items...)
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + *page.Next
	}
}

// Booked is the guid of the appointment that an answer tells of.
func (a Answer) Booked(t testing.TB) uuid.UUID {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	if a.Result.LaboratoryDirection != nil {
		return a.Result.LaboratoryDirection.Appointment.GUID
	}
	return a.Result.ConsultDirection.Appointment.GUID
}

// SlotOf is the cell that an appointment takes.
func (s *Service) SlotOf(appointment uuid.UUID) uuid.UUID {
	s.T.Helper()
	var slot uuid.UUID
	require.NoError(s.T, s.DB.QueryRow(s.T.Context(), `SELECT slot_guids[1] FROM appointment WHERE guid = $1`, appointment).Scan(&slot))
	return slot
}

// Impatient books, and hangs up after a while that may be too short.
func (sc *Scene) Impatient(person, direction uuid.UUID, slot int) {
	sc.T.Helper()
	body, err := json.Marshal(sc.Request(Fields{"DirectionGuid": direction, "SlotId": slot}))
	require.NoError(sc.T, err)
	ctx, cancel := context.WithTimeout(sc.T.Context(), time.Duration(rand.IntN(200))*time.Millisecond)
	defer cancel()
	request := sc.Service.Request(http.MethodPost, "/appointments", strings.NewReader(string(body))).WithContext(ctx)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.Token(person))
	if response, err := HTTPClient.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// Booked books what the scene allows and gives the appointment.
func (sc *Scene) Booked(changes ...Fields) uuid.UUID {
	sc.T.Helper()
	a := sc.Attempt(changes...)
	require.Equal(sc.T, 200, a.StatusCode, "%s", a.Raw)
	return AppointmentOf(a).GUID
}

// RequireCancelled requires the vendor's answer to a cancel.
func (a Answer) RequireCancelled(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.JSONEq(t, `{"code": 200, "message": "Запись на прием отменена", "message_code": "2000"}`, a.Raw)
}

// Held counts what active visits hold: places of cells, referrals, specialities.
func (s *Service) Held() int {
	s.T.Helper()
	return s.Count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM speciality_claim) + (SELECT count(*) FROM direction
		WHERE num_nonnulls(appointment_guid, appointment_lpu_guid, appointment_start_at, appointment_end_at) > 0)`)
}

// Directions reads all pages of the person's referrals.
func (s *Service) Directions(person uuid.UUID, query string) []api.PatientDirection {
	s.T.Helper()
	var all []api.PatientDirection
	for cursor := ""; ; {
		var page api.DirectionPage
		a := s.Read(person, "/directions?"+query+cursor, &page)
		require.Equal(s.T, 200, a.StatusCode, "%s", a.Raw)
		all = append(all, page.Items...)
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
}

// Read asks for a path with the token of a person; what is answered 200 is read into the value given.
func (s *Service) Read(person uuid.UUID, path string, into any) Answer {
	s.T.Helper()
	a := s.Get(person, path)
	if a.StatusCode == http.StatusOK {
		require.NoError(s.T, json.Unmarshal([]byte(a.Raw), into), "%s", a.Raw)
	}
	return a
}

// Hold asks with the token of a person for a cell to be held; a body that is a string is sent as it is.
func (s *Service) Hold(person, slot uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Send("/slots/"+slot.String()+"/hold", body, "Bearer "+s.Token(person))
}

// Release gives a cell back with the token of a person.
func (s *Service) Release(person, lpu, slot uuid.UUID) Answer {
	s.T.Helper()
	request := s.Request(http.MethodDelete, "/slots/"+slot.String()+"/hold?lpuGuid="+lpu.String(), nil)
	request.Header.Set("Authorization", "Bearer "+s.Token(person))
	return s.Do(request)
}

// Holding is the body of a hold that the scene allows, with the changes given.
func (sc *Scene) Holding(changes ...Fields) Fields {
	return sc.Request(append([]Fields{{"SlotId": nil}}, changes...)...)
}

// Holds holds one of the scene's cells for its patient.
func (sc *Scene) Holds(n int, changes ...Fields) api.Hold {
	sc.T.Helper()
	return As[api.Hold](sc.T, sc.Hold(sc.Person, sc.Slots[n], sc.Holding(changes...)))
}

// RequireReleased requires the answer to what was given back.
func (a Answer) RequireReleased(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.JSONEq(t, `{"code": 200, "message": "Удержание ячейки снято", "message_code": "2000"}`, a.Raw)
}

// Keyed sends a request with an Idempotency-Key, by a person through a client application; a body, if there is one, as JSON.
func (s *Service) Keyed(key string, person, client uuid.UUID, method, path string, body any) Answer {
	s.T.Helper()
	token, err := s.Key.Sign(auth.Token{Person: person, Client: client}, "issuer", "talon", Moment, time.Hour)
	require.NoError(s.T, err)
	var text []byte
	if body != nil {
		text, err = json.Marshal(body)
		require.NoError(s.T, err)
	}
	request := s.Request(method, path, bytes.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Idempotency-Key", key)
	return s.Do(request)
}

// BookWith books with an Idempotency-Key, by a person through a client application.
func (sc *Scene) BookWith(key string, person, client uuid.UUID, changes ...Fields) Answer {
	sc.T.Helper()
	return sc.Keyed(key, person, client, http.MethodPost, "/appointments", sc.Request(changes...))
}

// MoveWith moves a visit of the scene's patient with an Idempotency-Key.
func (sc *Scene) MoveWith(key string, visit uuid.UUID, body Fields) Answer {
	sc.T.Helper()
	return sc.Keyed(key, sc.Person, ClientGuid, http.MethodPost, "/appointments/"+visit.String()+"/move", body)
}

// CancelWith cancels a visit of the scene's patient with an Idempotency-Key.
func (sc *Scene) CancelWith(key string, visit uuid.UUID, body any) Answer {
	sc.T.Helper()
	return sc.Keyed(key, sc.Person, ClientGuid, http.MethodDelete, "/appointments/"+visit.String(), body)
}

// RequireFirst requires an answer of 200 that is not a repetition.
func (a Answer) RequireFirst(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Empty(t, a.Header.Get("Idempotency-Replayed"))
}

// RequireReplayed requires the answer to be the first one again, marked as such.
func (a Answer) RequireReplayed(t testing.TB, first Answer) {
	t.Helper()
	require.Equal(t, "true", a.Header.Get("Idempotency-Replayed"))
	require.Equal(t, first.Raw, a.Raw)
	require.NotEqual(t, first.Header.Get("X-Request-ID"), a.Header.Get("X-Request-ID"))
}

// AppointmentOf returns the visit of a booked referral of either type.
func AppointmentOf(a Answer) api.DirectionAppointment {
	if a.Result.ConsultDirection != nil {
		return a.Result.ConsultDirection.Appointment
	}
	return a.Result.LaboratoryDirection.Appointment
}

// Movable asks where a visit of the scene's patient can be moved to.
func (sc *Scene) Movable(appointment uuid.UUID, query string) SlotAnswer {
	sc.T.Helper()
	return sc.Search(sc.Person, "appointmentGuid="+appointment.String()+" "+query)
}

// Blocked is the rule that refuses every cell alike.
func (a SlotAnswer) Blocked(t testing.TB) string {
	t.Helper()
	require.Empty(t, a.Ids(t))
	require.NotNil(t, a.Page.BlockedBy, "%s", a.Raw)
	return string(a.Page.BlockedBy.Rule)
}

// Move asks with the token of a person for an appointment to be moved; a body that is a string is sent as it is.
func (s *Service) Move(person, appointment uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.MoveAs("Bearer "+s.Token(person), appointment, body)
}

// MoveAs moves an appointment with the Authorization header given.
func (s *Service) MoveAs(authorization string, appointment uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Send("/appointments/"+appointment.String()+"/move", body, authorization)
}

// Elsewhere is a third institution of the scene's legal entity, with a doctor, four cells of the same ids, and a card of the patient.
func (sc *Scene) Elsewhere() *Scene {
	sc.T.Helper()
	other := *sc
	other.To, other.Doctor, other.MkabTo, other.Slots = uuid.New(), uuid.New(), uuid.New(), nil
	sc.Exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, $1::uuid::text, name, 'Asia/Yekaterinburg' FROM lpu WHERE guid = $2`, other.To, sc.To)
	sc.Exec(`INSERT INTO resource SELECT $1, $2, kind, name, speciality_code FROM resource WHERE lpu_guid = $3`, other.To, other.Doctor, sc.To)
	other.AddMkab(other.To, other.MkabTo, sc.Person)
	for i := range 4 {
		other.Slots = append(other.Slots, other.AddSlot(other.Doctor, FirstSlotID+i, time.Date(2019, 8, 21, 10, 15*i, 0, 0, Moment.Location()), 1))
	}
	return &other
}

// SlotAnswer is a page of cells, or a refusal.
type SlotAnswer struct {
	Answer

	Page api.SlotPage
}

// Search asks for the cells of the scene's referral as a person. The query is name=value, separated by spaces.
func (sc *Scene) Search(person uuid.UUID, query string) SlotAnswer {
	sc.T.Helper()
	return sc.SlotsOf(sc.Direction, "Bearer "+sc.Token(person), query)
}

// SlotsOf searches cells for a referral with the Authorization header given.
func (s *Service) SlotsOf(direction uuid.UUID, authorization, query string) SlotAnswer {
	s.T.Helper()
	var pairs []string
	for pair := range strings.FieldsSeq(query) {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, name+"="+url.QueryEscape(value))
	}
	request := s.Request(http.MethodGet, "/directions/"+direction.String()+"/slots?"+strings.Join(pairs, "&"), nil)
	request.Header.Set("Authorization", authorization)
	a := SlotAnswer{Answer: s.Do(request)}
	if a.StatusCode == http.StatusOK {
		require.NoError(s.T, json.Unmarshal([]byte(a.Raw), &a.Page))
	}
	return a
}

// Ids are those of the page's cells.
func (a SlotAnswer) Ids(t testing.TB) []int {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	ids := []int{}
	for _, item := range a.Page.Items {
		ids = append(ids, int(item.ID))
	}
	return ids
}

// Told are the page's cells in a few words each.
func (a SlotAnswer) Told(t testing.TB) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	told := []string{}
	for _, item := range a.Page.Items {
		words := fmt.Sprintf("%d %s", item.ID, item.Status)
		if item.Rule != nil {
			words += " " + string(*item.Rule)
		}
		told = append(told, words)
	}
	return told
}

// Institution adds one of the same legal entity, where the scene's patient has a card, with a doctor of the same guid.
func (sc *Scene) Institution(like uuid.UUID, zone string) uuid.UUID {
	sc.T.Helper()
	guid := uuid.New()
	sc.Exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, gen_random_uuid(), 'Соседняя', $3 FROM lpu WHERE guid = $2`, guid, like, zone)
	sc.AddMkab(guid, uuid.New(), sc.Person)
	sc.Exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач Терапевт', '92')`, guid, sc.Doctor)
	return guid
}

// AddSlotIn adds a free cell of 15 minutes in an institution, of the doctor there.
func (sc *Scene) AddSlotIn(lpu uuid.UUID, id int, start time.Time) {
	sc.T.Helper()
	sc.Exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type) VALUES ($1, gen_random_uuid(), $2, $3, $4, $5, 127, 1)`,
		lpu, id, sc.Doctor, start, start.Add(15*time.Minute))
}
