package e2e_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/sdk/go/v2/client"
	"talon.example/test/harness"
)

// Promise: the generated Go client books.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	c, err := client.NewClientWithResponses(sc.URL, client.WithHTTPClient(harness.HTTPClient),
		client.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
			request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
			return nil
		}))
	require.NoError(t, err)
	slot := int64(harness.FirstSlotID)
	body := client.CreateAppointmentJSONRequestBody{
		DirectionGUID: sc.Direction, DirectionType: "Consult", LpuFromGUID: sc.From, LpuToGUID: sc.To, SlotID: &slot,
	}
	booked, err := c.CreateAppointmentWithResponse(t.Context(), nil, body)
	require.NoError(t, err)
	require.NotNil(t, booked.JSON200, "%s", booked.Body)
	require.Equal(t, sc.Direction, booked.JSON200.ConsultDirection.GUID)
	refused, err := c.CreateAppointmentWithResponse(t.Context(), nil, body)
	require.NoError(t, err)
	require.Equal(t, client.RuleDirectionAlreadyBooked, refused.JSON400.Rule)
}
