package harness

import (
	"net/http"
	"net/url"
	"time"

	"talon.example/internal/app"
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
	s.Exec(`UPDATE failed_identification SET since = since - make_interval(secs => $1)`, by.Seconds())
}
