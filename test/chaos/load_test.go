//go:build chaos

package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/test/harness"
)

// chaosVisit is what a client knows of its visit.
type chaosVisit struct {
	guid      uuid.UUID // the zero guid where its answer was lost
	cell      int
	cancelled bool
}

// errand is what one patient wants: perhaps to hold a cell; to book, and perhaps to move, to cancel, and to ask for all of it again.
type errand struct {
	patient int
	token   string
	held    *api.Hold  // as it was confirmed, and neither given back nor used
	visit   chaosVisit // as it was confirmed last
	asked   []*asked   // in order
}

// holds tells whether what was held for the patient still is.
func (e *errand) holds() bool {
	return e.held != nil && time.Now().Before(e.held.HeldUntil)
}

// asked is a request, which is repeated as it is until its answer is final.
type asked struct {
	errand   *errand
	method   string
	path     string
	body     harness.Fields
	key      string // its Idempotency-Key; empty: none
	doubtful bool   // an earlier try may have been done
	lost     bool   // there was no answer, or none that tells what was done
	answer   string // that of 200
}

func (a *asked) String() string {
	return fmt.Sprintf("patient %d: %s %s with the key %q", a.errand.patient, a.method, a.path, a.key)
}

// repeatable tells whether it is answered 200 again though it has no key.
func (a *asked) repeatable() bool {
	return a.key == "" && a.path != "/appointments"
}

// load has clients run one errand after the other until the chaos is over.
func (c *chaos) load() *sync.WaitGroup {
	var clients sync.WaitGroup
	for range chaosClients {
		clients.Go(func() {
			for {
				select {
				case <-c.over:
					return
				default:
				}
				patient := int(c.next.Add(1) - 1)
				if patient >= chaosPatients {
					return
				}
				c.run(patient)
			}
		})
	}
	return &clients
}

// run runs a patient's errand. Two patients want each cell, and whoever moves each other cell. Some hold the cell first, and of these some give it back and some
// leave it to end by itself. Most clients give keys, and some ask for everything again.
func (c *chaos) run(patient int) {
	token, err := c.service.Key.Sign(auth.Token{Person: chaosGuid(1, patient), Client: harness.ClientGuid}, "issuer", "talon", time.Now(), time.Hour)
	require.NoError(c.t, err)
	e := &errand{patient: patient, token: token}
	cell := patient/2 + 1
	if way := patient % 11; way < 5 {
		c.hold(e, cell)
		if way == 3 && e.held != nil {
			c.release(e)
		}
		if way == 4 {
			return
		}
	}
	booked, ok := c.request(e, http.MethodPost, "/appointments", harness.Fields{
		"DirectionGuid": chaosGuid(2, patient), "DirectionType": "consult", "LpuFromGuid": chaosFrom, "LpuToGuid": chaosTo, "SlotId": cell,
	})
	if !ok {
		return
	}
	e.visit.cell = cell
	if e.held != nil {
		e.held = nil // it is used up
		c.used.Add(1)
	}
	c.bookings.Add(1)
	c.mu.Lock()
	c.errands = append(c.errands, e)
	c.mu.Unlock()
	if booked.StatusCode != http.StatusOK {
		return // it is booked, and the client was told no more
	}
	e.visit.guid = harness.AppointmentOf(booked).GUID
	path := "/appointments/" + e.visit.guid.String()
	if patient%4 < 2 {
		if moved, ok := c.request(e, http.MethodPost, path+"/move", harness.Fields{"SlotId": chaosPatients/2 + cell}); ok {
			require.Equal(c.t, e.visit.guid, harness.AppointmentOf(moved).GUID)
			e.visit.cell += chaosPatients / 2
			c.moves.Add(1)
		}
	}
	if patient%3 == 0 {
		if _, ok := c.request(e, http.MethodDelete, path, harness.Fields{"ReasonCode": 1}); ok {
			e.visit.cancelled = true
			c.cancels.Add(1)
		}
	}
	for _, asked := range e.asked {
		if patient%7 == 0 && asked.key != "" && asked.answer != "" {
			c.settle(asked)
		}
	}
}

// hold has a cell held for the patient, for longer than the chaos lasts or for a minute.
func (c *chaos) hold(e *errand, cell int) {
	minutes := 15
	if e.patient%3 == 0 {
		minutes = 1
	}
	a, ok := c.request(e, http.MethodPost, "/slots/"+chaosGuid(3, cell).String()+"/hold", harness.Fields{
		"DirectionGuid": chaosGuid(2, e.patient), "DirectionType": "consult", "LpuFromGuid": chaosFrom, "LpuToGuid": chaosTo, "Minutes": minutes,
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

// release gives back what is held.
func (c *chaos) release(e *errand) {
	if _, ok := c.request(e, http.MethodDelete, "/slots/"+e.held.SlotGUID.String()+"/hold?lpuGuid="+chaosTo.String(), nil); ok {
		e.held = nil
		c.released.Add(1)
	}
}

// request asks for something new, and tells whether it was done. What a hold is asked for takes no key.
func (c *chaos) request(e *errand, method, path string, body harness.Fields) (harness.Answer, bool) {
	asked := &asked{errand: e, method: method, path: path, body: body}
	if e.patient%5 > 1 && !strings.HasPrefix(path, "/slots/") {
		asked.key = uuid.NewString()
	}
	e.asked = append(e.asked, asked)
	return c.settle(asked)
}

// settle asks until the answer is final, and tells whether it is done.
func (c *chaos) settle(asked *asked) (harness.Answer, bool) {
	for began := time.Now(); time.Since(began) < chaosPatience; c.wait(time.Duration(rand.IntN(1000)) * time.Millisecond) {
		a, err := c.try(asked)
		switch rule := a.Refusal.Rule; {
		case err != nil:
			c.unanswered.Add(1)
			asked.doubtful, asked.lost = true, true
		case a.StatusCode == http.StatusOK:
			c.confirm(asked, a)
			return a, true
		case a.StatusCode == http.StatusServiceUnavailable, rule == api.RuleMipAuthURLUnreachable:
			c.note(rule)
			asked.doubtful = true
		case rule == api.RuleIdempotencyKeyInUse && asked.doubtful && asked.answer == "":
			c.note(rule)
		case rule == api.RuleDirectionAlreadyBooked && asked.doubtful && asked.key == "":
			c.repeated.Add(1)
			asked.lost = true
			return a, true
		case asked.answer == "" && asked.method == http.MethodPost && !asked.errand.holds() && (rule == api.RuleSlotFull || rule == api.RuleSlotTaken):
			c.refused.Add(1)
			return a, false
		default:
			c.t.Errorf("%s: unexpected answer %s", asked, a.Raw)
			return a, false
		}
	}
	c.t.Errorf("%s has no answer", asked)
	return harness.Answer{}, false
}

// confirm holds an answer of 200 against an earlier one: a key is answered the same again, to the letter, and only then as a repetition.
func (c *chaos) confirm(asked *asked, a harness.Answer) {
	replayed := a.Header.Get("Idempotency-Replayed") == "true"
	switch {
	case replayed:
		c.replayed.Add(1)
		if asked.answer == "" {
			c.regained.Add(1)
		}
		if asked.key == "" || !asked.doubtful && asked.answer == "" || asked.answer != "" && asked.answer != a.Raw {
			c.t.Errorf("%s was answered %s, and then %s", asked, asked.answer, a.Raw)
		}
	case asked.answer != "":
		c.t.Errorf("%s was done, and done again: %s, then %s", asked, asked.answer, a.Raw)
	}
	asked.answer = a.Raw
}

func (c *chaos) note(rule api.Rule) {
	c.later.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRule[string(rule)]++
}

// try asks once, now and then hanging up, and holds the answer against its deadline.
func (c *chaos) try(asked *asked) (harness.Answer, error) {
	c.room <- struct{}{}
	defer func() { <-c.room }()
	outage := c.outage.Load()
	ctx, patient := c.t.Context(), rand.IntN(20) > 0
	if !patient { // it hangs up, perhaps when all is done
		var hangUp context.CancelFunc
		ctx, hangUp = context.WithTimeout(ctx, time.Duration(rand.IntN(50))*time.Millisecond)
		defer hangUp()
	}
	a, took, err := c.send(ctx, asked)
	c.sent.Add(1)
	if patient && outage != nil && outage == c.outage.Load() { // it lasted for all of the request's time
		outage.met(c.t, asked, a, took, err)
	}
	if took > chaosTimeout+chaosRelease+chaosSlack {
		c.t.Errorf("%s waited %s: %s %v", asked, took, a.Raw, err)
	}
	return a, err
}

func (c *chaos) send(ctx context.Context, asked *asked) (harness.Answer, time.Duration, error) {
	var body io.Reader
	if asked.body != nil {
		text, err := json.Marshal(asked.body)
		if err != nil {
			return harness.Answer{}, 0, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, asked.method, c.service.URL+asked.path, body)
	if err != nil {
		return harness.Answer{}, 0, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+asked.errand.token)
	if asked.key != "" {
		request.Header.Set("Idempotency-Key", asked.key)
	}
	began := time.Now()
	response, err := harness.HTTPClient.Do(request)
	if err != nil {
		return harness.Answer{}, time.Since(began), err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	took := time.Since(began)
	if err != nil {
		return harness.Answer{}, took, err
	}
	harness.ValidateResponse(c.t, request, response, raw)
	a := harness.Answer{Response: response, Raw: string(raw)}
	switch {
	case response.StatusCode != http.StatusOK:
		err = json.Unmarshal(raw, &a.Refusal)
	case asked.method == http.MethodPost:
		err = json.Unmarshal(raw, &a.Result)
	}
	return a, took, err
}
