//go:build chaos

package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// chaosVisit is what a client knows of its visit.
type chaosVisit struct {
	guid      uuid.UUID // zero if the response was lost
	cell      int       // 0 if it is out of schedule
	cancelled bool

	// Whether the institution has booked it, has moved it last, and has cancelled it.
	bookedAtDesk, movedAtDesk, cancelledAtDesk bool

	// As its institution knows it.
	version    int64
	receipt    int64 // the version that is confirmed; 0 if there is no receipt
	attendance string
}

// task is the work of one patient's client. It may hold a cell, books, and may move, cancel and
// repeat its requests. The institution may do each for the patient.
type task struct {
	patient  int
	token    string
	held     *api.Hold      // as confirmed; nil if released or used
	visit    chaosVisit     // in its last confirmed state
	ends     time.Time      // of a visit without a cell
	requests []*taskRequest // in order
}

// hasHold reports whether the patient's hold has not ended.
func (e *task) hasHold() bool {
	return e.held != nil && time.Now().Before(e.held.HeldUntil)
}

// taskRequest is a request that is repeated unchanged until its response is final.
type taskRequest struct {
	task         *task
	method       string
	path         string
	body         harness.Fields
	key          string // Idempotency-Key; empty is none
	ofSystem     bool   // sent by the system of the target institution
	maybeDone    bool   // an earlier attempt may have been done
	responseLost bool   // there was no response, or none that says what was done
	response     string // the body of a 200 response
}

func (a *taskRequest) String() string {
	return fmt.Sprintf("patient %d: %s %s with the key %q", a.task.patient, a.method, a.path, a.key)
}

// repeatable reports whether a repetition gets a 200 response without a key.
func (a *taskRequest) repeatable() bool {
	books := a.path == "/appointments" || a.ofSystem && a.method == http.MethodPost
	return a.key == "" && !books
}

// takesCell reports whether the request needs a free place.
func (a *taskRequest) takesCell() bool {
	return a.method == http.MethodPost || strings.HasSuffix(a.path, "/slot")
}

// startLoad starts the clients. Each runs one task after another until the load is stopped.
func (c *chaos) startLoad() *sync.WaitGroup {
	var clients sync.WaitGroup
	for range chaosClients {
		clients.Go(func() {
			for {
				select {
				case <-c.stopLoad:
					return
				default:
				}
				patient := int(c.nextPatient.Add(1) - 1)
				if patient >= chaosPatients {
					return
				}
				c.runTask(patient)
			}
		})
	}
	return &clients
}

// runTask runs the task of a patient. Two patients book each cell. Some patients hold the cell
// first, and then release it or let the hold end. Some move to another cell, for which two patients
// compete as well. Most requests have a key, and some patients repeat all of them. The institution
// confirms most visits, and books, moves or cancels some. Some patients come without a cell, and
// the institution says whether they came.
func (c *chaos) runTask(patient int) {
	caller := auth.Caller{Person: chaosGuid(1, patient), Client: chaosGuid(6, patient/patientsPerClient)}
	token, err := c.service.Key.Sign(caller, "issuer", "talon", time.Now(), time.Hour)
	require.NoError(c.t, err)
	e := &task{patient: patient, token: token}
	if misses := patient%32 == 6; misses || patient%8 == 5 {
		c.runAttendedTask(e, misses)
		return
	}
	cell := patient/2 + 1
	if kind := patient % 11; kind < 5 {
		c.hold(e, cell)
		if kind == 3 && e.held != nil {
			c.release(e)
		}
		if kind == 4 {
			return
		}
	}
	found := c.book(e, harness.Fields{"SlotId": cell})
	if e.visit.version == 0 {
		return
	}
	e.visit.cell = cell
	if e.held != nil {
		e.held = nil // the booking used up the hold
		c.used.Add(1)
	}
	if !found {
		return
	}
	if patient%3 < 2 {
		c.confirmVisit(e)
	}
	if patient%4 < 2 {
		c.move(e, chaosPatients/2+cell)
		if patient%3 == 1 {
			c.confirmVisit(e)
		}
	}
	if patient%3 == 0 {
		c.cancel(e)
	}
	c.repeat(e)
}

// move moves the visit to another cell.
func (c *chaos) move(e *task, cell int) {
	var done bool
	atDesk := e.patient%13 < 4
	if atDesk {
		_, done = c.requestAsSystem(e, "slot", harness.Fields{
			"Version": e.visit.version, "SlotId": cell, "Reason": "doctor_absent", "Text": "Врач заболел",
		})
		c.deskMoves.Add(oneIf(done))
	} else {
		var moved harness.Answer
		path := "/appointments/" + e.visit.guid.String() + "/move"
		moved, done = c.request(e, http.MethodPost, path, harness.Fields{"SlotId": cell})
		if done {
			require.Equal(c.t, e.visit.guid, harness.AppointmentOf(moved).GUID)
		}
		c.moves.Add(oneIf(done))
	}
	if done {
		e.visit.cell, e.visit.movedAtDesk, e.visit.receipt = cell, atDesk, 0
		e.visit.version++
	}
}

// cancel cancels the visit.
func (c *chaos) cancel(e *task) {
	var done bool
	atDesk := e.patient%17 < 6
	if atDesk {
		_, done = c.requestAsSystem(e, "cancellation", harness.Fields{
			"Initiator": "institution", "Reason": "equipment_failed",
		})
		c.deskCancels.Add(oneIf(done))
	} else {
		path := "/appointments/" + e.visit.guid.String()
		_, done = c.request(e, http.MethodDelete, path, harness.Fields{"ReasonCode": 1})
		c.cancels.Add(oneIf(done))
	}
	if done {
		e.visit.cancelled, e.visit.cancelledAtDesk = true, atDesk
		e.visit.version++
	}
}

// oneIf returns 1 if done, else 0.
func oneIf(done bool) int64 {
	if done {
		return 1
	}
	return 0
}

// repeat repeats the requests with keys of some patients.
func (c *chaos) repeat(e *task) {
	for _, request := range e.requests {
		if e.patient%7 == 0 && request.key != "" && request.response != "" {
			c.retryUntilFinal(request)
		}
	}
}

// book books a visit, and reports whether its guid is known. If it is booked, the visit has a
// version.
func (c *chaos) book(e *task, place harness.Fields) (found bool) {
	body := harness.Fields{
		"DirectionGuid": chaosGuid(2, e.patient), "DirectionType": "consult", "LpuFromGuid": chaosFrom,
		"LpuToGuid": chaosTo,
	}
	maps.Copy(body, place)
	e.visit.bookedAtDesk = e.patient%19 < 6
	path := "/appointments"
	if e.visit.bookedAtDesk {
		delete(body, "LpuToGuid")
		body["PersonGuid"] = chaosGuid(1, e.patient)
		path = "/clinic/lpus/" + chaosTo.String() + path
	}
	booked, ok := c.request(e, http.MethodPost, path, body)
	if !ok {
		return false
	}
	e.visit.version, e.visit.attendance = 1, "none"
	c.bookings.Add(1 - oneIf(e.visit.bookedAtDesk))
	c.deskBookings.Add(oneIf(e.visit.bookedAtDesk))
	c.mu.Lock()
	c.tasks = append(c.tasks, e)
	c.mu.Unlock()
	if booked.StatusCode != http.StatusOK {
		return false // the client only learned that the referral is booked
	}
	if e.visit.bookedAtDesk {
		e.visit.guid = harness.Decode[api.Visit](c.t, booked).GUID
	} else {
		e.visit.guid = harness.AppointmentOf(booked).GUID
	}
	return true
}

// missedAfter is how long after its booking a visit begins that the patient misses.
const missedAfter = 10 * time.Second

// runAttendedTask runs the task of a patient who comes today, or misses a visit that soon begins.
func (c *chaos) runAttendedTask(e *task, misses bool) {
	zone := harness.MustZone("Europe/Moscow")
	now := time.Now().In(zone)
	e.ends = time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, zone)
	date, attendances := now.Format(time.DateOnly), []string{"arrived", "fulfilled"}
	if misses {
		e.ends = now.Add(missedAfter).Truncate(time.Second)
		date, attendances = e.ends.Format(time.RFC3339), []string{"no_show"}
	}
	if e.patient%3 == 1 {
		attendances = append(attendances, "none", "arrived")
	}
	if !c.book(e, harness.Fields{"OutOfSchedule": true, "DocPrvdGuid": chaosTo, "Date": date}) {
		return
	}
	c.confirmVisit(e)
	if misses {
		c.pause(time.Until(e.ends) + time.Second)
	}
	for _, attendance := range attendances {
		if _, ok := c.requestAsSystem(e, "attendance", harness.Fields{"Attendance": attendance}); !ok {
			return
		}
		e.visit.attendance = attendance
		e.visit.version++
		c.attended.Add(1)
	}
	c.repeat(e)
}

// confirmVisit sends the receipt of a visit.
func (c *chaos) confirmVisit(e *task) {
	receipt := harness.Fields{"Version": e.visit.version, "Status": "accepted"}
	if _, ok := c.requestAsSystem(e, "receipt", receipt); ok {
		e.visit.receipt = e.visit.version
		c.receipts.Add(1)
	}
}

// requestAsSystem sends a request of the institution's system about the visit, and reports whether
// it was done.
func (c *chaos) requestAsSystem(e *task, what string, body harness.Fields) (harness.Answer, bool) {
	request := &taskRequest{
		task: e, method: http.MethodPut, body: body, ofSystem: true,
		path: "/clinic/lpus/" + chaosTo.String() + "/appointments/" + e.visit.guid.String() + "/" + what,
	}
	e.requests = append(e.requests, request)
	return c.retryUntilFinal(request)
}

// hold holds a cell for a minute, or longer than the test lasts.
func (c *chaos) hold(e *task, cell int) {
	minutes := 15
	if e.patient%3 == 0 {
		minutes = 1
	}
	a, ok := c.request(e, http.MethodPost, "/slots/"+chaosGuid(3, cell).String()+"/hold", harness.Fields{
		"DirectionGuid": chaosGuid(2, e.patient), "DirectionType": "consult", "LpuFromGuid": chaosFrom,
		"LpuToGuid": chaosTo, "Minutes": minutes,
	})
	if !ok {
		return
	}
	hold := harness.Decode[api.Hold](c.t, a)
	e.held = &hold
	c.held.Add(1)
	c.mu.Lock()
	c.holders = append(c.holders, e)
	c.mu.Unlock()
}

// release releases the held cell.
func (c *chaos) release(e *task) {
	path := "/slots/" + e.held.SlotGUID.String() + "/hold?lpuGuid=" + chaosTo.String()
	if _, ok := c.request(e, http.MethodDelete, path, nil); ok {
		e.held = nil
		c.released.Add(1)
	}
}

// request sends a new request and reports whether it was done. Holds and releases have no key.
func (c *chaos) request(e *task, method, path string, body harness.Fields) (harness.Answer, bool) {
	request := &taskRequest{
		task: e, method: method, path: path, body: body, ofSystem: strings.HasPrefix(path, "/clinic/"),
	}
	if e.patient%5 > 1 && !strings.HasPrefix(path, "/slots/") {
		request.key = uuid.NewString()
	}
	e.requests = append(e.requests, request)
	return c.retryUntilFinal(request)
}

// retryUntilFinal repeats a request until its response is final, and reports whether it was done.
func (c *chaos) retryUntilFinal(request *taskRequest) (harness.Answer, bool) {
	pause := func() { c.pause(time.Duration(rand.IntN(1000)) * time.Millisecond) }
	for began := time.Now(); time.Since(began) < chaosClientTimeout; pause() {
		a, err := c.sendOnce(request)
		switch rule := a.Refusal.Rule; {
		case err != nil:
			c.unanswered.Add(1)
			request.maybeDone, request.responseLost = true, true
		case a.StatusCode == http.StatusOK:
			c.confirm(request, a)
			return a, true
		case a.StatusCode == http.StatusServiceUnavailable, rule == api.RuleMipAuthURLUnreachable:
			c.countRetryable(rule)
			request.maybeDone = true
		case rule == api.RuleIdempotencyKeyInUse && request.maybeDone && request.response == "":
			c.countRetryable(rule)
		case rule == api.RuleDirectionAlreadyBooked && request.maybeDone && request.key == "":
			c.foundBooked.Add(1)
			request.responseLost = true
			return a, true
		case request.response == "" && request.takesCell() && !request.task.hasHold() &&
			(rule == api.RuleSlotFull || rule == api.RuleSlotTaken || rule == api.RuleSlotTimePassed):
			c.refused.Add(1)
			return a, false
		default:
			c.t.Errorf("%s: unexpected response %s", request, a.Raw)
			return a, false
		}
	}
	c.t.Errorf("%s has no final response", request)
	return harness.Answer{}, false
}

// confirm compares a 200 response with an earlier one. A repeated request with a key gets the same
// body, marked as replayed. No other request succeeds twice.
func (c *chaos) confirm(request *taskRequest, a harness.Answer) {
	replayed := a.Header.Get("Idempotency-Replayed") == "true"
	switch {
	case replayed:
		c.replayed.Add(1)
		if request.response == "" {
			c.recovered.Add(1)
		}
		if request.key == "" || !request.maybeDone && request.response == "" ||
			request.response != "" && request.response != a.Raw {
			c.t.Errorf("%s got the response %s, and then %s", request, request.response, a.Raw)
		}
	case request.response != "":
		c.t.Errorf("%s was done twice: %s, then %s", request, request.response, a.Raw)
	}
	request.response = a.Raw
}

func (c *chaos) countRetryable(rule api.Rule) {
	c.retryable.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRule[rule]++
}

// enter waits until a request may be sent, and returns the function that ends it.
func (c *chaos) enter() (leave func()) {
	c.inFlight <- struct{}{}
	c.gate.RLock()
	return func() {
		c.gate.RUnlock()
		<-c.inFlight
	}
}

// sendOnce sends a request, sometimes hanging up, and checks the deadline.
func (c *chaos) sendOnce(request *taskRequest) (harness.Answer, error) {
	defer c.enter()()
	outage := c.outage.Load()
	ctx, hangsUp := c.t.Context(), rand.IntN(20) == 0
	if hangsUp { // perhaps after the request was done
		var hangUp context.CancelFunc
		ctx, hangUp = context.WithTimeout(ctx, time.Duration(rand.IntN(50))*time.Millisecond)
		defer hangUp()
	}
	a, took, err := c.send(ctx, request)
	c.sent.Add(1)
	if !hangsUp && outage != nil && outage == c.outage.Load() { // the request lies within the outage
		outage.record(c.t, request, a, took, err)
	}
	if took > chaosTimeout+chaosRelease+chaosSlack {
		c.t.Errorf("%s waited %s: %s %v", request, took, a.Raw, err)
	}
	return a, err
}

func (c *chaos) send(ctx context.Context, request *taskRequest) (harness.Answer, time.Duration, error) {
	var body io.Reader
	if request.body != nil {
		text, err := json.Marshal(request.body)
		if err != nil {
			return harness.Answer{}, 0, err
		}
		body = bytes.NewReader(text)
	}
	httpRequest, err := http.NewRequestWithContext(ctx, request.method, c.service.URL+request.path, body)
	if err != nil {
		return harness.Answer{}, 0, err
	}
	if body != nil {
		httpRequest.Header.Set("Content-Type", "application/json")
	}
	token := request.task.token
	if request.ofSystem {
		token = c.service.SystemToken(c.system, []string{booking.ScopeVisitWrite}, chaosTo)
	}
	httpRequest.Header.Set("Authorization", "Bearer "+token)
	if request.key != "" {
		httpRequest.Header.Set("Idempotency-Key", request.key)
	}
	began := time.Now()
	response, err := harness.HTTPClient.Do(httpRequest)
	if err != nil {
		return harness.Answer{}, time.Since(began), err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	took := time.Since(began)
	if err != nil {
		return harness.Answer{}, took, err
	}
	harness.ValidateResponse(c.t, httpRequest, response, raw)
	a := harness.Answer{Response: response, Raw: string(raw)}
	switch {
	case response.StatusCode != http.StatusOK:
		err = json.Unmarshal(raw, &a.Refusal)
	case request.method == http.MethodPost && !request.ofSystem:
		err = json.Unmarshal(raw, &a.Result)
	}
	return a, took, err
}
