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

// ListAppointments reads all pages of a person's appointments.
func (s *Service) ListAppointments(person uuid.UUID, query string) []api.PatientAppointment {
	s.T.Helper()
	var all []api.PatientAppointment
	for cursor := ""; ; {
		page := Decode[api.AppointmentPage](s.T, s.Get(person, "/appointments?"+query+cursor))
		all = append(all, page.Items...)
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + *page.Next
	}
}

// SlotOf returns the first cell of an appointment.
func (s *Service) SlotOf(appointment uuid.UUID) uuid.UUID {
	s.T.Helper()
	var slot uuid.UUID
	require.NoError(s.T, s.DB.QueryRow(s.T.Context(), `SELECT slot_guids[1] FROM appointment WHERE guid = $1`, appointment).Scan(&slot))
	return slot
}

// BookWithRandomTimeout books and hangs up after at most 200 ms, whether or not the response has
// come.
func (sc *Scene) BookWithRandomTimeout(person, direction uuid.UUID, slot int) {
	sc.T.Helper()
	body, err := json.Marshal(sc.BookingBody(Fields{"DirectionGuid": direction, "SlotId": slot}))
	require.NoError(sc.T, err)
	ctx, cancel := context.WithTimeout(sc.T.Context(), time.Duration(rand.IntN(200))*time.Millisecond)
	defer cancel()
	request := sc.NewRequest(http.MethodPost, "/appointments", strings.NewReader(string(body))).WithContext(ctx)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.Token(person))
	if response, err := HTTPClient.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// MustBook books with the given changes, requires a 200 response and returns the guid of the
// appointment.
func (sc *Scene) MustBook(changes ...Fields) uuid.UUID {
	sc.T.Helper()
	a := sc.TryBook(changes...)
	require.Equal(sc.T, 200, a.StatusCode, "%s", a.Raw)
	return AppointmentOf(a).GUID
}

// RequireCancelled requires the documented response to a cancel.
func (a Answer) RequireCancelled(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.JSONEq(t, `{"code": 200, "message": "Запись на прием отменена", "message_code": "2000"}`, a.Raw)
}

// CountTaken returns how many places of cells, referrals and specialities active visits occupy.
func (s *Service) CountTaken() int {
	s.T.Helper()
	return s.Count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM speciality_claim) + (SELECT count(*) FROM direction
		WHERE num_nonnulls(appointment_guid, appointment_lpu_guid, appointment_start_at, appointment_end_at) > 0)`)
}

// ListDirections reads all pages of a person's referrals.
func (s *Service) ListDirections(person uuid.UUID, query string) []api.PatientDirection {
	s.T.Helper()
	var all []api.PatientDirection
	for cursor := ""; ; {
		var page api.DirectionPage
		a := s.GetInto(person, "/directions?"+query+cursor, &page)
		require.Equal(s.T, 200, a.StatusCode, "%s", a.Raw)
		all = append(all, page.Items...)
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
}

// GetInto sends a GET request with the token of a person. It decodes a 200 response into the given
// value.
func (s *Service) GetInto(person uuid.UUID, path string, into any) Answer {
	s.T.Helper()
	a := s.Get(person, path)
	if a.StatusCode == http.StatusOK {
		require.NoError(s.T, json.Unmarshal([]byte(a.Raw), into), "%s", a.Raw)
	}
	return a
}

// Hold holds a cell with the token of a person. A string body is sent unchanged, any other as JSON.
func (s *Service) Hold(person, slot uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Send("/slots/"+slot.String()+"/hold", body, "Bearer "+s.Token(person))
}

// Release releases a held cell with the token of a person.
func (s *Service) Release(person, lpu, slot uuid.UUID) Answer {
	s.T.Helper()
	request := s.NewRequest(http.MethodDelete, "/slots/"+slot.String()+"/hold?lpuGuid="+lpu.String(), nil)
	request.Header.Set("Authorization", "Bearer "+s.Token(person))
	return s.Do(request)
}

// HoldBody returns the body of a hold of the scene's patient, with the given changes.
func (sc *Scene) HoldBody(changes ...Fields) Fields {
	return sc.BookingBody(append([]Fields{{"SlotId": nil}}, changes...)...)
}

// MustHold holds the n-th cell of the scene for its patient. It requires a 200 response.
func (sc *Scene) MustHold(n int, changes ...Fields) api.Hold {
	sc.T.Helper()
	return Decode[api.Hold](sc.T, sc.Hold(sc.Person, sc.Slots[n], sc.HoldBody(changes...)))
}

// RequireReleased requires the response to a release.
func (a Answer) RequireReleased(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.JSONEq(t, `{"code": 200, "message": "Удержание ячейки снято", "message_code": "2000"}`, a.Raw)
}

// SendWithKey sends a request with an Idempotency-Key and the token of a person for a client
// application. A body that is not nil is sent as JSON.
func (s *Service) SendWithKey(key string, person, client uuid.UUID, method, path string, body any) Answer {
	s.T.Helper()
	token, err := s.Key.Sign(auth.Caller{Person: person, Client: client}, "issuer", "talon", Moment, time.Hour)
	require.NoError(s.T, err)
	var text []byte
	if body != nil {
		text, err = json.Marshal(body)
		require.NoError(s.T, err)
	}
	request := s.NewRequest(method, path, bytes.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Idempotency-Key", key)
	return s.Do(request)
}

// BookWithKey books with an Idempotency-Key and the token of a person for a client application.
func (sc *Scene) BookWithKey(key string, person, client uuid.UUID, changes ...Fields) Answer {
	sc.T.Helper()
	return sc.SendWithKey(key, person, client, http.MethodPost, "/appointments", sc.BookingBody(changes...))
}

// MoveWithKey moves a visit of the scene's patient with an Idempotency-Key.
func (sc *Scene) MoveWithKey(key string, visit uuid.UUID, body Fields) Answer {
	sc.T.Helper()
	return sc.SendWithKey(key, sc.Person, ClientGuid, http.MethodPost, "/appointments/"+visit.String()+"/move", body)
}

// CancelWithKey cancels a visit of the scene's patient with an Idempotency-Key.
func (sc *Scene) CancelWithKey(key string, visit uuid.UUID, body any) Answer {
	sc.T.Helper()
	return sc.SendWithKey(key, sc.Person, ClientGuid, http.MethodDelete, "/appointments/"+visit.String(), body)
}

// RequireNotReplayed requires a 200 response that is not a replay of an earlier one.
func (a Answer) RequireNotReplayed(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Empty(t, a.Header.Get("Idempotency-Replayed"))
}

// RequireReplayed requires a replay of the first response: the same body, marked as replayed, with
// a new request id.
func (a Answer) RequireReplayed(t testing.TB, first Answer) {
	t.Helper()
	require.Equal(t, "true", a.Header.Get("Idempotency-Replayed"))
	require.Equal(t, first.Raw, a.Raw)
	require.NotEqual(t, first.Header.Get("X-Request-ID"), a.Header.Get("X-Request-ID"))
}

// AppointmentOf returns the appointment in the response to a booking or a move.
func AppointmentOf(a Answer) api.DirectionAppointment {
	if a.Result.ConsultDirection != nil {
		return a.Result.ConsultDirection.Appointment
	}
	return a.Result.LaboratoryDirection.Appointment
}

// SearchForMove lists the cells that a visit of the scene's patient can be moved to.
func (sc *Scene) SearchForMove(appointment uuid.UUID, query string) SlotAnswer {
	sc.T.Helper()
	return sc.Search(sc.Person, "appointmentGuid="+appointment.String()+" "+query)
}

// RequireBlocked requires that one rule rejects every cell. It returns the name of that rule.
func (a SlotAnswer) RequireBlocked(t testing.TB) string {
	t.Helper()
	require.Empty(t, a.IDs(t))
	require.NotNil(t, a.Page.BlockedBy, "%s", a.Raw)
	return a.Page.BlockedBy.Rule
}

// Move moves an appointment with the token of a person. A string body is sent unchanged, any other
// as JSON.
func (s *Service) Move(person, appointment uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.MoveAs("Bearer "+s.Token(person), appointment, body)
}

// MoveAs moves an appointment with the given Authorization header.
func (s *Service) MoveAs(authorization string, appointment uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Send("/appointments/"+appointment.String()+"/move", body, authorization)
}

// AddTargetLpu inserts a third institution of the scene's legal entity, with a doctor, four cells
// of the same ids and a card of the patient. It returns a scene whose target is that institution.
func (sc *Scene) AddTargetLpu() *Scene {
	sc.T.Helper()
	other := *sc
	other.To, other.Doctor, other.MkabTo, other.Slots = uuid.New(), uuid.New(), uuid.New(), nil
	sc.Exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, $1::uuid::text, name, 'Asia/Yekaterinburg' FROM lpu WHERE guid = $2`, other.To, sc.To)
	sc.Exec(`INSERT INTO resource SELECT $1, $2, kind, name, speciality_code FROM resource WHERE lpu_guid = $3`, other.To, other.Doctor, sc.To)
	other.AddMkab(other.To, other.MkabTo, sc.Person)
	for i := range 4 {
		other.Slots = append(other.Slots,
			other.AddSlot(other.Doctor, FirstSlotID+i, time.Date(2019, 8, 21, 10, 15*i, 0, 0, Moment.Location()), 1))
	}
	return &other
}

// SlotAnswer is the response to a search: a page of cells or a refusal.
type SlotAnswer struct {
	Answer

	Page api.SlotPage
}

// Search lists the cells for the scene's referral with the token of a person. The query is a list
// of name=value pairs, separated by spaces.
func (sc *Scene) Search(person uuid.UUID, query string) SlotAnswer {
	sc.T.Helper()
	return sc.SearchSlots(sc.Direction, "Bearer "+sc.Token(person), query)
}

// SearchSlots lists the cells for a referral with the given Authorization header.
func (s *Service) SearchSlots(direction uuid.UUID, authorization, query string) SlotAnswer {
	s.T.Helper()
	var pairs []string
	for pair := range strings.FieldsSeq(query) {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, name+"="+url.QueryEscape(value))
	}
	request := s.NewRequest(http.MethodGet, "/directions/"+direction.String()+"/slots?"+strings.Join(pairs, "&"), nil)
	request.Header.Set("Authorization", authorization)
	a := SlotAnswer{Answer: s.Do(request)}
	if a.StatusCode == http.StatusOK {
		require.NoError(s.T, json.Unmarshal([]byte(a.Raw), &a.Page))
	}
	return a
}

// IDs requires a 200 response and returns the ids of the page's cells.
func (a SlotAnswer) IDs(t testing.TB) []int {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	ids := []int{}
	for _, item := range a.Page.Items {
		ids = append(ids, int(item.ID))
	}
	return ids
}

// Summaries requires a 200 response and returns a line for each cell of the page: its id, its
// status, and the rule if there is one.
func (a SlotAnswer) Summaries(t testing.TB) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	lines := []string{}
	for _, item := range a.Page.Items {
		line := fmt.Sprintf("%d %s", item.ID, item.Status)
		if item.Rule != nil {
			line += " " + *item.Rule
		}
		lines = append(lines, line)
	}
	return lines
}

// AddLpu inserts an institution of the same legal entity as another one. It has a card of the
// scene's patient and a doctor with the guid of the scene's doctor.
func (sc *Scene) AddLpu(like uuid.UUID, zone string) uuid.UUID {
	sc.T.Helper()
	guid := uuid.New()
	sc.Exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, gen_random_uuid(), 'Соседняя', $3 FROM lpu WHERE guid = $2`, guid, like, zone)
	sc.AddMkab(guid, uuid.New(), sc.Person)
	sc.Exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач Терапевт', '92')`, guid, sc.Doctor)
	return guid
}

// Institutions lists all institutions of a referral, page by page, with the given Authorization
// header and the query of the first page, such as ?limit=1.
func (s *Service) Institutions(direction uuid.UUID, authorization, query string) []api.ServingInstitution {
	s.T.Helper()
	var items []api.ServingInstitution
	for cursor := ""; ; {
		path := "/directions/" + direction.String() + "/institutions" + query + cursor
		request := s.NewRequest(http.MethodGet, path, nil)
		request.Header.Set("Authorization", authorization)
		page := Decode[api.InstitutionPage](s.T, s.Do(request))
		items = append(items, page.Items...)
		if page.Next == nil {
			return items
		}
		cursor = "&cursor=" + *page.Next
	}
}

// AddSlotIn inserts a free cell of 15 minutes of the doctor that AddLpu inserted.
func (sc *Scene) AddSlotIn(lpu uuid.UUID, id int, start time.Time) {
	sc.T.Helper()
	sc.Exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type) VALUES ($1, gen_random_uuid(), $2, $3, $4, $5, 127, 1)`,
		lpu, id, sc.Doctor, start, start.Add(15*time.Minute))
}
