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

	"talon.example/sdk/go/client"
)

// The steps of a patient's way, in its order.
var daySteps = []string{"referrals", "search", "check", "book", "read", "move", "cancel"}

// Latency is how long the requests of one kind took.
type Latency struct {
	Requests int     `json:"requests"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// day sends the requests of patients who come one after another, and keeps how long each took and what it was answered.
type day struct {
	caller caller
	http   http.Client

	mu        sync.Mutex
	load      Load
	latencies map[string][]time.Duration
}

// runDay has n patients come at a steady rate. Each looks at the referrals, searches the free cells, has one checked, books it and reads the appointment; every
// fifth then moves it, every tenth cancels it. They use the generated client and go by what they are answered.
func runDay(ctx context.Context, address string, caller caller, rate float64, n int64, booking func(int64) Booking) (Load, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: steadyConnections}
	defer transport.CloseIdleConnections()
	d := &day{
		caller: caller, http: http.Client{Transport: transport, Timeout: time.Minute},
		load: Load{Outcomes: map[string]int64{}, Steps: map[string]Latency{}}, latencies: map[string][]time.Duration{},
	}
	api, err := client.NewClientWithResponses(address, client.WithHTTPClient(d))
	if err != nil {
		return Load{}, fmt.Errorf("make the client: %w", err)
	}
	began, usedBefore := time.Now(), ownTime()
	err = pace(ctx, int(n), rate, func(ctx context.Context, next <-chan int, _ func(int) time.Time) error {
		for i := range next {
			if err := d.patient(ctx, api, i, booking(int64(i))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Load{}, fmt.Errorf("spend a day: %w", err)
	}
	var all []time.Duration
	for step, latencies := range d.latencies {
		all = append(all, latencies...)
		var of Load
		of.setPercentiles(latencies)
		d.load.Steps[step] = Latency{len(latencies), of.P50, of.P99}
	}
	d.load.Requests = int64(len(all))
	d.load.Rate = float64(len(all)) / time.Since(began).Seconds()
	d.load.client = ownTime() - usedBefore
	d.load.setPercentiles(all)
	d.load.standing = d.load.Outcomes["book 200"] - d.load.Outcomes["cancel 200"]
	return d.load, nil
}

// patient is the way of one. It ends where another patient was faster.
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

	open := []client.DirectionStatus{client.DirectionStatusNotBooked}
	if _, err := api.ListDirectionsWithResponse(step(ctx, "referrals"), &client.ListDirectionsParams{Status: &open}, signed); err != nil {
		return err
	}
	found, err := api.ListDirectionSlotsWithResponse(step(ctx, "search"), referral, &client.ListDirectionSlotsParams{LpuGUID: &to}, signed)
	if err != nil || found.JSON200 == nil || len(found.JSON200.Items) == 0 {
		return err
	}
	offered := found.JSON200.Items
	request := client.AppointmentRequest{
		DirectionGUID: referral, DirectionType: string(found.JSON200.DirectionType), LpuFromGUID: found.JSON200.HolderLpuGUID, LpuToGUID: to,
		SlotID: &offered[i%len(offered)].ID,
	}
	if _, err := api.CheckAppointmentWithResponse(step(ctx, "check"), request, signed); err != nil {
		return err
	}
	key := uuid.NewString()
	made, err := api.CreateAppointmentWithResponse(step(ctx, "book"), &client.CreateAppointmentParams{IdempotencyKey: &key}, request, signed)
	if err != nil || made.JSON200 == nil {
		return err
	}
	appointment := made.JSON200.ConsultDirection.Appointment.GUID
	if _, err := api.GetAppointmentWithResponse(step(ctx, "read"), appointment, nil, signed); err != nil {
		return err
	}
	if i%5 == 0 {
		if _, err := api.MoveAppointmentWithResponse(step(ctx, "move"), appointment, nil, client.MoveRequest{SlotID: &offered[(i+len(offered)/2)%len(offered)].ID}, signed); err != nil {
			return err
		}
	}
	if i%10 == 0 {
		if _, err := api.CancelAppointmentWithResponse(step(ctx, "cancel"), appointment, nil, client.CancelAppointmentJSONRequestBody{}, signed); err != nil {
			return err
		}
	}
	return nil
}

type stepKey struct{}

// step names the requests that are made with the context.
func step(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, stepKey{}, name)
}

// Do implements client.HttpRequestDoer. The time is that until the whole answer is there.
func (d *day) Do(request *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := d.http.Do(request) //nolint:gosec // to the service that was started here
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	took := time.Since(began)
	response.Body = io.NopCloser(bytes.NewReader(body))
	name, _ := request.Context().Value(stepKey{}).(string)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latencies[name] = append(d.latencies[name], took)
	d.load.Outcomes[name+" "+outcomeOf(response.StatusCode, body)]++
	return response, nil
}
