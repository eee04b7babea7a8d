//go:build failover

package failover_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/test/harness"
)

const (
	patients     = 20_000
	every        = 200 * time.Millisecond // a patient's booking begins, at each instance
	repeatAfter  = time.Second            // without a 200
	attemptTime  = 15 * time.Second       // a client waits for a response
	bookingTime  = 4 * time.Minute        // a client repeats its booking
	responseTime = 12 * time.Second       // the deadline of a booking, and two seconds for a busy machine
)

// instance is a running Talon, with what its clients have seen.
type instance struct {
	*harness.Service

	t       *testing.T
	address string // kind of address by which it reaches the database
	first   int    // of its patients; it has every second one
	process *exec.Cmd
	stop    chan struct{}
	clients sync.WaitGroup

	mu        sync.Mutex
	attempts  []attempt
	confirmed []uuid.UUID
	slowest   time.Duration
}

// attempt is one request.
type attempt struct {
	began, ended time.Time
	rule         api.Rule // empty after a 200
}

// noResponse is the rule of an attempt without a response.
const noResponse api.Rule = "no response"

// startLoad begins a booking at regular times, whether or not the earlier ones have ended, until
// stop is closed.
func (i *instance) startLoad() {
	i.clients.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for patient := i.first; patient < patients; patient += 2 {
			select {
			case <-i.stop:
				return
			case <-ticker.C:
			}
			if patient%16 == 0 {
				continue // without a card
			}
			i.clients.Go(func() { i.book(patient) })
		}
		i.t.Error("the patients are used up")
	})
}

// book books for a patient, and repeats the request with its key until the response is 200.
func (i *instance) book(patient int) {
	token, err := i.Key.Sign(auth.Caller{Person: harness.CrowdGuid(harness.CrowdPerson, patient),
		Client: harness.ClientGuid}, "issuer", "talon", time.Now(), time.Hour)
	require.NoError(i.t, err)
	body, err := json.Marshal(harness.Fields{
		"DirectionGuid": harness.CrowdGuid(harness.CrowdDirection, patient), "DirectionType": "consult",
		"LpuFromGuid": harness.CrowdFrom, "LpuToGuid": harness.CrowdTo, "SlotId": patient + 1,
	})
	require.NoError(i.t, err)
	key := uuid.NewString()
	for began := time.Now(); time.Since(began) < bookingTime; time.Sleep(repeatAfter) {
		if i.try(token, key, body) {
			return
		}
	}
	i.t.Errorf("patient %d has no confirmation after %s", patient, bookingTime)
}

// try sends the booking once, and reports whether it was confirmed.
func (i *instance) try(token, key string, body []byte) bool {
	began := time.Now()
	a, err := i.send(token, key, body)
	now := attempt{began: began, ended: time.Now(), rule: a.Refusal.Rule}
	switch {
	case err != nil:
		now.rule = noResponse
		i.t.Errorf("a booking by %s has no response: %v", i.address, err)
	case a.StatusCode == http.StatusOK, a.StatusCode == http.StatusServiceUnavailable,
		now.rule == api.RuleIdempotencyKeyInUse:
	default:
		i.t.Errorf("a booking by %s: %s", i.address, a.Raw)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.attempts = append(i.attempts, now)
	i.slowest = max(i.slowest, now.ended.Sub(began))
	if now.rule == "" {
		i.confirmed = append(i.confirmed, harness.AppointmentOf(a).GUID)
	}
	return now.rule == ""
}

// send sends the booking and validates the response against the contract.
func (i *instance) send(token, key string, body []byte) (a harness.Answer, err error) {
	ctx, cancel := context.WithTimeout(i.t.Context(), attemptTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL+"/appointments", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Idempotency-Key", key)
	if a.Response, err = harness.HTTPClient.Do(request); err != nil {
		return a, err
	}
	defer a.Body.Close()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		return a, err
	}
	a.Raw = string(raw)
	harness.ValidateResponse(i.t, request, a.Response, raw)
	if a.StatusCode == http.StatusOK {
		return a, json.Unmarshal(raw, &a.Result)
	}
	return a, json.Unmarshal(raw, &a.Refusal)
}

// outage is what the clients of an instance have seen of a blow.
type outage struct {
	unavailable time.Duration // from the begin of the first failure to the first 200 that began after it
	gap         time.Duration // the longest time without a 200
	last        time.Duration // from the blow to the last failure
	confirmed   int           // in all
	rules       map[api.Rule]int
}

// outageSince returns what the clients have seen since the blow.
func (i *instance) outageSince(blow time.Time) outage {
	i.mu.Lock()
	defer i.mu.Unlock()
	o := outage{confirmed: len(i.confirmed), rules: map[api.Rule]int{}}
	var failed time.Time
	confirmed := blow
	for _, a := range i.attempts { // in the order of their ends
		switch {
		case a.ended.Before(blow):
		case a.rule == "":
			o.gap = max(o.gap, a.ended.Sub(confirmed))
			confirmed = a.ended
		default:
			o.rules[a.rule]++
			o.last = a.ended.Sub(blow)
			if failed.IsZero() || a.began.Before(failed) {
				failed = a.began
			}
		}
	}
	o.gap = max(o.gap, time.Since(confirmed))
	if failed.IsZero() {
		return o
	}
	if failed.Before(blow) {
		failed = blow
	}
	o.unavailable = time.Since(failed)
	for _, a := range i.attempts {
		if a.rule == "" && a.began.After(failed) {
			o.unavailable = a.ended.Sub(failed)
			break
		}
	}
	return o
}

// servedSince reports whether a booking that began after the moment was confirmed.
func (i *instance) servedSince(moment time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, a := range slices.Backward(i.attempts) {
		if a.rule == "" && a.began.After(moment) {
			return true
		}
	}
	return false
}

// guids returns the appointments that were confirmed so far.
func (i *instance) guids() []uuid.UUID {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.confirmed)
}
