package e2e_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/events"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// Promise: every rule can be provoked, and the response is exactly the contract's example.
func TestDocumentedResponses(t *testing.T) {
	t.Parallel()
	examples := harness.ContractDoc().Components.Examples
	require.ElementsMatch(t, slices.Collect(maps.Keys(ruleScenarios)), ruleNames(t), "each rule has a scenario")
	for name, provoke := range ruleScenarios {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			example := examples[string(name)]
			require.NotNil(t, example, "the rule has an example in the contract")
			raw, err := json.Marshal(example.Value.Value)
			require.NoError(t, err)
			var want api.Error
			require.NoError(t, json.Unmarshal(raw, &want))

			got := provoke(t)
			require.Equal(t, int(want.Code), got.StatusCode, "%s", got.Raw)
			got.Refusal.RequestID = want.RequestID
			copyExampleGuids(t, got.Refusal.Details, want.Details)
			require.Equal(t, want, got.Refusal)
		})
	}
}

// ruleScenarios provokes each rule over HTTP on a real PostgreSQL. The response is the contract's
// example of that name.
var ruleScenarios = map[booking.Name]func(t *testing.T) harness.Answer{
	server.TokenMissing: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.Post(sc.BookingBody())
	},
	server.TokenInvalid: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.Post(sc.BookingBody(), "Bearer not-a-token")
	},
	server.TokenExpired: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		token, err := sc.Key.Sign(auth.Caller{Person: sc.Person, Client: harness.ClientGuid}, "issuer", "talon",
			harness.Moment.Add(-time.Hour), time.Minute)
		require.NoError(t, err)
		return sc.Post(sc.BookingBody(), "Bearer "+token)
	},
	server.TokenSignatureInvalid: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		token := sc.Token(sc.Person)
		signature := token[strings.LastIndexByte(token, '.')+1:]
		return sc.Post(sc.BookingBody(),
			"Bearer "+strings.TrimSuffix(token, signature)+strings.Repeat("A", len(signature)))
	},

	server.ScopeMissing: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		client := sc.AddSystemClient([]string{"visit:read"}, sc.To)
		return sc.GetAs(sc.SystemToken(client, []string{"visit:read"}, sc.To), "/registry/lpus/"+sc.To.String())
	},
	server.InstitutionForeign: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		client := sc.AddSystemClient([]string{"admin"}, sc.To)
		return sc.GetAs(sc.SystemToken(client, []string{"admin"}, sc.To), "/registry/lpus/"+sc.From.String())
	},

	server.BodyTooLarge: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.TryBook(harness.Fields{"VisitComment": strings.Repeat("x", 64<<10)})
	},
	server.MediaTypeUnsupported: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		request := sc.NewRequest(http.MethodPost, "/appointments", strings.NewReader("SlotId=1"))
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return sc.Do(request)
	},
	server.BodyMalformed: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.Book(sc.Person, `{"SlotId":1,"SlotId":2}`)
	},
	booking.FieldInvalid: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.TryBook(harness.Fields{"Difficulty": 0})
	},

	booking.DirectionTypeUnsupported: func(t *testing.T) harness.Answer {
		return harness.Start(t).Scene().TryBook(harness.Fields{"DirectionType": "hospital"})
	},
	booking.DirectionNotFound: func(t *testing.T) harness.Answer {
		return harness.Start(t).Scene().TryBook(harness.Fields{"DirectionType": "laboratory"})
	},
	booking.DirectionNotPatients: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.Book(uuid.New(), sc.BookingBody())
	},
	booking.DirectionLpuMismatch: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		other := uuid.New()
		sc.Exec(`INSERT INTO legal_entity VALUES ($1, 'Другое')`, other)
		sc.Exec(`INSERT INTO lpu VALUES ($1, $1, '3', 'Другая', 'Europe/Moscow')`, other)
		return sc.TryBook(harness.Fields{"LpuToGuid": other})
	},
	booking.DirectionAlreadyBooked: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		require.Equal(t, 200, sc.TryBook().StatusCode)
		return sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 1})
	},
	booking.DirectionExpired: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.SetSetting(uuid.Nil, "DirectionExpires", "true")
		sc.Exec(`UPDATE direction SET date_end = '2019-08-19'`)
		return sc.TryBook()
	},

	booking.SlotNotFound: func(t *testing.T) harness.Answer {
		return harness.Start(t).Scene().TryBook(harness.Fields{"SlotId": 1})
	},
	booking.SlotResourceNotFound: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE resource SET active = false`)
		return sc.TryBook()
	},
	booking.ScheduleStale: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.SetSetting(sc.To, "ScheduleFreshHours", "24")
		sc.Exec(`INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at) VALUES ($1, $2, 1, $3)`,
			sc.To, sc.Doctor, harness.Moment.Add(-24*time.Hour-time.Second))
		return sc.TryBook()
	},
	booking.SlotNotForReception: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE slot SET busy_type = 2`)
		return sc.TryBook()
	},
	booking.SlotUnavailable: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE slot SET blocked = true`)
		return sc.TryBook()
	},
	booking.SlotTimePassed: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE slot SET start_at = $1`, harness.Moment.Add(-time.Second))
		return sc.TryBook()
	},
	booking.SlotBeyondHorizon: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.SetSetting(harness.ClientGuid, "scheduleDays", "14")
		sc.Exec(`UPDATE slot SET ` + harness.Shift("start_at", "interval '14 days'") + `, ` + harness.Shift("end_at", "interval '14 days'"))
		return sc.TryBook()
	},
	booking.SlotAccessDenied: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE client_application SET visit_direction_other_lpu = 4`)
		sc.Exec(`UPDATE slot SET flag_access = 64`)
		return sc.TryBook()
	},
	booking.SlotFull: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE slot SET taken = capacity WHERE id = $1`, harness.FirstSlotID)
		return sc.TryBook()
	},

	booking.ResourceKindMismatch: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE resource SET kind = 'equipment'`)
		return sc.TryBook()
	},
	booking.SpecialityMismatch: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE resource SET speciality_code = '93'`)
		return sc.TryBook()
	},

	// The patient is 18 the day after the visit.
	booking.SlotAdultsOnly:   bookRestrictedSlot("adults", "UPDATE mkab SET birth_date = '2001-08-22'"),
	booking.SlotChildrenOnly: bookRestrictedSlot("children", ""),
	booking.SlotInfantsOnly:  bookRestrictedSlot("infants", "UPDATE mkab SET birth_date = '2018-08-21'"),
	booking.SlotDisabledOnly: bookRestrictedSlot("disabled", ""),
	booking.SlotPregnantOnly: bookRestrictedSlot("pregnant", ""),
	booking.SlotHealthyChildrenOnly: bookRestrictedSlot("healthy_children",
		`UPDATE mkab SET birth_date = '2010-01-01'; INSERT INTO tap SELECT lpu_guid, gen_random_uuid(), guid, '2019-08-13' FROM mkab`),

	booking.SpecialityAlreadyBooked: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		require.Equal(t, 200, sc.TryBook().StatusCode)
		another := uuid.New()
		sc.AddDirection(another, "Consult")
		return sc.TryBook(harness.Fields{"DirectionGuid": another, "SlotId": harness.FirstSlotID + 1})
	},

	booking.MkabClosed: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, harness.Moment, sc.To)
		return sc.TryBook()
	},
	booking.MkabAbsent: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`DELETE FROM mkab WHERE lpu_guid = $1`, sc.To)
		return sc.TryBook()
	},

	booking.MipAuthURLEmpty: func(t *testing.T) harness.Answer {
		sc := harness.Start(t, func(c *app.Config) { c.MipURL = "http://127.0.0.1:9/fhir" }).Scene()
		sc.AllowMkabCreation()
		return sc.TryBook()
	},
	booking.MipAuthURLUnreachable: func(t *testing.T) harness.Answer {
		down := httptest.NewServer(nil)
		down.Close()
		sc := harness.Start(t, func(c *app.Config) {
			c.MipURL, c.MipAuthURL = app.Address(down.URL), app.Address(down.URL)
		}).Scene()
		sc.AllowMkabCreation()
		a := sc.TryBook()
		// The example has another address.
		a.Refusal.Message = strings.ReplaceAll(a.Refusal.Message, down.URL, "https://auth.example/token")
		return a
	},
	booking.MipPersonNotFound:     bookWithoutMkab(`DELETE FROM mip_person_data; DELETE FROM mip_person`),
	booking.MipPersonDataMissing:  bookWithoutMkab(`DELETE FROM mip_person_data`),
	booking.MkabPolicyNumberEmpty: bookWithoutMkab(`UPDATE mip_person_data SET policy_number = ''`),
	booking.MkabSexEmpty:          bookWithoutMkab(`UPDATE mip_person_data SET sex = NULL`),
	booking.MkabSurnameEmpty:      bookWithoutMkab(`UPDATE mip_person_data SET surname = ''`),
	booking.MkabNameEmpty:         bookWithoutMkab(`UPDATE mip_person_data SET name = ''`),
	booking.MkabLpuNotFound:       bookWithoutMkab(`UPDATE setting SET value = 'no such code' WHERE code = 'PolyclinicCode'`),
	booking.MkabPolicyLinkFailed: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.AllowMkabCreation()
		sc.AddTrigger(discardInserts("mkab"))
		return sc.TryBook()
	},

	booking.SlotTaken: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.TryBookDuring(`UPDATE slot SET taken = capacity WHERE id = $1`, harness.FirstSlotID)
	},
	booking.ComplexSlotFailed: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, sc.Slots[1])
		return sc.TryBook(harness.Fields{"Difficulty": 2})
	},
	booking.AppointmentNotCreated: bookAfter(discardInserts("appointment")),
	booking.AppointmentNotFound:   bookAfter("TRIGGER fault AFTER INSERT ON appointment", `EXECUTE format('DELETE FROM %s WHERE guid = $1', TG_RELID::regclass) USING NEW.guid; RETURN NULL;`),
	booking.AppointmentNotLinked:  bookAfter("TRIGGER fault BEFORE INSERT ON direction", `NEW.appointment_guid := NULL; RETURN NEW;`),

	booking.IdempotencyKeyReused: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		require.Equal(t, 200, sc.BookWithKey("key", sc.Person, harness.ClientGuid).StatusCode)
		return sc.BookWithKey("key", sc.Person, harness.ClientGuid, harness.Fields{"SlotId": harness.FirstSlotID + 1})
	},
	booking.IdempotencyKeyInUse: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		require.Equal(t, 200, sc.BookWithKey("key", sc.Person, harness.ClientGuid).StatusCode)
		sc.Exec(`UPDATE idempotency_key SET answer = NULL`) // as before the commit
		return sc.BookWithKey("key", sc.Person, harness.ClientGuid)
	},
	booking.DirectionAbsent: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.Get(uuid.New(), "/directions/"+sc.Direction.String())
	},
	booking.LpuAbsent: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.Get(sc.Person, "/rules?lpuGuid="+uuid.NewString())
	},
	booking.AppointmentAbsent: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		return sc.Cancel(sc.Person, uuid.New())
	},
	booking.AppointmentStarted: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		booked := harness.AppointmentOf(sc.TryBook()).GUID
		sc.Exec(`UPDATE appointment SET start_at = $1`, harness.Moment.Add(-time.Second))
		return sc.Cancel(sc.Person, booked)
	},
	booking.AppointmentCancelled: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		booked := harness.AppointmentOf(sc.TryBook()).GUID
		sc.Cancel(sc.Person, booked).RequireCancelled(t)
		return sc.Move(sc.Person, booked, harness.Fields{"SlotId": harness.FirstSlotID})
	},
	booking.AppointmentAttended: func(t *testing.T) harness.Answer {
		c := startDesk(t)
		visit := c.MustBook()
		c.atVisit(-time.Hour)
		c.mustAttend(visit, "arrived")
		return c.Cancel(c.Person, visit)
	},

	booking.TooManyHolds: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.MustHold(0)
		sc.MustHold(1, harness.Fields{"Difficulty": 2, "Minutes": 10})
		return sc.Hold(sc.Person, sc.Slots[3], sc.HoldBody())
	},

	booking.ResourceAbsent: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		r.Doctor = uuid.New()
		return r.putDay(1, "keep")
	},
	booking.SlotAbsent: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		return r.send(http.MethodPatch, "/slots/"+uuid.NewString(), harness.Fields{"Version": 1})
	},
	booking.AbsenceAbsent: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		return r.send(http.MethodDelete, r.resource()+"/absences/"+uuid.NewString(), nil)
	},
	booking.ObjectAbsent: func(t *testing.T) harness.Answer {
		r := startRegion(t)
		return r.ask(http.MethodGet, "/registry/legal-entities/"+uuid.NewString(), nil)
	},
	booking.ObjectInUse: func(t *testing.T) harness.Answer {
		r := startRegion(t)
		return r.ask(http.MethodDelete, "/registry/lpus/"+r.To.String()+"?version=1", nil)
	},
	booking.ImportAbsent: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		return r.importRequest(http.MethodGet, uuid.NewString())
	},
	booking.EventsExpired: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		f := r.startFollower(r.To)
		r.Exec(`UPDATE event_recorder SET dropped = 2, position = 2`)
		return f.get("after=" + f.next)
	},
	booking.TooManyImports: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		r.Exec(`INSERT INTO import (guid, client_guid, scopes, lpu_guids, every_lpu, dry_run, on_error, state, created_at, reserved_until)
			SELECT gen_random_uuid(), $1, '{}', '{}', false, false, 'skip', 'uploading', $2, $2::timestamptz + interval '1 hour'
			FROM generate_series(1, 10)`, r.client, r.Now())
		return r.upload("", "application/x-ndjson", "", nil)
	},
	booking.WebhookAbsent: func(t *testing.T) harness.Answer {
		s := startSubscriber(t)
		s.guid = uuid.New()
		return s.ask(http.MethodGet, "", nil)
	},
	booking.TooManyWebhooks: func(t *testing.T) harness.Answer {
		s := startSubscriber(t)
		for range events.MaxWebhooks - 1 {
			s.guid = uuid.New()
			s.mustPut()
		}
		s.guid = uuid.New()
		return s.put()
	},
	booking.ObjectBooked: func(t *testing.T) harness.Answer {
		r := startPatientRegistrar(t)
		r.MustBook()
		return r.withdraw(r.Direction, 1, "refuse")
	},
	booking.MkabOpen: func(t *testing.T) harness.Answer {
		r := startPatientRegistrar(t)
		return r.send(http.MethodPut, "/cards/"+uuid.NewString(), r.card(1))
	},
	booking.GuidForeign: func(t *testing.T) harness.Answer {
		r := startPatientRegistrar(t)
		r.MustBook()
		return r.sendTo(r.To, http.MethodPut, "/referrals/"+r.Direction.String(), r.referral(1, r.MkabTo))
	},
	booking.VersionStale: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		r.putDay(2, "keep").RequireRefusal(t, "")
		return r.putDay(1, "keep")
	},
	booking.VersionConflict: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		r.putDay(1, "keep", r.cell(5)).RequireRefusal(t, "")
		return r.putDay(1, "keep")
	},
	booking.CellOverlap: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		first, second := r.cell(5), r.cell(6)
		second["Start"] = first["Start"]
		first["Guid"], second["Guid"] = "0f5c5c5e-54c9-4fb9-8f9e-3a6b7f1d2a10", "7c1e2b54-8a50-4d0e-9b3b-0d0c7f1b2a01"
		return r.putDay(1, "keep", first, second)
	},
	booking.CellForeign: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		other := uuid.New()
		r.Exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Другой', '92')`, r.To, other)
		stolen := r.cell(5)
		stolen["Guid"] = r.AddSlot(other, 777, harness.Moment.Add(time.Hour), 1)
		return r.putDay(1, "keep", stolen)
	},
	booking.CellBooked: func(t *testing.T) harness.Answer {
		r := startRegistrar(t)
		r.MustBook()
		return r.putDay(1, "refuse")
	},
	booking.AppointmentNotActive: func(t *testing.T) harness.Answer {
		c := startDesk(t)
		visit := c.MustBook()
		c.Cancel(c.Person, visit).RequireCancelled(t)
		return c.attend(visit, "arrived")
	},
	booking.AppointmentVersionMismatch: func(t *testing.T) harness.Answer {
		c := startDesk(t)
		return c.confirm(c.MustBook(), 2, "accepted")
	},
	booking.AttendanceEarly: func(t *testing.T) harness.Answer {
		c := startDesk(t)
		return c.attend(c.MustBook(), "arrived")
	},
	booking.AttendanceFinal: func(t *testing.T) harness.Answer {
		c := startDesk(t)
		visit := c.MustBook()
		c.atVisit(0)
		c.mustAttend(visit, "fulfilled")
		c.AdvanceClock(25 * time.Hour)
		return c.attend(visit, "none")
	},
	booking.ClientUnauthenticated: func(t *testing.T) harness.Answer {
		sc := startWithAuthService(t)
		return sc.IdentifyAs(harness.ClientGuid.String(), "another secret", sc.PersonQuery())
	},
	booking.GrantTypeUnsupported: func(t *testing.T) harness.Answer {
		c := startWithClinic(t)
		return c.RequestToken("grant_type=password", c.asClinic())
	},
	booking.ScopeInvalid: func(t *testing.T) harness.Answer {
		c := startWithClinic(t)
		return c.RequestToken(c.bySecret("scope", "admin"))
	},
	booking.PatientNotIdentified: func(t *testing.T) harness.Answer {
		return startWithAuthService(t).Identify(policyQuery("1980-02-28"))
	},
	booking.TooManyAttempts: func(t *testing.T) harness.Answer {
		sc := startWithAuthService(t)
		for range booking.PatientLimit.Failures {
			sc.Identify(policyQuery("1980-02-28")).RequireRefusal(t, "patient_not_identified")
		}
		return sc.Identify(policyQuery(sceneBirthDate))
	},

	server.RouteNotFound: func(t *testing.T) harness.Answer {
		s := harness.Start(t)
		return s.Do(s.NewRequest(http.MethodGet, "/appointment", nil))
	},
	server.MethodNotAllowed: func(t *testing.T) harness.Answer {
		s := harness.Start(t)
		a := s.Do(s.NewRequest(http.MethodPut, "/appointments", nil))
		require.Equal(t, "GET, POST", a.Header.Get("Allow"))
		return a
	},
	booking.TooManyRequests: func(t *testing.T) harness.Answer {
		sc := harness.Start(t, func(c *app.Config) { c.PersonRate = 1 }).Scene()
		for range 5 {
			require.Equal(t, 200, sc.Get(sc.Person, "/directions").StatusCode)
		}
		return sc.Get(sc.Person, "/directions")
	},
	server.InternalError: func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`ALTER TABLE appointment DROP COLUMN is_cito`)
		a := sc.TryBook()
		require.Contains(t, sc.Logs.String(), "is_cito", "the cause is logged")
		return a
	},
	booking.DatabaseUnavailable: func(t *testing.T) harness.Answer {
		cluster := testdb.Cluster(t)
		s := harness.StartOn(t, cluster.URL("postgres"))
		sc := s.Scene()
		require.NoError(t, cluster.Stop(t.Context()))
		return sc.TryBook()
	},
	booking.MipUnavailable: func(t *testing.T) harness.Answer {
		index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"access_token":"ticket","token_type":"Bearer","expires_in":3600}`))
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
		}))
		t.Cleanup(index.Close)
		sc := harness.Start(t, func(c *app.Config) {
			c.MipURL, c.MipAuthURL = app.Address(index.URL), app.Address(index.URL+"/token")
		}).Scene()
		sc.AllowMkabCreation()
		return sc.TryBook()
	},
	server.KeysUnavailable: func(t *testing.T) harness.Answer {
		down := httptest.NewServer(nil)
		down.Close()
		s := harness.Start(t, func(c *app.Config) { c.JWKSURL, c.PEMFile = app.Address(down.URL), "" })
		sc := s.Scene()
		return sc.TryBook()
	},
	booking.Overloaded: func(t *testing.T) harness.Answer {
		sc := harness.Start(t, func(c *app.Config) { c.Timeout = 300 * time.Millisecond }).Scene()
		// Another transaction locks the cell for longer than the request may take.
		defer sc.LockCells()()
		return sc.TryBook()
	},
	server.NotReady: func(t *testing.T) harness.Answer {
		cluster := testdb.Cluster(t)
		s := harness.StartOn(t, cluster.URL("postgres"))
		require.NoError(t, cluster.Stop(t.Context()))
		return s.Do(s.NewRequest(http.MethodGet, "/health/ready", nil))
	},
}

// bookRestrictedSlot books a cell that is restricted to a group, after a script.
func bookRestrictedSlot(restriction, sql string) func(t *testing.T) harness.Answer {
	return func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.Exec(`UPDATE slot SET restriction = $1::text::slot_restriction`, restriction)
		sc.Exec(sql)
		return sc.TryBook()
	}
}

// bookWithoutMkab books where a card must be created, after a script.
func bookWithoutMkab(sql string) func(t *testing.T) harness.Answer {
	return func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.AllowMkabCreation()
		sc.Exec(sql)
		return sc.TryBook()
	}
}

// bookAfter books in a database with a trigger.
func bookAfter(trigger, body string) func(t *testing.T) harness.Answer {
	return func(t *testing.T) harness.Answer {
		sc := harness.Start(t).Scene()
		sc.AddTrigger(trigger, body)
		return sc.TryBook()
	}
}

// discardInserts returns a trigger that makes a table discard its inserts without an error.
func discardInserts(table string) (trigger, body string) {
	return `TRIGGER fault BEFORE INSERT ON ` + table, `RETURN NULL;`
}

// copyExampleGuids copies the random guids of the example into a response.
func copyExampleGuids(t *testing.T, got, want *api.ErrorDetails) {
	t.Helper()
	if want == nil {
		return
	}
	require.NotNil(t, got)
	if want.Appointment != nil {
		require.NotNil(t, got.Appointment)
		got.Appointment.GUID = want.Appointment.GUID
	}
	if want.Slots != nil {
		require.NotNil(t, got.Slots)
		require.Len(t, *got.Slots, len(*want.Slots))
		for i, slot := range *want.Slots {
			(*got.Slots)[i].GUID, (*got.Slots)[i].Resource.GUID = slot.GUID, slot.Resource.GUID
		}
	}
	if want.Holds != nil {
		require.NotNil(t, got.Holds)
		require.Len(t, *got.Holds, len(*want.Holds))
		for i, hold := range *want.Holds {
			require.Len(t, (*got.Holds)[i].SlotGuids, len(hold.SlotGuids))
			(*got.Holds)[i].SlotGUID, (*got.Holds)[i].SlotGuids = hold.SlotGUID, hold.SlotGuids
		}
	}
	if want.Conflicts != nil {
		require.NotNil(t, got.Conflicts)
		require.Len(t, *got.Conflicts, len(*want.Conflicts))
		for i, conflict := range *want.Conflicts {
			require.Len(t, (*got.Conflicts)[i].Appointments, len(conflict.Appointments))
			(*got.Conflicts)[i].SlotGUID = conflict.SlotGUID
			for n, visit := range conflict.Appointments {
				(*got.Conflicts)[i].Appointments[n].GUID = visit.GUID
			}
		}
	}
}

// ruleNames returns the names of the rule table.
func ruleNames(t *testing.T) []booking.Name {
	t.Helper()
	var names []booking.Name
	for _, rule := range server.Catalogue {
		names = append(names, rule.Name)
	}
	return names
}

// Promise: the rule table, the contract's list of names, its documented order of checks and its
// examples are one list in one order. Each example is listed under its status.
func TestContractListsTheRules(t *testing.T) {
	t.Parallel()
	doc := harness.ContractDoc()
	var listed []booking.Name
	schema := doc.Components.Schemas["Rule"].Value
	for _, name := range schema.Enum {
		listed = append(listed, booking.Name(name.(string)))
	}
	require.Equal(t, ruleNames(t), listed)
	var documented []booking.Name
	for _, quoted := range regexp.MustCompile(`(?m)^\| [0-9]+\..*$`).FindAllString(schema.Description, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(quoted, -1) {
			documented = append(documented, booking.Name(name[1]))
		}
	}
	require.NotEmpty(t, documented)
	ofBooking := slices.DeleteFunc(slices.Clone(listed), func(name booking.Name) bool {
		return server.Catalogue[slices.Index(listed, name)].Group == booking.GroupCaller
	})
	require.Equal(t, ofBooking[:len(documented)], documented)
	for name, example := range doc.Components.Examples {
		if rule := example.Value.Value.(map[string]any)["rule"]; rule != nil {
			require.Equal(t, name, rule)
			require.Contains(t, listed, booking.Name(name))
		}
	}
	for _, rule := range server.Catalogue {
		require.NotNil(t, doc.Components.Examples[string(rule.Name)], rule.Name)
		var found bool
		for _, response := range doc.Components.Responses {
			examples := response.Value.Content.Get("application/json").Examples
			if examples[string(rule.Name)] == nil {
				continue
			}
			found = true
			value := examples[string(rule.Name)].Value.Value.(map[string]any)
			require.EqualValues(t, rule.Status, value["code"], rule.Name)
			require.Equal(t, rule.Code, value["message_code"], rule.Name)
			require.EqualValues(t, rule.Type, value["type"], rule.Name)
		}
		require.True(t, found, "%s is listed under no status", rule.Name)
	}
}
