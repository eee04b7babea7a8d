package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"talon.example/sdk/go/v2/client"
)

// daySteps are the requests of a patient, in order.
var daySteps = []string{"referrals", "search", "check", "book", "read", "move", "cancel"}

// Latency is the latency of one kind of request.
type Latency struct {
	Requests int     `json:"requests"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// day sends the requests of patients and records the latency and the outcome of each. It is safe
// for concurrent use.
type day struct {
	caller caller
	http   http.Client

	mu        sync.Mutex
	load      Load
	latencies map[string][]time.Duration
}

// runDay simulates n patients who arrive at a steady rate, in patients per second. Each lists the
// referrals, searches for free cells, checks one, books it and reads the appointment. Every fifth
// patient then moves it, and every tenth cancels it. The patients use the generated client, and
// each request uses the responses before it.
func runDay(
	ctx context.Context, address string, caller caller, rate float64, n int64, booking func(int64) Booking,
) (Load, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: steadyConnections}
	defer transport.CloseIdleConnections()
	d := &day{
		caller: caller, http: http.Client{Transport: transport, Timeout: time.Minute},
		load: Load{Outcomes: map[string]int64{}, Steps: map[string]Latency{}}, latencies: map[string][]time.Duration{},
	}
	api, err := client.NewClientWithResponses(address, client.WithHTTPClient(d))
	if err != nil {
		return Load{}, fmt.Errorf("create the client: %w", err)
	}
	start, usedBefore := time.Now(), ownTime()
	err = runAtRate(ctx, int(n), rate, func(ctx context.Context, next <-chan int, _ func(int) time.Time) error {
		for i := range next {
			if err := d.patient(ctx, api, i, booking(int64(i))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Load{}, fmt.Errorf("simulate the patients: %w", err)
	}
	var all []time.Duration
	for step, latencies := range d.latencies {
		all = append(all, latencies...)
		var stepLoad Load
		stepLoad.setPercentiles(latencies)
		d.load.Steps[step] = Latency{len(latencies), stepLoad.P50, stepLoad.P99}
	}
	d.load.Requests = int64(len(all))
	d.load.Rate = float64(len(all)) / time.Since(start).Seconds()
	d.load.client = ownTime() - usedBefore
	d.load.setPercentiles(all)
	d.load.activeBookings = d.load.Outcomes["book 200"] - d.load.Outcomes["cancel 200"]
	return d.load, nil
}

// patient sends the requests of one patient. It ends without an error if the cell was lost to
// another patient.
func (d *day) patient(ctx context.Context, api *client.ClientWithResponses, i int, b Booking) error {
	token, err := d.caller.token(b)
	if err != nil {
		return err
	}
	signed := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	referral, to := guid(kindReferral, b.Referral), guid(kindLpu, b.To)

	statuses := []client.ListDirectionsParamsStatus{client.ListDirectionsParamsStatusNotBooked}
	notBooked := &client.ListDirectionsParams{Status: &statuses}
	if _, err := api.ListDirectionsWithResponse(step(ctx, "referrals"), notBooked, signed); err != nil {
		return err
	}
	inTarget := &client.ListDirectionSlotsParams{LpuGUID: &to}
	slots, err := api.ListDirectionSlotsWithResponse(step(ctx, "search"), referral, inTarget, signed)
	if err != nil || slots.JSON200 == nil || len(slots.JSON200.Items) == 0 {
		return err
	}
	free := slots.JSON200.Items
	request := client.AppointmentRequest{
		DirectionGUID: referral,
		DirectionType: slots.JSON200.DirectionType,
		LpuFromGUID:   slots.JSON200.HolderLpuGUID,
		LpuToGUID:     to,
		SlotID:        &free[i%len(free)].ID,
	}
	if _, err := api.CheckAppointmentWithResponse(step(ctx, "check"), request, signed); err != nil {
		return err
	}
	key := uuid.NewString()
	params := &client.CreateAppointmentParams{IdempotencyKey: &key}
	booked, err := api.CreateAppointmentWithResponse(step(ctx, "book"), params, request, signed)
	if err != nil || booked.JSON200 == nil {
		return err
	}
	appointment := booked.JSON200.ConsultDirection.Appointment.GUID
	if _, err := api.GetAppointmentWithResponse(step(ctx, "read"), appointment, nil, signed); err != nil {
		return err
	}
	if i%5 == 0 {
		move := client.MoveRequest{SlotID: &free[(i+len(free)/2)%len(free)].ID}
		if _, err := api.MoveAppointmentWithResponse(step(ctx, "move"), appointment, nil, move, signed); err != nil {
			return err
		}
	}
	if i%10 == 0 {
		cancel := client.CancelAppointmentJSONRequestBody{}
		if _, err := api.CancelAppointmentWithResponse(step(ctx, "cancel"), appointment, nil, cancel,
			signed); err != nil {
			return err
		}
	}
	return nil
}

type stepKey struct{}

// step returns a context for requests of the named step.
func step(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, stepKey{}, name)
}

// Do implements client.HttpRequestDoer. The latency ends when the whole response has been read.
func (d *day) Do(request *http.Request) (*http.Response, error) {
	start := time.Now()
	response, err := d.http.Do(request) //nolint:gosec // to the service that this program has started
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	latency := time.Since(start)
	response.Body = io.NopCloser(bytes.NewReader(body))
	name, _ := request.Context().Value(stepKey{}).(string)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latencies[name] = append(d.latencies[name], latency)
	d.load.Outcomes[name+" "+outcomeOf(response.StatusCode, body)]++
	return response, nil
}
