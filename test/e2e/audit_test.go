package e2e_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// auditor reads the audit.
type auditor struct {
	*registrar

	token string
}

// startAuditor returns a reader of the audit, for the given institutions, or all.
func (r *registrar) startAuditor(lpus ...uuid.UUID) *auditor {
	r.T.Helper()
	scopes := []string{booking.ScopeAuditRead}
	return &auditor{r, r.SystemToken(r.AddSystemClient(scopes, lpus...), scopes, lpus...)}
}

func (a *auditor) read(query string) api.AuditPage {
	a.T.Helper()
	return harness.Decode[api.AuditPage](a.T, a.GetAs(a.token, "/audit?"+query))
}

// only returns the only record of a response.
func (a *auditor) only(response harness.Answer) api.AuditRecord {
	a.T.Helper()
	page := a.read("requestId=" + response.Header.Get("X-Request-ID"))
	require.Len(a.T, page.Items, 1)
	return page.Items[0]
}

// compared returns what a rule compared, by name.
func compared(t *testing.T, record api.AuditRecord) map[string]string {
	t.Helper()
	require.NotNil(t, record.Explanation)
	values := map[string]string{}
	for _, value := range record.Explanation.Compared {
		values[value.Name] = value.Value
	}
	return values
}

// Promise: a booking leaves a record that names the patient, the client application, its user, the
// referral, the cell and the visit.
func TestAuditOfABooking(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	a := r.startAuditor()
	body, err := json.Marshal(r.BookingBody())
	require.NoError(t, err)
	request := r.NewRequest(http.MethodPost, "/appointments", strings.NewReader(string(body)))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+r.Token(r.Person))
	request.Header.Set("X-Acting-User", "operator-17")
	booked := r.Do(request)
	require.Equal(t, http.StatusOK, booked.StatusCode, "%s", booked.Raw)
	record := a.only(booked)
	require.Equal(t, "createAppointment", record.Operation)
	require.Equal(t, r.Person, *record.PersonGUID)
	require.Equal(t, harness.ClientGuid, record.ClientGUID)
	require.Equal(t, "operator-17", *record.ActingUser)
	require.EqualValues(t, http.StatusOK, record.Status)
	require.Nil(t, record.Explanation)
	require.Contains(t, record.Objects, api.AuditObject{Kind: "direction", ID: r.Direction.String()})
	require.Contains(t, record.Objects, api.AuditObject{Kind: "lpuTo", ID: r.To.String()})
	visit := harness.AppointmentOf(booked).GUID.String()
	require.Contains(t, record.Objects, api.AuditObject{Kind: "appointment", ID: visit})
}

// Promise: the record of a refused booking has what the rule compared, and nothing personal.
func TestAuditExplainsRefusals(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	a := r.startAuditor()
	r.Exec(`UPDATE slot SET taken = capacity WHERE guid = $1`, r.Slots[0])
	full := r.TryBook()
	full.RequireRefusal(t, "slot_full")
	record := a.only(full)
	require.Equal(t, "slot_full", record.Explanation.Rule)
	require.NotEmpty(t, record.Explanation.Mender)
	values := compared(t, record)
	require.Equal(t, "1", values["slot.capacity"])
	require.Equal(t, "1", values["slot.taken"])
	require.Equal(t, r.Slots[0].String(), values["slot.guid"])

	r.Exec(`UPDATE slot SET taken = 0 WHERE guid = $1`, r.Slots[0])
	visit := r.MustBook()
	again := r.TryBook()
	again.RequireRefusal(t, "direction_already_booked")
	values = compared(t, a.only(again))
	require.Equal(t, visit.String(), values["appointment.guid"])
	require.Equal(t, r.To.String(), values["appointment.lpuGuid"])

	var text string
	require.NoError(t, r.DB.QueryRow(t.Context(), `SELECT string_agg(compared::text || objects::text, '') FROM audit_record`).Scan(&text))
	var personal []string
	rows, err := r.DB.Query(t.Context(), `SELECT unnest(ARRAY[surname, name, patronymic, snils, birth_date::text]) FROM mkab`)
	require.NoError(t, err)
	personal, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, personal)
	for _, value := range personal {
		if value != "" {
			require.NotContains(t, text, value)
		}
	}
}

// Promise: rejected requests leave a record, from the first one whose caller is known. Requests
// without a valid token leave none.
func TestAuditOfRejections(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	a := r.startAuditor()
	foreign := uuid.New()
	visits := func(token string, lpu uuid.UUID) harness.Answer {
		return r.GetAs(token, "/clinic/lpus/"+lpu.String()+"/appointments")
	}
	reader := []string{booking.ScopeVisitRead}
	client := r.AddSystemClient(reader, r.To)
	rejected := visits(r.SystemToken(client, reader, r.To), foreign)
	rejected.RequireRefusal(t, "institution_foreign")
	record := a.only(rejected)
	require.Equal(t, client, record.ClientGUID)
	require.Equal(t, "listVisits", record.Operation)
	require.Contains(t, record.Objects, api.AuditObject{Kind: "lpu", ID: foreign.String()})
	require.Nil(t, record.PersonGUID)

	noScope := visits(a.token, r.To)
	noScope.RequireRefusal(t, "scope_missing")
	require.Equal(t, "scope_missing", a.only(noScope).Explanation.Rule)

	invalid := r.Book(r.Person, `{"DirectionGuid": 1}`)
	invalid.RequireRefusal(t, "field_invalid")
	require.Equal(t, r.Person, *a.only(invalid).PersonGUID)

	request := r.NewRequest(http.MethodGet, "/directions", nil)
	request.Header.Set("Authorization", "Bearer "+r.Token(r.Person))
	request.Header.Set("X-Acting-User", "Иванов Иван")
	named := r.Do(request)
	named.RequireRefusal(t, "field_invalid")
	require.Equal(t, api.FieldProblemInHeader, (*named.Refusal.Details.Fields)[0].In)
	require.Nil(t, a.only(named).ActingUser)

	anonymous := r.Send("/appointments", "{}")
	anonymous.RequireRefusal(t, "token_missing")
	require.Empty(t, a.read("requestId="+anonymous.Header.Get("X-Request-ID")).Items)
}

// Promise: requests without the scope count for the rate of their client application, so that they
// cannot fill the audit. So do imports, although they have places of their own.
func TestAuditOfRejectionsIsLimited(t *testing.T) {
	t.Parallel()
	r := harness.Start(t, func(c *app.Config) { c.ClientRate = 1 }).Scene()
	scopes := []string{booking.ScopeAuditRead}
	for name, send := range map[string]func(token string) harness.Answer{
		"listVisits": func(token string) harness.Answer {
			return r.GetAs(token, "/clinic/lpus/"+r.To.String()+"/appointments")
		},
		"createImport": func(token string) harness.Answer {
			return r.AskAs(token, http.MethodPost, "/registry/imports", harness.Fields{})
		},
	} {
		client := r.AddSystemClient(scopes)
		token := r.SystemToken(client, scopes)
		rejected, answer := 0, send(token)
		for ; answer.Refusal.Rule == "scope_missing"; answer = send(token) {
			rejected++
			require.Less(t, rejected, 50, name)
		}
		answer.RequireRefusal(t, "too_many_requests")
		require.Equal(t, rejected, r.Count(`SELECT count(*) FROM audit_record WHERE client_guid = $1`, client), name)
	}
}

// Promise: a page of an institution's visits leaves a record for each of its patients.
func TestAuditOfAList(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	a := r.startAuditor()
	r.MustBook()
	scopes := []string{booking.ScopeVisitRead}
	token := r.SystemToken(r.AddSystemClient(scopes, r.To), scopes, r.To)
	require.Equal(t, http.StatusOK, r.GetAs(token, "/clinic/lpus/"+r.To.String()+"/appointments").StatusCode)
	page := a.read("personGuid=" + r.Person.String() + "&limit=1")
	require.Equal(t, "listVisits", page.Items[0].Operation)
	require.NotNil(t, page.Next)
	page = a.read("personGuid=" + r.Person.String() + "&limit=1&cursor=" + url.QueryEscape(*page.Next))
	require.Equal(t, "createAppointment", page.Items[0].Operation)
}

// Promise: a client application that does not act for every institution reads the records of its
// own requests only. Reading leaves a record, too.
func TestAuditOfOthersIsNotRead(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	region, clinic := r.startAuditor(), r.startAuditor(r.To)
	booked := r.TryBook()
	require.Len(t, region.read("").Items, 1)
	require.Empty(t, clinic.read("personGuid="+r.Person.String()).Items)
	require.Empty(t, clinic.read("requestId="+booked.Header.Get("X-Request-ID")).Items)
	require.Empty(t, clinic.read("clientGuid="+harness.ClientGuid.String()).Items)
	own := clinic.read("").Items
	require.Len(t, own, 3)
	for _, record := range own {
		require.Equal(t, "listAudit", record.Operation)
	}
	require.Len(t, region.read("personGuid="+r.Person.String()).Items, 2, "the booking, and who has asked for it")
}

// Promise: whose referral another guid is, only a client application of every institution learns.
func TestAuditHidesOtherPatients(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	other, direction := c.AddPatient()
	refused := c.bookFor(c.Person, harness.Fields{"DirectionGuid": direction})
	refused.RequireRefusal(t, "direction_not_patients")
	record := c.startAuditor().only(refused)
	require.Equal(t, c.Person, *record.PersonGUID)
	require.Equal(t, other.String(), compared(t, record)["direction.personGuid"])
	require.NotContains(t, compared(t, record), "direction.specialityCode")

	scopes := []string{booking.ScopeAuditRead}
	c.Exec(`UPDATE client_application SET scopes = scopes || $1::text[] WHERE guid = $2`, scopes, c.client)
	clinic := &auditor{c.registrar, c.SystemToken(c.client, scopes, c.To)}
	record = clinic.only(refused)
	require.Equal(t, "direction_not_patients", record.Explanation.Rule)
	require.NotContains(t, compared(t, record), "direction.personGuid")
}

// Promise: a bound that no record can have is rejected, and is not «no bound».
func TestAuditRejectsImpossiblePeriods(t *testing.T) {
	t.Parallel()
	a := startRegistrar(t).startAuditor()
	for query, field := range map[string]string{
		"from=0000-01-01T00:00:00Z":                         "from",
		"to=0001-01-01T00:00:00Z":                           "to",
		"to=9999-12-31T23:59:59-14:00":                      "to",
		"from=2019-08-21T00:00:00Z&to=2019-08-21T00:00:00Z": "to",
	} {
		for _, path := range []string{"/audit?", "/audit/fhir?"} {
			answer := a.GetAs(a.token, path+query)
			answer.RequireRefusal(t, "field_invalid")
			require.Contains(t, answer.Refusal.Message, "Поле "+field+": ")
		}
	}
}

// Promise: the export has the same records as AuditEvents, page by page.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	a := r.startAuditor()
	r.TryBook()
	r.TryBook().RequireRefusal(t, "direction_already_booked")
	path := "/audit/fhir?limit=1&personGuid=" + r.Person.String()
	first := a.GetAs(a.token, path)
	require.Equal(t, "application/fhir+json", first.Header.Get("Content-Type"))
	bundle := harness.Decode[api.AuditBundle](t, first)
	event := bundle.Entry[0].Resource
	require.Equal(t, "4", event.Outcome)
	require.Equal(t, "direction_already_booked", *event.OutcomeDesc)
	require.Equal(t, "C", *event.Action)
	require.Equal(t, "urn:uuid:"+r.Person.String(), event.Entity[0].What.Identifier.Value)
	second := harness.Decode[api.AuditBundle](t, a.GetAs(a.token, bundle.Link[0].URL))
	require.Equal(t, "createAppointment", second.Entry[0].Resource.Subtype[0].Code)
	require.Equal(t, "0", second.Entry[0].Resource.Outcome)
}

// Promise: neither the owner nor the service's role changes or deletes records, in the table or in
// a partition. The service needs no more than INSERT and SELECT.
func TestAuditIsAppendOnly(t *testing.T) {
	t.Parallel()
	owner := harness.Start(t).Scene()
	owner.MustBook()
	partition := "audit_record_" + harness.Moment.UTC().Format("200601")
	for _, statement := range []string{
		`UPDATE audit_record SET rule = 'x'`, `DELETE FROM audit_record`, `TRUNCATE audit_record`,
		`UPDATE ` + partition + ` SET rule = 'x'`, `DELETE FROM ` + partition, `TRUNCATE ` + partition,
	} {
		_, err := owner.DB.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "42501", statement)
	}
	owner.Stop() // it prepares partitions, which a GRANT of all tables meets
	role := "talon_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	owner.Exec(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'test'`)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := owner.DB.Exec(ctx, `DROP OWNED BY `+role)
		require.NoError(t, err)
		_, err = owner.DB.Exec(ctx, `DROP ROLE `+role)
		require.NoError(t, err)
	})
	owner.Exec(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ` + role)
	owner.Exec(`REVOKE UPDATE, DELETE, TRUNCATE ON audit_record, ` + partition + ` FROM ` + role)
	owner.Exec(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ` + role)
	address, err := url.Parse(string(owner.Config.DatabaseURL))
	require.NoError(t, err)
	address.User = url.UserPassword(role, "test")
	service := harness.StartOn(t, address.String(), func(c *app.Config) { c.MigrateAtStart = false })
	t.Cleanup(service.Stop) // before the role is dropped
	before := owner.Count(`SELECT count(*) FROM audit_record`)
	require.Equal(t, http.StatusOK, service.Get(owner.Person, "/directions").StatusCode)
	require.Equal(t, before+1, owner.Count(`SELECT count(*) FROM audit_record`))
	for _, statement := range []string{
		`UPDATE audit_record SET rule = 'x'`, `DELETE FROM audit_record`, `SELECT audit_drop_partitions(current_date, 7)`,
	} {
		_, err := service.DB.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "permission denied", statement)
	}
	service.AdvanceClock(70 * 24 * time.Hour) // a month without a partition: the owner's function creates it
	require.Equal(t, http.StatusOK, service.Get(owner.Person, "/directions").StatusCode)
}

// Promise: a killed service has lost no record of an answered request.
func TestAuditSurvivesKill(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	process := startServe(t, sc)
	token := "Bearer " + process.token(sc.Person)
	var mu sync.Mutex
	var answered []string
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, process.url+"/directions", nil)
				if err != nil {
					return
				}
				request.Header.Set("Authorization", token)
				response, err := harness.HTTPClient.Do(request)
				if err != nil {
					return // killed
				}
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					mu.Lock()
					answered = append(answered, response.Header.Get("X-Request-ID"))
					mu.Unlock()
				}
			}
		})
	}
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(answered) > 100
	}, 30*time.Second, time.Millisecond)
	require.NoError(t, process.kill())
	wait.Wait()
	require.Equal(t, len(answered), sc.Count(`SELECT count(DISTINCT request_id) FROM audit_record WHERE request_id = ANY($1::uuid[])`, answered))
}

// Promise: while records cannot be written, requests for patients' data get 503 and change nothing,
// and what was in progress is recorded afterwards. Their log lines name the reason, and the metrics
// show that it is not the database.
func TestAuditUnavailable(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, withAdmin).Scene()
	require.Equal(t, http.StatusOK, sc.Get(sc.Person, "/directions").StatusCode)
	before := sc.Count(`SELECT count(*) FROM audit_record`)
	conn, err := pgx.Connect(t.Context(), string(sc.Config.DatabaseURL))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE audit_record IN EXCLUSIVE MODE`)
	require.NoError(t, err)
	sc.Get(sc.Person, "/directions").RequireRefusal(t, "database_unavailable")
	sc.TryBook().RequireRefusal(t, "database_unavailable")
	require.Zero(t, sc.Count(`SELECT count(*) FROM appointment`), "rejected before it books")
	require.Regexp(t, `"cause":"audit records cannot be written now: [^"]+"`, sc.Logs.String())
	values := scrape(t, sc.Service)
	require.InDelta(t, 0, values["talon_ready"], 0)
	require.InDelta(t, 1, values["talon_database_ready"], 0)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Eventually(t, func() bool {
		return sc.Count(`SELECT count(*) FROM audit_record`) == before+1
	}, 20*time.Second, 10*time.Millisecond)
	books := func() bool { return sc.TryBook().StatusCode == http.StatusOK }
	require.Eventually(t, books, 20*time.Second, 50*time.Millisecond)
}

// Promise: a lock of the cards, by which the patients of messages are found, rejects no request
// whose record shares a batch with such a message.
func TestAuditBehindALockOfTheCards(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	a := r.startAuditor()
	scopes := []string{booking.ScopePatientWrite}
	token := r.SystemToken(r.AddSystemClient(scopes, r.To), scopes, r.To)
	send := func() harness.Answer {
		return r.sendAs(token, http.MethodPut, "/cards/"+r.MkabTo.String(), harness.Fields{})
	}
	tx := r.Begin()
	_, err := tx.Exec(t.Context(), `LOCK TABLE mkab IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	message := send()
	message.RequireRefusal(t, "field_invalid")
	r.Book(r.Person, `{"DirectionGuid": 1}`).RequireRefusal(t, "field_invalid")
	require.NoError(t, tx.Rollback(t.Context()))
	record := a.only(message)
	require.Nil(t, record.PersonGUID)
	require.Contains(t, record.Objects, api.AuditObject{Kind: "card", ID: r.MkabTo.String()})
	require.Equal(t, r.Person, *a.only(send()).PersonGUID)
}

// Promise: a mistake in the grants loses no record. Requests get 503 until it is mended, and are
// rejected before they change something.
func TestAuditWithoutRights(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	before := sc.Count(`SELECT count(*) FROM audit_record`)
	sc.Exec(`ALTER TABLE audit_record RENAME TO audit_record_elsewhere`)
	sc.Get(sc.Person, "/directions").RequireRefusal(t, "database_unavailable")
	sc.TryBook().RequireRefusal(t, "database_unavailable")
	require.Zero(t, sc.Count(`SELECT count(*) FROM appointment`))
	sc.Exec(`ALTER TABLE audit_record_elsewhere RENAME TO audit_record`)
	require.Eventually(t, func() bool {
		return sc.Count(`SELECT count(*) FROM audit_record`) == before+1
	}, 20*time.Second, 10*time.Millisecond)
	books := func() bool { return sc.TryBook().StatusCode == http.StatusOK }
	require.Eventually(t, books, 20*time.Second, 50*time.Millisecond)
}

// Promise: a request is recorded for its own patient only, whatever else it names.
func TestAuditNamesNoOthers(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	a := r.startAuditor()
	other := uuid.NewString()
	query := r.Get(r.Person, "/directions?personGuid="+other+"&PersonGuid="+other)
	require.Equal(t, r.Person, *a.only(query).PersonGUID)
	body := r.Book(r.Person, `{"PersonGuid": "`+other+`", "x": {"PersonGuid": "`+uuid.NewString()+`"}}`)
	require.Equal(t, r.Person, *a.only(body).PersonGUID)
}

// Promise: months that ended more than the configured days ago are dropped. A wrong clock drops
// none.
func TestAuditRetention(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, func(c *app.Config) { c.KeepAuditDays = 40 }).Scene()
	sc.Get(sc.Person, "/directions")
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM audit_record`))
	sweep := func(days int) {
		sc.Exec(`SELECT audit_drop_partitions($1::date, 40)`, harness.Moment.AddDate(0, 0, days))
	}
	sweep(50) // 9 October: August ended 39 days ago
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM audit_record`))
	_, err := sc.DB.Exec(t.Context(), `SELECT audit_drop_partitions(current_date + 2, 40)`)
	require.ErrorContains(t, err, "until today")
	day := harness.Moment.AddDate(0, 0, 52) // two instances sweep at the same time
	tx := sc.Begin()
	_, err = tx.Exec(t.Context(), `SELECT audit_drop_partitions($1::date, 40)`, day)
	require.NoError(t, err)
	dropped := make(chan error, 1)
	go func() {
		_, err := sc.DB.Exec(t.Context(), `SELECT audit_drop_partitions($1::date, 40)`, day)
		dropped <- err
	}()
	sc.WaitForBlocked()
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-dropped)
	require.Zero(t, sc.Count(`SELECT count(*) FROM audit_record`))
}

// Promise: an instance that finds the partition of a month waits for the transaction that creates
// it. Until that has ended, the partition may accept no records.
func TestAuditPartitionsAreAwaited(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Get(sc.Person, "/directions")
	tx := sc.Begin()
	_, err := tx.Exec(t.Context(), `LOCK TABLE audit_record IN SHARE UPDATE EXCLUSIVE MODE`) // as the creator does
	require.NoError(t, err)
	_, err = sc.DB.Exec(t.Context(), `SELECT audit_partitions($1::date)`, harness.Moment)
	require.ErrorContains(t, err, "lock timeout")
}

// served is talon serve as a process of its own.
type served struct {
	t       *testing.T
	process *exec.Cmd
	key     *auth.SigningKey
	url     string
}

// startServe starts the service as a process on the database of a scene. Its clock is the real one.
func startServe(t *testing.T, sc *harness.Scene) *served {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	process := newProcess(t, "talon", append(os.Environ(),
		"DATABASE_URL="+string(sc.Config.DatabaseURL), "TALON_ADDR="+address, "TALON_MIGRATE=false",
		"TALON_TOKEN_ISSUER=issuer", "TALON_TOKEN_AUDIENCE=talon", "TALON_PEM_FILE="+sc.Config.PEMFile), "serve")
	require.NoError(t, process.Start())
	s := &served{t, process, sc.Key, "http://" + address}
	require.Eventually(t, func() bool {
		response, err := harness.HTTPClient.Get(s.url + "/health/ready")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond)
	return s
}

func (s *served) token(person uuid.UUID) string {
	caller := auth.Caller{Person: person, Client: harness.ClientGuid}
	signed, err := s.key.Sign(caller, "issuer", "talon", time.Now(), time.Hour)
	require.NoError(s.t, err)
	return signed
}

// kill ends the process as kill -9 does.
func (s *served) kill() error {
	if err := s.process.Process.Kill(); err != nil {
		return err
	}
	_ = s.process.Wait() // its error is the kill
	return nil
}
