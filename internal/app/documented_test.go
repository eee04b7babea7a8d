package app_test

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
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// scenarios make each documented answer happen, over HTTP and on a real PostgreSQL. Each answers what the contract's example of that name shows.
var scenarios = map[booking.Name]func(t *testing.T) answer{
	booking.TokenMissing: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.post(sc.request())
	},
	booking.TokenInvalid: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.post(sc.request(), "Bearer not-a-token")
	},
	booking.TokenExpired: func(t *testing.T) answer {
		sc := start(t).scene()
		token, err := sc.key.Sign(auth.Token{Person: sc.person, Client: clientGuid}, "issuer", "talon", moment.Add(-time.Hour), time.Minute)
		require.NoError(t, err)
		return sc.post(sc.request(), "Bearer "+token)
	},
	booking.TokenSignatureInvalid: func(t *testing.T) answer {
		sc := start(t).scene()
		token := sc.token(sc.person)
		signature := token[strings.LastIndexByte(token, '.')+1:]
		return sc.post(sc.request(), "Bearer "+strings.TrimSuffix(token, signature)+strings.Repeat("A", len(signature)))
	},

	booking.BodyTooLarge: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.attempt(fields{"VisitComment": strings.Repeat("x", 64<<10)})
	},
	booking.MediaTypeUnsupported: func(t *testing.T) answer {
		sc := start(t).scene()
		request := sc.service.request(http.MethodPost, "/appointments", strings.NewReader("SlotId=1"))
		request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return sc.do(request)
	},
	booking.BodyMalformed: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.book(sc.person, `{"SlotId":1,"SlotId":2}`)
	},
	booking.FieldInvalid: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.attempt(fields{"Difficulty": 0})
	},

	booking.DirectionTypeUnsupported: func(t *testing.T) answer {
		return start(t).scene().attempt(fields{"DirectionType": "hospital"})
	},
	booking.DirectionNotFound: func(t *testing.T) answer {
		return start(t).scene().attempt(fields{"DirectionType": "laboratory"})
	},
	booking.DirectionNotPatients: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.book(uuid.New(), sc.request())
	},
	booking.DirectionLpuMismatch: func(t *testing.T) answer {
		sc := start(t).scene()
		other := uuid.New()
		sc.exec(`INSERT INTO legal_entity VALUES ($1, 'Другое')`, other)
		sc.exec(`INSERT INTO lpu VALUES ($1, $1, '3', 'Другая', 'Europe/Moscow')`, other)
		return sc.attempt(fields{"LpuToGuid": other})
	},
	booking.DirectionAlreadyBooked: func(t *testing.T) answer {
		sc := start(t).scene()
		require.Equal(t, 200, sc.attempt().StatusCode)
		return sc.attempt(fields{"SlotId": firstSlotID + 1})
	},
	booking.DirectionHasExpired: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.set(uuid.Nil, "DirectionExpires", "true")
		sc.exec(`UPDATE direction SET date_end = '2019-08-19'`)
		return sc.attempt()
	},

	booking.SlotNotFound: func(t *testing.T) answer {
		return start(t).scene().attempt(fields{"SlotId": 1})
	},
	booking.SlotResourceNotFound: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE resource SET active = false`)
		return sc.attempt()
	},
	booking.SlotNotForReception: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE slot SET busy_type = 2`)
		return sc.attempt()
	},
	booking.SlotUnavailable: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE slot SET blocked = true`)
		return sc.attempt()
	},
	booking.SlotTimePassed: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE slot SET start_at = $1`, moment.Add(-time.Second))
		return sc.attempt()
	},
	booking.SlotBeyondHorizon: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.set(clientGuid, "scheduleDays", "14")
		sc.exec(`UPDATE slot SET start_at = start_at + interval '14 days', end_at = end_at + interval '14 days'`)
		return sc.attempt()
	},
	booking.SlotAccessDenied: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE client_application SET visit_direction_other_lpu = 4`)
		sc.exec(`UPDATE slot SET flag_access = 64`)
		return sc.attempt()
	},
	booking.SlotFull: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE slot SET taken = capacity WHERE id = $1`, firstSlotID)
		return sc.attempt()
	},

	booking.ResourceKindMismatch: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE resource SET kind = 'equipment'`)
		return sc.attempt()
	},
	booking.SpecialityMismatch: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE resource SET speciality_code = '93'`)
		return sc.attempt()
	},

	booking.SlotAdultsOnly:   restricted("adults", "UPDATE mkab SET birth_date = '2001-08-22'"), // 18 the day after the visit
	booking.SlotChildrenOnly: restricted("children", ""),
	booking.SlotInfantsOnly:  restricted("infants", "UPDATE mkab SET birth_date = '2018-08-21'"),
	booking.SlotDisabledOnly: restricted("disabled", ""),
	booking.SlotPregnantOnly: restricted("pregnant", ""),
	booking.SlotHealthyChildrenOnly: restricted("healthy_children",
		`UPDATE mkab SET birth_date = '2010-01-01'; INSERT INTO tap SELECT lpu_guid, gen_random_uuid(), guid, '2019-08-13' FROM mkab`),

	booking.SpecialityAlreadyBooked: func(t *testing.T) answer {
		sc := start(t).scene()
		require.Equal(t, 200, sc.attempt().StatusCode)
		another := uuid.New()
		sc.addDirection(another, "Consult")
		return sc.attempt(fields{"DirectionGuid": another, "SlotId": firstSlotID + 1})
	},

	booking.MkabClosed: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, sc.to)
		return sc.attempt()
	},
	booking.MkabAbsent: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`DELETE FROM mkab WHERE lpu_guid = $1`, sc.to)
		return sc.attempt()
	},

	booking.MipAuthURLEmpty: func(t *testing.T) answer {
		sc := start(t, func(c *app.Config) { c.MipURL = "http://127.0.0.1:9/fhir" }).scene()
		sc.allowMkab()
		return sc.attempt()
	},
	booking.MipAuthURLUnreachable: func(t *testing.T) answer {
		down := httptest.NewServer(nil)
		down.Close()
		sc := start(t, func(c *app.Config) { c.MipURL, c.MipAuthURL = app.Address(down.URL), app.Address(down.URL) }).scene()
		sc.allowMkab()
		a := sc.attempt()
		// The example shows an address of its own.
		a.error.Message = strings.ReplaceAll(a.error.Message, down.URL, "https://auth.example/token")
		return a
	},
	booking.MipPersonNotFound:     withoutMkab(`DELETE FROM mip_person_data; DELETE FROM mip_person`),
	booking.MipPersonDataMissing:  withoutMkab(`DELETE FROM mip_person_data`),
	booking.MkabPolicyNumberEmpty: withoutMkab(`UPDATE mip_person_data SET policy_number = ''`),
	booking.MkabSexEmpty:          withoutMkab(`UPDATE mip_person_data SET sex = NULL`),
	booking.MkabSurnameEmpty:      withoutMkab(`UPDATE mip_person_data SET surname = ''`),
	booking.MkabNameEmpty:         withoutMkab(`UPDATE mip_person_data SET name = ''`),
	booking.MkabLpuNotFound:       withoutMkab(`UPDATE setting SET value = 'no such code' WHERE code = 'PolyclinicCode'`),
	booking.MkabPolicyLinkFailed:  withoutMkab(swallow("mkab")),

	booking.SlotTaken: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.attemptWhile(`UPDATE slot SET taken = capacity WHERE id = $1`, firstSlotID)
	},
	booking.ComplexSlotFailed: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, sc.slots[1])
		return sc.attempt(fields{"Difficulty": 2})
	},
	booking.AppointmentNotCreated: withTrigger(swallow("appointment")),
	booking.AppointmentNotFound: withTrigger(`
		CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			DELETE FROM appointment WHERE guid = NEW.guid;
			RETURN NULL;
		END $$;
		CREATE TRIGGER vanish AFTER INSERT ON appointment FOR EACH ROW EXECUTE FUNCTION vanish()`),
	booking.AppointmentNotLinked: withTrigger(`
		CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			NEW.appointment_guid := NULL;
			RETURN NEW;
		END $$;
		CREATE TRIGGER cut BEFORE INSERT ON direction FOR EACH ROW EXECUTE FUNCTION cut()`),

	booking.KeyReused: func(t *testing.T) answer {
		sc := start(t).scene()
		require.Equal(t, 200, sc.bookWith("key", sc.person, clientGuid).StatusCode)
		return sc.bookWith("key", sc.person, clientGuid, fields{"SlotId": firstSlotID + 1})
	},
	booking.KeyInUse: func(t *testing.T) answer {
		sc := start(t).scene()
		require.Equal(t, 200, sc.bookWith("key", sc.person, clientGuid).StatusCode)
		sc.exec(`UPDATE idempotency_key SET answer = NULL`) // as it was before the commit
		return sc.bookWith("key", sc.person, clientGuid)
	},
	booking.DirectionAbsent: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.get(uuid.New(), "/directions/"+sc.direction.String())
	},
	booking.LpuAbsent: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.get(sc.person, "/rules?lpuGuid="+uuid.NewString())
	},
	booking.AppointmentAbsent: func(t *testing.T) answer {
		sc := start(t).scene()
		return sc.cancel(sc.person, uuid.New())
	},
	booking.AppointmentStarted: func(t *testing.T) answer {
		sc := start(t).scene()
		booked := appointmentOf(sc.attempt()).GUID
		sc.exec(`UPDATE appointment SET start_at = $1`, moment.Add(-time.Second))
		return sc.cancel(sc.person, booked)
	},
	booking.AppointmentIsCancelled: func(t *testing.T) answer {
		sc := start(t).scene()
		booked := appointmentOf(sc.attempt()).GUID
		sc.cancel(sc.person, booked).requireCancelled(t)
		return sc.move(sc.person, booked, fields{"SlotId": firstSlotID})
	},

	booking.TooManyHolds: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.holds(0)
		sc.holds(1, fields{"Difficulty": 2, "Minutes": 10})
		return sc.hold(sc.person, sc.slots[3], sc.holding())
	},

	booking.ClientUnauthenticated: func(t *testing.T) answer {
		sc := office(t)
		return sc.identifyAs(clientGuid.String(), "another secret", sc.personWay())
	},
	booking.PatientNotIdentified: func(t *testing.T) answer {
		return office(t).identify(policyWay("1980-02-28"))
	},
	booking.TooManyAttempts: func(t *testing.T) answer {
		sc := office(t)
		for range booking.PatientLimit.Failures {
			sc.identify(policyWay("1980-02-28")).requireRefusal(t, "patient_not_identified")
		}
		return sc.identify(policyWay(born))
	},

	booking.RouteNotFound: func(t *testing.T) answer {
		s := start(t)
		return s.do(s.request(http.MethodGet, "/appointment", nil))
	},
	booking.MethodNotAllowed: func(t *testing.T) answer {
		s := start(t)
		a := s.do(s.request(http.MethodPut, "/appointments", nil))
		require.Equal(t, "GET, POST", a.Header.Get("Allow"))
		return a
	},
	booking.InternalError: func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`ALTER TABLE appointment DROP COLUMN is_cito`)
		a := sc.attempt()
		require.Contains(t, sc.logs.String(), "is_cito", "the log has the cause")
		return a
	},
	booking.DatabaseUnavailable: func(t *testing.T) answer {
		cluster := testdb.Cluster(t)
		s := startOn(t, cluster.URL("postgres"))
		sc := s.scene()
		require.NoError(t, cluster.Stop(t.Context()))
		return sc.attempt()
	},
	booking.MipUnavailable: func(t *testing.T) answer {
		index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"access_token":"ticket","token_type":"Bearer","expires_in":3600}`))
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
		}))
		t.Cleanup(index.Close)
		sc := start(t, func(c *app.Config) { c.MipURL, c.MipAuthURL = app.Address(index.URL), app.Address(index.URL+"/token") }).scene()
		sc.allowMkab()
		return sc.attempt()
	},
	booking.KeysUnavailable: func(t *testing.T) answer {
		down := httptest.NewServer(nil)
		down.Close()
		s := start(t, func(c *app.Config) { c.JWKSURL, c.PEMFile = app.Address(down.URL), "" })
		sc := s.scene()
		return sc.attempt()
	},
	booking.Overloaded: func(t *testing.T) answer {
		sc := start(t, func(c *app.Config) { c.Timeout = 300 * time.Millisecond }).scene()
		// Somebody holds the cell for longer than the request may take.
		tx, err := sc.db.Begin(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
		_, err = tx.Exec(t.Context(), `SELECT FROM slot FOR UPDATE`)
		require.NoError(t, err)
		return sc.attempt()
	},
	booking.NotReady: func(t *testing.T) answer {
		cluster := testdb.Cluster(t)
		s := startOn(t, cluster.URL("postgres"))
		require.NoError(t, cluster.Stop(t.Context()))
		return s.do(s.request(http.MethodGet, "/health/ready", nil))
	},
}

// restricted books a cell that is kept for others.
func restricted(restriction, sql string) func(t *testing.T) answer {
	return func(t *testing.T) answer {
		sc := start(t).scene()
		sc.exec(`UPDATE slot SET restriction = $1::text::slot_restriction`, restriction)
		sc.run(sql)
		return sc.attempt()
	}
}

// withoutMkab books where a card must be made, after a change of the world.
func withoutMkab(sql string) func(t *testing.T) answer {
	return func(t *testing.T) answer {
		sc := start(t).scene()
		sc.allowMkab()
		sc.run(sql)
		return sc.attempt()
	}
}

// withTrigger books where the database misbehaves.
func withTrigger(sql string) func(t *testing.T) answer {
	return func(t *testing.T) answer {
		sc := start(t).scene()
		sc.run(sql)
		return sc.attempt()
	}
}

// swallow makes a table lose what is written to it.
func swallow(table string) string {
	return `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
		CREATE TRIGGER swallow BEFORE INSERT ON ` + table + ` FOR EACH ROW EXECUTE FUNCTION swallow()`
}

// allowMkab takes the card in the target institution away and lets it be made by booking.
func (sc *scene) allowMkab() {
	sc.t.Helper()
	sc.exec(`DELETE FROM mkab WHERE lpu_guid = $1`, sc.to)
	sc.exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', '2')`, sc.to)
}

// run runs several statements.
func (sc *scene) run(sql string) {
	sc.t.Helper()
	conn, err := sc.db.Acquire(sc.t.Context())
	require.NoError(sc.t, err)
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(sc.t.Context(), sql).ReadAll()
	require.NoError(sc.t, err)
}

// attemptWhile books while somebody else changes the world, between the check and the write: the other's change is made but not committed when the
// booking reads its facts, and committed when the booking waits for its rows.
func (sc *scene) attemptWhile(sql string, args ...any) answer {
	sc.t.Helper()
	tx, err := sc.db.Begin(sc.t.Context())
	require.NoError(sc.t, err)
	defer func() { _ = tx.Rollback(sc.t.Context()) }()
	_, err = tx.Exec(sc.t.Context(), sql, args...)
	require.NoError(sc.t, err)
	answers := make(chan answer, 1)
	go func() { answers <- sc.attempt() }()
	sc.waitForBlocked(tx)
	require.NoError(sc.t, tx.Commit(sc.t.Context()))
	return <-answers
}

// waitForBlocked returns when somebody waits for a lock of the transaction.
func (sc *scene) waitForBlocked(tx pgx.Tx) {
	sc.t.Helper()
	pid := tx.Conn().PgConn().PID()
	require.Eventually(sc.t, func() bool {
		return sc.count(`SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))`, pid) > 0
	}, 20*time.Second, 5*time.Millisecond, "nobody waits for the lock")
}

// Promise: every documented answer, and every one of ours, can be made to happen and is what the contract shows, to the letter.
func TestDocumentedAnswers(t *testing.T) {
	t.Parallel()
	examples := contractDoc().Components.Examples
	require.ElementsMatch(t, slices.Collect(maps.Keys(scenarios)), ruleNames(t), "each rule has a scenario")
	for name, run := range scenarios {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			example := examples[string(name)]
			require.NotNil(t, example, "the rule has an example in the contract")
			raw, err := json.Marshal(example.Value.Value)
			require.NoError(t, err)
			var shown api.Error
			require.NoError(t, json.Unmarshal(raw, &shown))

			got := run(t)
			require.Equal(t, int(shown.Code), got.StatusCode, "%s", got.raw)
			got.error.RequestID = shown.RequestID
			shareGuids(t, got.error.Details, shown.Details)
			require.Equal(t, shown, got.error)
		})
	}
}

// shareGuids gives what is new in each test the guids of the example.
func shareGuids(t *testing.T, got, shown *api.ErrorDetails) {
	t.Helper()
	if shown == nil {
		return
	}
	require.NotNil(t, got)
	if shown.Appointment != nil {
		require.NotNil(t, got.Appointment)
		got.Appointment.GUID = shown.Appointment.GUID
	}
	if shown.Slots != nil {
		require.NotNil(t, got.Slots)
		require.Len(t, *got.Slots, len(*shown.Slots))
		for i, slot := range *shown.Slots {
			(*got.Slots)[i].GUID, (*got.Slots)[i].Resource.GUID = slot.GUID, slot.Resource.GUID
		}
	}
	if shown.Holds != nil {
		require.NotNil(t, got.Holds)
		require.Len(t, *got.Holds, len(*shown.Holds))
		for i, hold := range *shown.Holds {
			require.Len(t, (*got.Holds)[i].SlotGuids, len(hold.SlotGuids))
			(*got.Holds)[i].SlotGUID, (*got.Holds)[i].SlotGuids = hold.SlotGUID, hold.SlotGuids
		}
	}
}

// ruleNames are the names of the rule table.
func ruleNames(t *testing.T) []booking.Name {
	t.Helper()
	var names []booking.Name
	for _, rule := range booking.Rules {
		names = append(names, rule.Name)
	}
	return names
}

// Promise: the rule table, the contract's list of names, the order of checks that it states, and its examples are one list in one order; each
// example stands under its status.
func TestContractListsTheRules(t *testing.T) {
	t.Parallel()
	doc := contractDoc()
	var listed []booking.Name
	for _, name := range doc.Components.Schemas["Rule"].Value.Enum {
		listed = append(listed, booking.Name(name.(string)))
	}
	require.Equal(t, ruleNames(t), listed)
	var retryable []any
	for _, rule := range booking.Rules {
		if rule.Retryable {
			retryable = append(retryable, string(rule.Name))
		}
	}
	require.Equal(t, retryable, doc.Components.Schemas["Rule"].Value.Extensions["x-retryable"], "in the order of the table")
	var stated []booking.Name
	for _, quoted := range regexp.MustCompile(`(?m)^\| [0-9]+\..*$`).FindAllString(doc.Paths.Find("/appointments").Post.Description, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(quoted, -1) {
			stated = append(stated, booking.Name(name[1]))
		}
	}
	require.Equal(t, listed[:len(stated)], stated)
	for name := range doc.Components.Examples {
		require.Contains(t, listed, booking.Name(name))
	}
	for _, rule := range booking.Rules {
		require.NotNil(t, doc.Components.Examples[string(rule.Name)], rule.Name)
		var under bool
		for _, response := range doc.Components.Responses {
			examples := response.Value.Content.Get("application/json").Examples
			if examples[string(rule.Name)] == nil {
				continue
			}
			under = true
			value := examples[string(rule.Name)].Value.Value.(map[string]any)
			require.EqualValues(t, rule.Status, value["code"], rule.Name)
			require.Equal(t, rule.Code, value["message_code"], rule.Name)
			require.EqualValues(t, rule.Type, value["type"], rule.Name)
		}
		require.True(t, under, "%s stands under no status", rule.Name)
	}
}
