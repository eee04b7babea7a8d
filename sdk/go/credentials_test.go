package talon_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

// The systems of institution Б (МИС) and of the region, which act for themselves, and two
// institutions of the demo data.
var (
	system      = talon.Credentials{ClientID: "de300000-0003-4000-8000-000000000012", Secret: "demo-secret"}
	region      = talon.Credentials{ClientID: "de300000-0003-4000-8000-000000000020", Secret: "demo-secret"}
	systemLpu   = uuid.MustParse("4cb4f1c8-386d-410d-ac5d-fa232bd2afb9")
	foreignLpu  = uuid.MustParse("e66e8056-f0bd-4ec3-85f7-28ff5b22db4f")
	tokenClient = &http.Client{Timeout: 15 * time.Second}
)

// counting is a client that counts requests.
type counting struct{ requests atomic.Int32 }

func (c *counting) Do(request *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return tokenClient.Do(request)
}

// Promise: a client application that acts for itself needs only its guid and secret. Concurrent
// requests share one token, also with the next ones.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	counted := new(counting)
	tokens, err := talon.ClientCredentials(server, system, talon.Options{HTTP: counted})
	require.NoError(t, err)
	api, err := talon.New(server, talon.Options{Token: tokens})
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			lpu, err := talon.Answer(api.GetLpuWithResponse(t.Context(), systemLpu))
			if err != nil || lpu.GUID != systemLpu {
				t.Errorf("%v, %v", lpu, err)
			}
		})
	}
	group.Wait()
	_, err = api.GetLpuWithResponse(t.Context(), foreignLpu)
	requireRefusal(t, err, client.RuleInstitutionForeign)
	_, err = api.ListDirectionsWithResponse(t.Context(), nil)
	requireRefusal(t, err, client.RuleTokenInvalid)
	require.EqualValues(t, 1, counted.requests.Load())
}

// Promise: a token that the service rejects as expired is replaced, even if it should be valid.
func TestExpiredSystemToken(t *testing.T) {
	t.Parallel()
	counted := new(counting)
	tokens, err := talon.ClientCredentials(server, system, talon.Options{HTTP: counted})
	require.NoError(t, err)
	var sent []string
	rejecting := doer(func(request *http.Request) (*http.Response, error) {
		sent = append(sent, request.Header.Get("Authorization"))
		if len(sent) == 1 {
			request.Header.Set("Authorization", "Bearer "+tokenOf(t, 1, time.Now().Add(-2*time.Hour)))
			request.URL.Path = "/directions"
		}
		return tokenClient.Do(request)
	})
	api, err := talon.New(server, talon.Options{Token: tokens, HTTP: rejecting})
	require.NoError(t, err)
	_, err = talon.Answer(api.GetLpuWithResponse(t.Context(), systemLpu))
	require.NoError(t, err)
	require.Len(t, sent, 2)
	require.NotEqual(t, sent[0], sent[1])
	require.EqualValues(t, 2, counted.requests.Load())
}

// Promise: the scope limits the token. Rejected credentials and scopes are refusals, and the
// context ends the wait.
func TestClientCredentialsAreRejected(t *testing.T) {
	t.Parallel()
	with := func(change func(*talon.Credentials)) func(context.Context) (string, error) {
		credentials := system
		change(&credentials)
		tokens, err := talon.ClientCredentials(server, credentials, talon.Options{HTTP: tokenClient})
		require.NoError(t, err)
		return tokens
	}
	limited, err := talon.New(server, talon.Options{Token: with(func(c *talon.Credentials) { c.Scope = "visit:read" })})
	require.NoError(t, err)
	_, err = limited.GetLpuWithResponse(t.Context(), systemLpu)
	requireRefusal(t, err, client.RuleScopeMissing)
	_, err = with(func(c *talon.Credentials) { c.Scope = "admin" })(t.Context())
	requireRefusal(t, err, client.RuleScopeInvalid)
	wrong := with(func(c *talon.Credentials) { c.Secret = "wrong" })
	_, err = wrong(t.Context())
	requireRefusal(t, err, client.RuleClientUnauthenticated)
	api, err := talon.New(server, talon.Options{Token: wrong})
	require.NoError(t, err)
	_, err = api.GetLpuWithResponse(t.Context(), systemLpu)
	requireRefusal(t, err, client.RuleClientUnauthenticated)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = with(func(*talon.Credentials) {})(cancelled)
	require.ErrorIs(t, err, context.Canceled)
}
