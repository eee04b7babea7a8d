package harness

import (
	"net/http"
	"net/url"
	"time"

	"talon.example/internal/app"
)

// WithTokens switches the authorisation service on.
func WithTokens(c *app.Config) { c.AuthKeyFile = PrivateKeyOf(c) }

// SecretOfClient is the secret that GiveSecret gives.
const SecretOfClient = "the secret of the scene's client"

// GiveSecret gives the scene's client application its secret.
func (s *Service) GiveSecret() {
	s.T.Helper()
	s.Exec(`UPDATE client_application SET secret_hash = sha256($1)`, []byte(SecretOfClient))
}

// Query writes parameters, pairs of a name and a value.
func Query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// PersonWay identifies the scene's patient by the guid of the person.
func (sc *Scene) PersonWay() string { return Query("personguid", sc.Person.String()) }

// MkabWay identifies the scene's patient by the guid of the card.
func (sc *Scene) MkabWay() string { return Query("mkab", sc.MkabTo.String()) }

// Identify asks for a token through the client application of the scene.
func (s *Service) Identify(query string) Answer {
	s.T.Helper()
	return s.IdentifyAs(ClientGuid.String(), SecretOfClient, query)
}

// IdentifyAs asks for a token as a client application with a secret.
func (s *Service) IdentifyAs(client, secret, query string) Answer {
	s.T.Helper()
	request := s.Request(http.MethodGet, "/auth/cod/token?"+query, nil)
	request.SetBasicAuth(client, secret)
	return s.Do(request)
}

// Lapse lets time pass for the failures that were counted.
func (s *Service) Lapse(by time.Duration) {
	s.T.Helper()
	s.Exec(`UPDATE failed_identification SET since = since - make_interval(secs => $1)`, by.Seconds())
}
