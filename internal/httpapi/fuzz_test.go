package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/oapi-codegen/runtime"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/audit"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// Promise: every body is rejected with a readable message of bounded length, or read into a request
// within the contract's bounds.
func FuzzRequestBody(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"SlotId":1,"SlotId":2}`, "{\"VisitComment\":\"\xff\"}", `{"VisitComment":"\u0000"}`,
		`{"DirectionGuid":"e714e964-d8a0-4776-b163-c708371c39a5","DirectionType":"consult",` +
			`"LpuFromGuid":"e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
			"LpuToGuid":"4cb4f1c8-386d-410d-ac5d-fa232bd2afb9","SlotGuid":"c2ab84d4-bfal-4965-a4a9-48c8306a0a84",` +
			`"SlotId":14527455,"Difficulty":2,"VisitComment":"","IsCito":true}`,
		`{"DirectionGuid":"18c29a77-35cf-4532-b70a-d493eae6dbc7","DirectionType":"laboratory",` +
			`"LpuFromGuid":"1dadf64c-f34a-4023-98a6-3e7b7be4f243",
			"LpuToGuid":"12ab9992-9875-4fb6-a9c0-8504170c1429","DocPrvdGuid":"b0666870-c5b7-4e38-a959-0f17bc50a3cf",` +
			`"Date":"2023-10-21","OutOfSchedule":true}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2023, 10, 20, 12, 0, 0, 0, time.UTC)
	chain, token := chainWithToken(f, now, noAudit{})
	chain.Operations().POST("/appointments", func(c *gin.Context) {
		if err := bind(c.Request, now); err != nil {
			chain.RenderError(c, err)
		}
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/appointments", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		response := httptest.NewRecorder()
		chain.ServeHTTP(response, request)
		if response.Code == http.StatusOK {
			return
		}
		require.GreaterOrEqual(t, response.Code, 400)
		require.Less(t, response.Code, 500, response.Body)
		var rejected api.Error
		require.NoError(t, json.Unmarshal(response.Body.Bytes(), &rejected))
		require.True(t, utf8.ValidString(rejected.Message))
		require.LessOrEqual(t, utf8.RuneCountInString(rejected.Message), 1000)
	})
}

// anyClient accepts every client application: this test has no database.
type anyClient struct{ server.Clients }

func (anyClient) SystemRights(context.Context, uuid.UUID) (*booking.SystemRights, error) {
	return new(booking.SystemRights), nil
}

// chainWithToken returns the chain without operations, and a token that it accepts at the time.
func chainWithToken(t testing.TB, now time.Time, auditor server.Auditor) (*server.Server, string) {
	t.Helper()
	key, err := auth.EnsureSigningKey(filepath.Join(t.TempDir(), "key.pem"))
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	keys, err := auth.LoadKeys(context.Background(), auth.Sources{Signing: []*auth.SigningKey{key}}, log)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	expected := auth.Expected{Issuer: "issuer", Audience: "talon", MaxLife: 24 * time.Hour}
	chain, err := server.New(server.Config{
		Verifier:       auth.NewVerifier(keys, expected, func() time.Time { return now }),
		Clients:        anyClient{},
		Auditor:        auditor,
		Now:            func() time.Time { return now },
		Log:            log,
		RequestTimeout: time.Minute,
		MaxInFlight:    1,
	})
	require.NoError(t, err)
	token, err := key.Sign(auth.Caller{Person: uuid.New(), Client: uuid.New()}, "issuer", "talon", now, time.Hour)
	require.NoError(t, err)
	return chain, token
}

// noAudit writes nothing.
type noAudit struct{}

func (noAudit) Available() error                            { return nil }
func (noAudit) Write(context.Context, []audit.Record) error { return nil }

var (
	errNotValidated = errors.New("the handler does not receive the validated body")
	errOutOfBounds  = errors.New("the request is outside the contract's bounds")
)

// bind does the remaining steps of the generated code. It returns a refusal, or another error if a
// guarantee is broken.
func bind(request *http.Request, now time.Time) error {
	validated, ok := request.Body.(interface{ ValidatedValue() any })
	if !ok {
		return errNotValidated
	}
	var body api.AppointmentRequest
	if err := runtime.BindJSONValue(validated.ValidatedValue(), &body); err != nil {
		return booking.Reject(booking.FieldInvalid) // as RenderUnbound does
	}
	wanted, refusal := bookingRequest(&body, now)
	if refusal != nil {
		return refusal
	}
	places := 0
	for _, given := range []bool{
		wanted.Place.SlotID != 0, wanted.Place.SlotGuid != uuid.Nil, wanted.Place.OutOfSchedule != nil,
	} {
		if given {
			places++
		}
	}
	within := wanted.Difficulty >= 1 && wanted.Difficulty <= 16 && utf8.RuneCountInString(wanted.Comment) <= 1000
	if !within || strings.Contains(wanted.Comment, "\x00") || places != 1 {
		return errOutOfBounds
	}
	return nil
}
