package talon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

// delivery is a case that the code of the service has written.
type delivery struct {
	Name    string      `json:"name"`
	Keys    []string    `json:"keys"`
	Now     int64       `json:"now"` // seconds since 1970
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	Result  string      `json:"result"` // valid, key_invalid, or a talon.WebhookReason
}

// deliveryID is the id of the event of all deliveries.
const deliveryID = "1566291600087416"

// header returns the headers as a server receives them.
func (d *delivery) header() http.Header {
	header := http.Header{}
	for _, h := range d.Headers {
		header.Add(h[0], h[1])
	}
	return header
}

// options returns options with the receiver's clock.
func (d *delivery) options() talon.WebhookOptions {
	return talon.WebhookOptions{Now: func() time.Time { return time.Unix(d.Now, 0) }}
}

func readDeliveries(t *testing.T) []delivery {
	t.Helper()
	file, err := os.ReadFile("../../internal/events/testdata/deliveries.ndjson")
	require.NoError(t, err)
	var all []delivery
	for line := range bytes.Lines(file) {
		var d delivery
		require.NoError(t, json.Unmarshal(line, &d))
		all = append(all, d)
	}
	require.Greater(t, len(all), 60)
	return all
}

// Promise: a delivery that the service has signed is accepted by each kind of key, also while a key
// is replaced. All others are rejected with the reason, and the error shows no key.
func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	for _, d := range readDeliveries(t) {
		event, err := talon.VerifyWebhook(d.header(), []byte(d.Body), d.Keys, d.options())
		if d.Result == "valid" {
			require.NoError(t, err, d.Name)
			require.Equal(t, deliveryID, event.ID, d.Name)
			require.Equal(t, uuid.MustParse("4cb4f1c8-386d-410d-ac5d-fa232bd2afb9"), event.Data.LpuGUID, d.Name)
			continue
		}
		require.Error(t, err, d.Name)
		require.Nil(t, event, d.Name)
		for _, key := range d.Keys {
			if len(key) > len("whsec_") {
				require.NotContains(t, err.Error(), key[len("whsec_"):], d.Name)
			}
		}
		rejected, isRejected := errors.AsType[*talon.WebhookError](err)
		require.Equal(t, d.Result != "key_invalid", isRejected, "%s: %v", d.Name, err)
		if isRejected {
			require.Equal(t, d.Result, string(rejected.Reason), "%s: %v", d.Name, err)
		}
	}
}

// Promise: the SDK and the library of Standard Webhooks agree about the HMAC signatures of the
// service. The library knows no public keys, and compares the text of signatures.
func TestWebhookSignaturesAreStandard(t *testing.T) {
	t.Parallel()
	compared := map[bool]int{}
	for _, d := range readDeliveries(t) {
		isSecret := len(d.Keys) == 1 && strings.HasPrefix(d.Keys[0], "whsec_")
		oneSignatureHeader := len(d.header().Values("Webhook-Signature")) == 1
		valid := d.Result == "valid"
		if !isSecret || !oneSignatureHeader || !valid && d.Result != "signature_invalid" {
			continue
		}
		library, err := standardwebhooks.NewWebhook(d.Keys[0])
		require.NoError(t, err)
		err = library.VerifyIgnoringTimestamp([]byte(d.Body), d.header())
		require.Equal(t, valid, err == nil, "%s: %v", d.Name, err)
		compared[valid]++
	}
	require.Greater(t, compared[true], 5)
	require.Greater(t, compared[false], 5)
}

// Promise: a delivery that the library of Standard Webhooks signs is accepted, with the real clock.
// A shorter tolerance rejects it when it is older.
func TestVerifyWebhookOfTheStandard(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	library, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	body := []byte(readDeliveries(t)[0].Body)
	sign := func(at time.Time) http.Header {
		signature, err := library.Sign(deliveryID, at, body)
		require.NoError(t, err)
		timestamp := strconv.FormatInt(at.Unix(), 10)
		return http.Header{
			"Webhook-Id": {deliveryID}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature},
		}
	}
	now := time.Now()
	event, err := talon.VerifyWebhook(sign(now), body, []string{secret}, talon.WebhookOptions{})
	require.NoError(t, err)
	require.Equal(t, client.EventTypeAppointmentBooked, event.Type)

	strict := talon.WebhookOptions{Tolerance: time.Minute, Now: func() time.Time { return now }}
	_, err = talon.VerifyWebhook(sign(now.Add(-2*time.Minute)), body, []string{secret}, strict)
	rejected, isRejected := errors.AsType[*talon.WebhookError](err)
	require.True(t, isRejected)
	require.Equal(t, talon.WebhookTooOld, rejected.Reason)
}

// Promise: the handler responds with 204 when the event is stored, and otherwise with a status that
// makes the service repeat the delivery. It never calls receive with what is not verified.
func TestWebhookHandler(t *testing.T) {
	t.Parallel()
	valid := readDeliveries(t)[0]
	var received []string
	var failure error
	handler, err := talon.NewWebhookHandler(valid.Keys, valid.options(),
		func(_ context.Context, event *client.Event) error {
			received = append(received, event.ID)
			return failure
		})
	require.NoError(t, err)
	send := func(method, body string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(method, "/", strings.NewReader(body))
		request.Header = valid.header()
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		return response
	}
	require.Equal(t, http.StatusNoContent, send(http.MethodPost, valid.Body).Code)
	require.Equal(t, []string{deliveryID}, received)
	failure = errors.New("the disk is full")
	failed := send(http.MethodPost, valid.Body)
	require.Equal(t, http.StatusInternalServerError, failed.Code)
	require.Empty(t, failed.Body.String())
	require.Len(t, received, 2)

	changed := send(http.MethodPost, valid.Body+" ")
	require.Equal(t, http.StatusBadRequest, changed.Code)
	require.Contains(t, changed.Body.String(), "signature_invalid")
	require.Equal(t, http.StatusRequestEntityTooLarge, send(http.MethodPost, strings.Repeat(" ", 64<<10+1)).Code)
	got := send(http.MethodGet, "")
	require.Equal(t, http.StatusMethodNotAllowed, got.Code)
	require.Equal(t, http.MethodPost, got.Header().Get("Allow"))
	require.Len(t, received, 2)

	_, err = talon.NewWebhookHandler(nil, talon.WebhookOptions{}, nil)
	require.ErrorContains(t, err, "no webhook keys")
}
