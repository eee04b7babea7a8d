package harness

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/auth"
)

// WithAuthService enables the authorisation service.
func WithAuthService(c *app.Config) { c.AuthKeyFile = PrivateKeyFile(c) }

// ClientSecret is the secret that SetClientSecret sets.
const ClientSecret = "the secret of the scene's client"

// SetClientSecret sets the secret of every client application.
func (s *Service) SetClientSecret() {
	s.T.Helper()
	s.Exec(`UPDATE client_application SET secret_hash = sha256($1)`, []byte(ClientSecret))
}

// EncodeQuery encodes query parameters, given as pairs of a name and a value.
func EncodeQuery(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// PersonQuery returns the parameters that identify the scene's patient by the guid of the person.
func (sc *Scene) PersonQuery() string { return EncodeQuery("personguid", sc.Person.String()) }

// MkabQuery returns the parameters that identify the scene's patient by the guid of the card.
func (sc *Scene) MkabQuery() string { return EncodeQuery("mkab", sc.MkabTo.String()) }

// Identify requests a patient token for the scene's client application.
func (s *Service) Identify(query string) Answer {
	s.T.Helper()
	return s.IdentifyAs(ClientGuid.String(), ClientSecret, query)
}

// IdentifyAs requests a patient token for a client application with a secret.
func (s *Service) IdentifyAs(client, secret, query string) Answer {
	s.T.Helper()
	request := s.NewRequest(http.MethodGet, "/auth/cod/token?"+query, nil)
	request.SetBasicAuth(client, secret)
	return s.Do(request)
}

// AgeFailures moves the counted failures into the past.
func (s *Service) AgeFailures(by time.Duration) {
	s.T.Helper()
	s.Exec(`UPDATE failed_identification SET `+Shift("since", "make_interval(secs => $1)"), -by.Seconds())
}

// AddSystemClient adds a client application that acts for itself in the institutions, or in all of
// them if none is given. Its secret is ClientSecret.
func (s *Service) AddSystemClient(scopes []string, lpus ...uuid.UUID) uuid.UUID {
	s.T.Helper()
	client := uuid.New()
	s.Exec(`INSERT INTO client_application (guid, name, secret_hash, scopes, lpu_guids, every_lpu)
		VALUES ($1, 'МИС', sha256($2), $3, coalesce($4, '{}'::uuid[]), $5)`,
		client, []byte(ClientSecret), scopes, lpus, len(lpus) == 0)
	return client
}

// SystemToken signs a token of a client application itself, for the institutions, or for all of
// them if none is given. It is valid for one hour.
func (s *Service) SystemToken(client uuid.UUID, scopes []string, lpus ...uuid.UUID) string {
	s.T.Helper()
	caller := auth.Caller{Client: client, Scopes: scopes, Lpus: lpus, EveryLpu: len(lpus) == 0}
	signed, err := s.Key.Sign(caller, "issuer", "talon", s.Now(), time.Hour)
	require.NoError(s.T, err)
	return signed
}

// GetAs sends a GET request with a token.
func (s *Service) GetAs(token, path string) Answer {
	s.T.Helper()
	request := s.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+token)
	return s.Do(request)
}

// AskAs sends a request with a token. A body other than nil is sent as JSON.
func (s *Service) AskAs(token, method, path string, body any) Answer {
	s.T.Helper()
	text := ""
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(s.T, err)
		text = string(encoded)
	}
	request := s.NewRequest(method, path, strings.NewReader(text))
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return s.Do(request)
}

// RequestToken requests a system token with a form. Each change changes the request before it is
// sent.
func (s *Service) RequestToken(form string, changes ...func(*http.Request)) Answer {
	s.T.Helper()
	request := s.NewRequest(http.MethodPost, "/auth/token", strings.NewReader(form))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, change := range changes {
		change(request)
	}
	return s.Do(request)
}

// WithBasic returns a change that adds the credentials of a client application in the form of
// OAuth.
func WithBasic(client, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(secret)) }
}
