package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/runtime"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// Promise: whatever the body, it is refused with a readable message of bounded length, or read into a request within the contract's bounds.
func FuzzRequestBody(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"SlotId":1,"SlotId":2}`, "{\"VisitComment\":\"\xff\"}", `{"VisitComment":"\u0000"}`,
		`{"DirectionGuid":"e714e964-d8a0-4776-b163-c708371c39a5","DirectionType":"consult","LpuFromGuid":"e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
			"LpuToGuid":"4cb4f1c8-386d-410d-ac5d-fa232bd2afb9","SlotGuid":"c2ab84d4-bfal-4965-a4a9-48c8306a0a84","SlotId":14527455,"Difficulty":2,"VisitComment":"","IsCito":true}`,
		`{"DirectionGuid":"18c29a77-35cf-4532-b70a-d493eae6dbc7","DirectionType":"laboratory","LpuFromGuid":"1dadf64c-f34a-4023-98a6-3e7b7be4f243",
			"LpuToGuid":"12ab9992-9875-4fb6-a9c0-8504170c1429","DocPrvdGuid":"b0666870-c5b7-4e38-a959-0f17bc50a3cf","Date":"2023-10-21","OutOfSchedule":true}`,
	} {
		f.Add([]byte(seed))
	}
	contract, err := loadContract()
	require.NoError(f, err)
	now := time.Date(2023, 10, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		request, err := read(t, contract, body)
		if err == nil {
			err = bind(t, request, now)
		}
		var refusal *booking.Refusal
		if err != nil {
			require.ErrorAs(t, err, &refusal)
			require.GreaterOrEqual(t, refusal.Status, 400)
			require.Less(t, refusal.Status, 500)
			require.True(t, utf8.ValidString(refusal.Message))
			require.LessOrEqual(t, utf8.RuneCountInString(refusal.Message), 1000)
		}
	})
}

// read goes the way of a request up to its validation.
func read(t *testing.T, contract *contract, body []byte) (*http.Request, error) {
	t.Helper()
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/appointments", bytes.NewReader(body))
	c.Request.Header.Set("Content-Type", "application/json")
	read, err := readJSON(c, true)
	if err != nil {
		return nil, err
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(read))
	err = openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
		Request: c.Request, Route: contract.routes["POST /appointments"], Options: validation,
	})
	if err != nil {
		return nil, refuseInvalid(err)
	}
	return c.Request, nil
}

// bind goes the rest of the way, as the generated code does.
func bind(t *testing.T, request *http.Request, now time.Time) error {
	t.Helper()
	validated, ok := request.Body.(interface{ ValidatedValue() any })
	require.True(t, ok)
	var body api.AppointmentRequest
	if err := runtime.BindJSONValue(validated.ValidatedValue(), &body); err != nil {
		return booking.Refuse(booking.FieldInvalid) // refuseUnbound answers it
	}
	wanted, refusal := bookingRequest(&body, now)
	if refusal != nil {
		return refusal
	}
	require.GreaterOrEqual(t, wanted.Difficulty, 1)
	require.LessOrEqual(t, wanted.Difficulty, 16)
	require.LessOrEqual(t, utf8.RuneCountInString(wanted.Comment), 1000)
	require.NotContains(t, wanted.Comment, "\x00")
	given := 0
	for _, isGiven := range []bool{wanted.Place.SlotID != 0, wanted.Place.SlotGuid != [16]byte{}, wanted.Place.OutOfSchedule != nil} {
		if isGiven {
			given++
		}
	}
	require.Equal(t, 1, given, "one place to book")
	return nil
}
