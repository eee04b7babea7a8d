package e2e_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// clinic is a client application of the scene's target institution, with two scopes.
type clinic struct {
	*harness.Scene

	client uuid.UUID
}

var clinicScopes = []string{"referral:write", "schedule:write"}

func startWithClinic(t testing.TB, configure ...func(*app.Config)) clinic {
	t.Helper()
	sc := harness.Start(t, append([]func(*app.Config){harness.WithAuthService}, configure...)...).Scene()
	return clinic{sc, sc.AddSystemClient(clinicScopes, sc.To)}
}

// asClinic sends the clinic's secret.
func (c clinic) asClinic() func(*http.Request) {
	return harness.WithBasic(c.client.String(), harness.ClientSecret)
}

// lpuPath is the path of the clinic's institution.
func (c clinic) lpuPath() string { return "/registry/lpus/" + c.To.String() }

// bySecret is a form with the clinic's secret, and further fields.
func (c clinic) bySecret(pairs ...string) string {
	return harness.EncodeQuery(append([]string{
		"grant_type", "client_credentials", "client_id", c.client.String(), "client_secret", harness.ClientSecret,
	}, pairs...)...)
}

const grant = "grant_type=client_credentials"

// changes change a request before it is sent.
type changes []func(*http.Request)

// withHeader sends a header.
func withHeader(name, value string) changes {
	return changes{func(r *http.Request) { r.Header.Set(name, value) }}
}

// Promise: a client application gets a token by Basic authentication and by the body, with the
// wanted scopes or all of its own. The token acts for its institutions until it expires.
func TestSystemToken(t *testing.T) {
	t.Parallel()
	own := filepath.Join(t.TempDir(), "key.pem")
	_, err := auth.EnsureSigningKey(own)
	require.NoError(t, err)
	// Only the public half of the service's own key verifies its tokens.
	c := startWithClinic(t, func(c *app.Config) { c.AuthKeyFile, c.PEMFile, c.AuthTokenLife = own, "", 90*time.Minute })
	const both = "referral:write schedule:write"
	capitals := strings.Replace(c.bySecret(), c.client.String(), strings.ToUpper(c.client.String()), 1)
	inQuery := func(r *http.Request) { r.URL.RawQuery = "scope=admin&grant_type=password&client_secret=x" }
	charset := withHeader("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
	for name, request := range map[string]struct {
		form, scope string
		changes     changes
	}{
		"Basic":                   {grant, both, changes{c.asClinic()}},
		"the body":                {c.bySecret(), both, nil},
		"one scope":               {c.bySecret("scope", "schedule:write"), "schedule:write", nil},
		"a scope twice":           {c.bySecret("scope", "schedule:write schedule:write"), "schedule:write", nil},
		"both scopes":             {c.bySecret("scope", "schedule:write  referral:write"), both, nil},
		"the guid in capitals":    {capitals, both, nil},
		"Basic with its guid":     {grant + "&client_id=" + c.client.String(), both, changes{c.asClinic()}},
		"empty fields":            {c.bySecret("scope", "", "client_assertion", ""), both, nil},
		"an empty field repeated": {c.bySecret("grant_type", ""), both, nil},
		"unknown fields":          {c.bySecret("audience", "x", "audience", "y", "resource", "\xff"), both, nil},
		"parameters in the query": {c.bySecret(), both, changes{inQuery}},
		"a charset":               {c.bySecret(), both, charset},
	} {
		a := c.RequestToken(request.form, request.changes...)
		token := harness.Decode[api.AccessToken](t, a)
		require.Equal(t, request.scope, token.Scope, name)
		require.Equal(t, "Bearer", token.TokenType, name)
		require.EqualValues(t, 90*60, token.ExpiresIn, name)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
		lpu := harness.Decode[api.Lpu](t, c.GetAs(token.AccessToken, c.lpuPath()))
		require.Equal(t, c.To, lpu.GUID, name)
	}
	token := harness.Decode[api.AccessToken](t, c.RequestToken(c.bySecret())).AccessToken
	another := harness.Decode[api.AccessToken](t, c.RequestToken(c.bySecret())).AccessToken
	require.NotEqual(t, token, another, "each token has its own jti")
	c.AdvanceClock(90*time.Minute + 59*time.Second)
	c.GetAs(token, c.lpuPath()).RequireRefusal(t, "")
	c.AdvanceClock(time.Second)
	c.GetAs(token, c.lpuPath()).RequireRefusal(t, "token_expired")
}

// Promise: an OAuth library that we did not write gets a token, and reports the error codes of
// OAuth.
func TestSystemTokenByAnOAuthLibrary(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, harness.HTTPClient)
	for _, style := range []oauth2.AuthStyle{
		oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams, oauth2.AuthStyleAutoDetect,
	} {
		config := clientcredentials.Config{
			ClientID: c.client.String(), ClientSecret: harness.ClientSecret, TokenURL: c.URL + "/auth/token",
			Scopes: []string{"schedule:write"}, AuthStyle: style,
		}
		token, err := config.Token(ctx)
		require.NoError(t, err)
		require.Equal(t, "schedule:write", token.Extra("scope"))
		require.WithinDuration(t, time.Now().Add(time.Hour), token.Expiry, time.Minute)
		c.GetAs(token.AccessToken, c.lpuPath()).RequireRefusal(t, "")

		var failed *oauth2.RetrieveError
		config.Scopes = []string{"admin"}
		_, err = config.Token(ctx)
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "invalid_scope", failed.ErrorCode)
		config.ClientSecret = "wrong"
		_, err = config.Token(ctx)
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "invalid_client", failed.ErrorCode)
	}
}

// Promise: the requests of the examples of RFC 6749 and RFC 7523 get the error that the RFCs
// describe: this service knows none of their clients, and one grant.
func TestExamplesOfOAuth(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	const (
		code = "grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA" +
			"&redirect_uri=https%3A%2F%2Fclient%2Eexample%2Ecom%2Fcb"
		password = "grant_type=password&username=johndoe&password=A3ddj3w"
		refresh  = "grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA" +
			"&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw"
		assertion = "grant_type=authorization_code&code=n0esc3NRze7LTCu7iYzS6a5acc3f0ogp4&" +
			"client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&" +
			"client_assertion=eyJhbGciOiJSUzI1NiIsImtpZCI6IjIyIn0.eyJpc3Mi.cC4hiUPo"
		saml = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Asaml2-bearer"
	)
	basic := withHeader("Authorization", "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW")
	ours := changes{c.asClinic()}
	const unauthenticated, unsupported = "client_unauthenticated", "grant_type_unsupported"
	for name, example := range map[string]struct {
		form    string
		changes changes
		rule    string
		code    string
	}{
		"RFC 6749, 4.4.2":             {grant, basic, unauthenticated, "invalid_client"},
		"RFC 6749, 4.4.2, our client": {grant, ours, "", ""},
		"RFC 6749, 4.1.3, our client": {code, ours, unsupported, "unsupported_grant_type"},
		"RFC 6749, 4.3.2, our client": {password, ours, unsupported, "unsupported_grant_type"},
		"RFC 6749, 2.3.1":             {refresh, nil, unauthenticated, "invalid_client"},
		"RFC 7523, 2.2":               {assertion, nil, unauthenticated, "invalid_client"},
		"an extension, our client":    {saml, ours, unsupported, "unsupported_grant_type"},
		"another case of the grant":   {"grant_type=Client_Credentials", ours, unsupported, "unsupported_grant_type"},
		"no client authentication":    {grant, nil, unauthenticated, "invalid_client"},
		"a client without credentials": {
			grant + "&client_id=" + c.client.String(), nil, unauthenticated, "invalid_client",
		},
	} {
		a := c.RequestToken(example.form, example.changes...)
		require.Equal(t, example.rule, a.Refusal.Rule, "%s: %s", name, a.Raw)
		if example.code != "" {
			require.Equal(t, &example.code, a.Refusal.Error, name)
		}
	}
}

// Promise: a form that breaks the contract is rejected with a message that names the field, and
// with the error code invalid_request. The form is bounded.
func TestBadTokenForms(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	withType := func(contentType string) changes { return withHeader("Content-Type", contentType) }
	const formType = "application/x-www-form-urlencoded"
	const broken = "Тело запроса должно быть корректной формой application/x-www-form-urlencoded: "
	for name, bad := range map[string]struct {
		form, rule, message string
		changes             changes
	}{
		"empty":                {"", "field_invalid", "Поле grant_type: обязательное поле не указано", nil},
		"no grant type":        {"scope=admin", "field_invalid", "Поле grant_type: обязательное поле не указано", nil},
		"an empty grant type":  {"grant_type=", "field_invalid", "Поле grant_type: обязательное поле не указано", nil},
		"a field twice":        {c.bySecret("scope", "admin", "scope", "admin"), "field_invalid", "Поле scope: значение указано больше одного раза", nil},
		"a secret twice":       {c.bySecret("client_secret", "x"), "field_invalid", "Поле client_secret: значение указано больше одного раза", nil},
		"not UTF-8":            {grant + "&scope=%FF", "field_invalid", "Поле scope: недопустимые символы", nil},
		"NUL":                  {grant + "&scope=%00", "field_invalid", "Поле scope: недопустимые символы", nil},
		"a long grant type":    {"grant_type=" + strings.Repeat("x", 101), "field_invalid", "Поле grant_type: длина должна быть не больше 100 символов", nil},
		"a long secret":        {grant + "&client_id=x&client_secret=" + strings.Repeat("x", 1001), "field_invalid", "Поле client_secret: длина должна быть не больше 1000 символов", nil},
		"a long assertion":     {grant + "&client_assertion=" + strings.Repeat("x", 8193), "field_invalid", "Поле client_assertion: длина должна быть не больше 8192 символов", nil},
		"an unknown type":      {grant + "&client_assertion_type=x&client_assertion=x", "field_invalid", "Поле client_assertion_type: ожидается одно из значений: " + assertionType, nil},
		"no type":              {grant + "&client_assertion=x", "field_invalid", "Поле client_assertion_type: обязательное поле не указано", nil},
		"no assertion":         {grant + "&client_assertion_type=" + assertionType, "field_invalid", "Поле client_assertion: обязательное поле не указано", nil},
		"no client id":         {grant + "&client_secret=x", "field_invalid", "Поле client_id: обязательное поле не указано", nil},
		"Basic and a secret":   {c.bySecret(), "field_invalid", "Поле client_secret: указано больше одного способа аутентификации", changes{c.asClinic()}},
		"Basic, assertion":     {grant + "&client_assertion=x&client_assertion_type=" + assertionType, "field_invalid", "Поле client_assertion: указано больше одного способа аутентификации", changes{c.asClinic()}},
		"secret and assertion": {c.bySecret("client_assertion", "x", "client_assertion_type", assertionType), "field_invalid", "Поле client_assertion: указано больше одного способа аутентификации", nil},
		"a broken escape":      {"grant_type=%zz", "body_malformed", broken + "ошибка разбора", nil},
		"a semicolon":          {grant + ";scope=x", "body_malformed", broken + "ошибка разбора", nil},
		"too large":            {grant + "&x=" + strings.Repeat("x", 16384), "body_too_large", "Тело запроса больше 16384 байт", nil},
		"JSON":                 {`{"grant_type":"client_credentials"}`, "media_type_unsupported", "Тело запроса должно быть в формате application/x-www-form-urlencoded без сжатия", withType("application/json")},
		"no media type":        {grant, "media_type_unsupported", "", withType("")},
		"multipart":            {grant, "media_type_unsupported", "", withType("multipart/form-data; boundary=x")},
		"another charset":      {grant, "media_type_unsupported", "", withType(formType + "; charset=windows-1251")},
		"compressed":           {grant, "media_type_unsupported", "", withHeader("Content-Encoding", "gzip")},
	} {
		a := c.RequestToken(bad.form, bad.changes...)
		require.Equal(t, bad.rule, a.Refusal.Rule, "%s: %s", name, a.Raw)
		require.Contains(t, a.Refusal.Message, bad.message, name)
		require.Equal(t, "invalid_request", *a.Refusal.Error, name)
		if bad.rule == "field_invalid" {
			require.Equal(t, "body", (*a.Refusal.Details.Fields)[0].In, name)
		}
	}
	c.Get(c.Person, "/auth/token").RequireRefusal(t, "method_not_allowed")
	require.Nil(t, c.Get(c.Person, "/rules?lpuGuid=x").Refusal.Error, "only the token endpoint has OAuth's codes")
}

// Promise: wrong credentials, an unknown client application and a disabled one get the same
// response.
func TestRejectedClientCredentials(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	disabled := c.AddSystemClient(clinicScopes)
	secretless := c.AddSystemClient(clinicScopes)
	c.Exec(`UPDATE client_application SET active = false WHERE guid = $1`, disabled)
	c.Exec(`UPDATE client_application SET secret_hash = NULL WHERE guid = $1`, secretless)
	form := func(client, secret string) string {
		return harness.EncodeQuery("grant_type", "client_credentials", "client_id", client, "client_secret", secret)
	}
	basic := func(client uuid.UUID, secret string) changes {
		return changes{harness.WithBasic(client.String(), secret)}
	}
	twice := func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
	notEncoded := func(r *http.Request) { r.SetBasicAuth(c.client.String(), "%zz") }
	foreign := grant + "&client_id=" + secretless.String()
	var first *api.Error
	for name, request := range map[string]struct {
		form    string
		changes changes
	}{
		"a wrong secret":             {form(c.client.String(), "x"), nil},
		"a wrong secret by Basic":    {grant, basic(c.client, "x")},
		"a secret with a NUL":        {grant, basic(c.client, harness.ClientSecret+"\x00")},
		"a secret not form-encoded":  {grant, changes{notEncoded}},
		"an unknown client":          {form(uuid.NewString(), harness.ClientSecret), nil},
		"no guid":                    {form("portal", harness.ClientSecret), nil},
		"the zero guid":              {form(uuid.Nil.String(), harness.ClientSecret), nil},
		"a disabled client":          {form(disabled.String(), harness.ClientSecret), nil},
		"a disabled client by Basic": {grant, basic(disabled, harness.ClientSecret)},
		"a client without a secret":  {form(secretless.String(), "x"), nil},
		"another client's guid":      {foreign, changes{c.asClinic()}},
		"a token":                    {grant, withHeader("Authorization", "Bearer x")},
		"two headers":                {grant, changes{c.asClinic(), twice}},
	} {
		a := c.RequestToken(request.form, request.changes...)
		a.RequireRefusal(t, "client_unauthenticated")
		require.Equal(t, http.StatusForbidden, a.StatusCode)
		a.Refusal.RequestID = uuid.Nil
		if first == nil {
			first = &a.Refusal
		}
		require.Equal(t, *first, a.Refusal, name)
	}
	require.Equal(t, "invalid_client", *first.Error)
}

// Promise: a client application gets no scope that it does not have, and no token without scopes.
func TestRejectedScopes(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	for _, scope := range []string{
		"admin", "schedule:write admin", "schedule", "SCHEDULE:WRITE", "schedule:write,referral:write", "*", "ж",
	} {
		a := c.RequestToken(c.bySecret("scope", scope))
		a.RequireRefusal(t, "scope_invalid")
		require.Equal(t, "invalid_scope", *a.Refusal.Error)
	}
	c.SetClientSecret()
	a := c.RequestToken(grant, harness.WithBasic(harness.ClientGuid.String(), harness.ClientSecret))
	a.RequireRefusal(t, "scope_invalid")
}

// Promise: the authorisation service is off unless it is enabled.
func TestSystemTokensSwitchedOff(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.RequestToken(grant).RequireRefusal(t, "route_not_found")
	sc.Do(sc.NewRequest(http.MethodGet, "/auth/token", nil)).RequireRefusal(t, "route_not_found")
	sc.Do(sc.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)).RequireRefusal(t, "route_not_found")
	// Tokens of the region's own authorisation service are accepted.
	client := sc.AddSystemClient([]string{"admin"})
	sc.GetAs(sc.SystemToken(client, []string{"admin"}), "/registry/lpus/"+sc.To.String()).RequireRefusal(t, "")
}

// Promise: the published key verifies the tokens of both kinds, and the response may be cached.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	c.SetClientSecret()
	a := c.Do(c.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	require.Equal(t, "public, max-age=300", a.Header.Get("Cache-Control"))
	require.NotContains(t, a.Raw, `"d"`)
	published := filepath.Join(t.TempDir(), "jwks.json")
	require.NoError(t, os.WriteFile(published, []byte(a.Raw), 0o600))
	other := harness.StartOn(t, string(c.Config.DatabaseURL), func(config *app.Config) {
		config.PEMFile, config.JWKSFile = "", published
	})
	system := harness.Decode[api.AccessToken](t, c.RequestToken(c.bySecret())).AccessToken
	other.GetAs(system, c.lpuPath()).RequireRefusal(t, "")
	patient := requireToken(t, c.Identify(c.PersonQuery())).Token
	other.GetAs(patient, "/directions").RequireRefusal(t, "")
}

// Promise: a system token never acts for a patient, and a COD token never for a client application.
func TestTokensAreNeverMixedUp(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	region := c.AddSystemClient([]string{"admin"})
	for _, operation := range []struct{ method, path string }{
		{http.MethodGet, "/directions"}, {http.MethodGet, "/rules"}, {http.MethodPost, "/appointments"},
		{http.MethodGet, "/appointments"}, {http.MethodDelete, "/appointments/" + c.Person.String()},
	} {
		request := c.NewRequest(operation.method, operation.path, nil)
		request.Header.Set("Authorization", "Bearer "+c.SystemToken(region, []string{"admin"}))
		c.Do(request).RequireRefusal(t, "token_invalid")
	}
	c.Get(c.Person, c.lpuPath()).RequireRefusal(t, "token_invalid")
	both := jwt.MapClaims{
		"iss": "issuer", "aud": "talon", "iat": harness.Moment.Unix(), "exp": harness.Moment.Add(time.Hour).Unix(),
		"sub": c.Person.String(), "client_application": region.String(), "scope": "admin", "lpus": "*",
	}
	private := readPrivateKey(t, harness.PrivateKeyFile(&c.Config))
	signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, both).SignedString(private)
	require.NoError(t, err)
	c.GetAs(signed, c.lpuPath()).RequireRefusal(t, "token_invalid")
	c.GetAs(signed, "/directions").RequireRefusal(t, "") // it is a patient's token

	for _, header := range []string{"", "Basic x", "Bearer x"} {
		request := c.NewRequest(http.MethodGet, c.lpuPath(), nil)
		request.Header.Set("Authorization", header)
		c.Do(request).RequireAnyRefusal(t, "token_missing", "token_invalid")
	}
}

// readPrivateKey returns the key in a PEM file.
func readPrivateKey(t *testing.T, path string) any {
	t.Helper()
	document, err := os.ReadFile(path)
	require.NoError(t, err)
	block, _ := pem.Decode(document)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key
}

// Promise: an operation needs one of its scopes, and an institution of the caller. A limited caller
// cannot tell a foreign institution from one that does not exist. A caller of the region can.
func TestScopesAndInstitutions(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	region := c.AddSystemClient([]string{"admin", "visit:read"})
	absent := "/registry/lpus/" + uuid.NewString()
	foreign := "/registry/lpus/" + c.From.String()
	limited := c.SystemToken(c.client, clinicScopes, c.To)

	lpu := harness.Decode[api.Lpu](t, c.GetAs(limited, c.lpuPath()))
	require.Equal(t, api.Lpu{
		GUID: c.To, LegalEntityGUID: lpu.LegalEntityGUID, Code: "2", Name: "Цель", TimeZone: "Europe/Moscow",
		Address: "г. Талонск, ул. Садовая, д. 7", Phone: "+7 000 555-01-02",
	}, lpu)
	require.Equal(t, 1, c.Count(`SELECT count(*) FROM lpu WHERE guid = $1 AND legal_entity_guid = $2`, c.To, lpu.LegalEntityGUID))
	capitals := "/registry/lpus/" + strings.ToUpper(c.To.String())
	require.Equal(t, lpu, harness.Decode[api.Lpu](t, c.GetAs(limited, capitals)))

	var responses []api.Error
	for _, path := range []string{foreign, absent, "/registry/lpus/" + uuid.Nil.String()} {
		a := c.GetAs(limited, path)
		a.RequireRefusal(t, "institution_foreign")
		a.Refusal.RequestID = uuid.Nil
		responses = append(responses, a.Refusal)
	}
	require.Equal(t, responses[0], responses[1])
	c.GetAs(limited, "/registry/lpus/x").RequireRefusal(t, "field_invalid")
	c.GetAs(limited, strings.Replace(c.lpuPath(), "-", "%2D", 1)).RequireRefusal(t, "")
	c.GetAs(limited, strings.Replace(foreign, "-", "%2D", 1)).RequireRefusal(t, "institution_foreign")
	c.GetAs(limited, strings.ReplaceAll(foreign, "-", "")).RequireAnyRefusal(t, "institution_foreign", "field_invalid")

	everywhere := c.SystemToken(region, []string{"admin"})
	c.GetAs(everywhere, c.lpuPath()).RequireRefusal(t, "")
	c.GetAs(everywhere, foreign).RequireRefusal(t, "")
	c.GetAs(everywhere, absent).RequireRefusal(t, "lpu_absent")
	c.GetAs(everywhere, "/registry/lpus/"+uuid.Nil.String()).RequireRefusal(t, "field_invalid")
	c.GetAs(c.SystemToken(region, []string{"admin"}, c.To), foreign).RequireRefusal(t, "institution_foreign")

	for _, scopes := range [][]string{nil, {"visit:read"}, {"schedule"}, {"schedule:write:all"}} {
		a := c.GetAs(c.SystemToken(region, scopes), c.lpuPath())
		a.RequireRefusal(t, "scope_missing")
		require.Contains(t, a.Refusal.Message, "schedule:write, referral:write, patient:write, admin")
	}
	// The scope is checked before the institution.
	c.GetAs(c.SystemToken(c.client, []string{"visit:read"}, c.To), foreign).RequireRefusal(t, "scope_missing")
	// An institution of the caller that does not exist yet is absent, not foreign.
	c.Exec(`UPDATE client_application SET lpu_guids = lpu_guids || $1::uuid WHERE guid = $2`, uuid.MustParse(absent[len(absent)-36:]), c.client)
	all := c.SystemToken(c.client, clinicScopes)
	c.GetAs(all, absent).RequireRefusal(t, "lpu_absent")
}

// Promise: a request has the rights that its token and its client application have in common. A
// scope, an institution or the client application taken away is rejected, although the token has
// not expired, and a right given later does not widen the token.
func TestRightsAreThoseOfNow(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	token := harness.Decode[api.AccessToken](t, c.RequestToken(c.bySecret("scope", "schedule:write"))).AccessToken
	foreign := "/registry/lpus/" + c.From.String()
	region := c.AddSystemClient([]string{"admin"})
	everywhere := c.SystemToken(region, []string{"admin"})
	for _, step := range []struct {
		change        string
		client        uuid.UUID
		token, path   string
		before, after string
	}{
		{`scopes = '{admin}'`, c.client, token, c.lpuPath(), "", "scope_missing"},
		{`scopes = '{admin,schedule:write}'`, c.client, token, c.lpuPath(), "scope_missing", ""},
		{`lpu_guids = ARRAY[guid]`, c.client, token, c.lpuPath(), "", "institution_foreign"},
		{`lpu_guids = '{}', every_lpu = true`, c.client, token, c.lpuPath(), "institution_foreign", ""},
		{`every_lpu = true`, c.client, token, foreign, "institution_foreign", "institution_foreign"},
		{`active = false`, c.client, token, c.lpuPath(), "", "token_invalid"},
		{`active = true`, c.client, token, c.lpuPath(), "token_invalid", ""},
		{
			`every_lpu = false, lpu_guids = ARRAY['` + c.From.String() + `'::uuid]`,
			region, everywhere, c.lpuPath(), "", "institution_foreign",
		},
		{`every_lpu = false`, region, everywhere, foreign, "", ""},
		{`scopes = '{}'`, region, everywhere, foreign, "", "scope_missing"},
	} {
		require.Equal(t, step.before, c.GetAs(step.token, step.path).Refusal.Rule, step.change)
		c.Exec(`UPDATE client_application SET `+step.change+` WHERE guid = $1`, step.client)
		require.Equal(t, step.after, c.GetAs(step.token, step.path).Refusal.Rule, step.change)
	}
	c.Exec(`DELETE FROM client_application WHERE guid = $1`, c.client)
	c.GetAs(token, c.lpuPath()).RequireRefusal(t, "token_invalid")
}

// Promise: a client application that the operator disables is rejected within a second by a running
// service.
func TestClientChangesWithinASecond(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	token := c.SystemToken(c.client, clinicScopes, c.To)
	c.GetAs(token, c.lpuPath()).RequireRefusal(t, "")
	database := []string{"DATABASE_URL=" + string(c.Config.DatabaseURL)}
	code, _, stderr := run(t, database, "client", "disable", "--client", c.client.String())
	require.Zero(t, code, stderr)
	for changed := time.Now(); ; {
		requested := time.Now()
		if c.GetAs(token, c.lpuPath()).Refusal.Rule == "token_invalid" {
			break
		}
		require.Less(t, requested.Sub(changed), time.Second)
	}
}

// signer signs the assertions of a client application.
type signer struct {
	method jwt.SigningMethod
	key    crypto.Signer
}

// newSigners returns a key of each kind, and the JWK set of their public halves.
func newSigners(t *testing.T) (signers map[string]signer, keys []byte) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signers = map[string]signer{
		"ec":  {jwt.SigningMethodES256, ec},
		"ed":  {jwt.SigningMethodEdDSA, ed},
		"rsa": {jwt.SigningMethodRS256, private},
	}
	set := jwkset.JWKSMarshal{}
	for kid, one := range signers {
		options := jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}}
		key, err := jwkset.NewJWKFromKey(one.key.Public(), options)
		require.NoError(t, err)
		set.Keys = append(set.Keys, key.Marshal())
	}
	keys, err = json.Marshal(set)
	require.NoError(t, err)
	return signers, keys
}

// assertionForm returns a form with an assertion of the client application. changes replace claims.
func assertionForm(t *testing.T, client uuid.UUID, kid string, by signer, changes jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": client.String(), "sub": client.String(), "aud": "issuer", "jti": uuid.NewString(),
		"exp": harness.Moment.Add(time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	token := jwt.NewWithClaims(by.method, claims)
	token.Header["kid"] = kid
	var key any = by.key
	if by.method == jwt.SigningMethodNone {
		key = jwt.UnsafeAllowNoneSignatureType
	}
	if by.method == jwt.SigningMethodHS256 {
		der, err := x509.MarshalPKIXPublicKey(by.key.Public())
		require.NoError(t, err)
		key = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	signed, err := token.SignedString(key)
	require.NoError(t, err)
	return harness.EncodeQuery(
		"grant_type", "client_credentials", "client_assertion", signed,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
}

// Promise: a client application authenticates by an assertion that its key has signed, each once.
// Any other assertion is rejected like a wrong secret, and is not counted as used.
func TestAssertionsOfClients(t *testing.T) {
	t.Parallel()
	const endpoint = "https://talon.example/auth/token"
	c := startWithClinic(t, func(config *app.Config) { config.AuthTokenURL = endpoint })
	signers, keys := newSigners(t)
	c.Exec(`UPDATE client_application SET public_keys = $1, secret_hash = NULL WHERE guid = $2`, keys, c.client)
	for kid, by := range signers {
		form := assertionForm(t, c.client, kid, by, nil)
		token := harness.Decode[api.AccessToken](t, c.RequestToken(form)).AccessToken
		c.GetAs(token, c.lpuPath()).RequireRefusal(t, "")
		c.RequestToken(form).RequireRefusal(t, "client_unauthenticated") // replayed
	}
	ec := signers["ec"]
	accepted := func(changes jwt.MapClaims) harness.Answer {
		return c.RequestToken(assertionForm(t, c.client, "ec", ec, changes))
	}
	accepted(jwt.MapClaims{"aud": endpoint}).RequireRefusal(t, "")
	accepted(jwt.MapClaims{"jti": "same"}).RequireRefusal(t, "")
	accepted(jwt.MapClaims{"jti": "same", "exp": harness.Moment.Add(2 * time.Minute).Unix()}).
		RequireRefusal(t, "client_unauthenticated")
	c.RequestToken(assertionForm(t, c.client, "ec", ec, nil)+"&client_id="+c.client.String()).RequireRefusal(t, "")
	c.RequestToken(assertionForm(t, c.client, "ec", ec, nil)+"&client_id="+uuid.NewString()).
		RequireRefusal(t, "client_unauthenticated")

	stranger, _ := newSigners(t)
	used := c.Count(`SELECT count(*) FROM client_assertion`)
	other := c.AddSystemClient(clinicScopes)
	with := func(claim string, value any) string {
		return assertionForm(t, c.client, "ec", ec, jwt.MapClaims{claim: value})
	}
	unsigned, symmetric := signer{jwt.SigningMethodNone, ec.key}, signer{jwt.SigningMethodHS256, signers["rsa"].key}
	for name, form := range map[string]string{
		"another audience":          with("aud", "https://other.example/auth/token"),
		"the audience of tokens":    with("aud", "talon"),
		"expired":                   with("exp", harness.Moment.Add(-time.Minute).Unix()),
		"too long":                  with("exp", harness.Moment.Add(7*time.Minute).Unix()),
		"no jti":                    with("jti", nil),
		"another subject":           with("sub", other.String()),
		"alg none":                  assertionForm(t, c.client, "ec", unsigned, nil),
		"HS256 with the public key": assertionForm(t, c.client, "rsa", symmetric, nil),
		"another key":               assertionForm(t, c.client, "ec", stranger["ec"], nil),
		"a client without keys":     assertionForm(t, other, "ec", ec, nil),
		"an unknown client":         assertionForm(t, uuid.New(), "ec", ec, nil),
	} {
		a := c.RequestToken(form)
		require.Equal(t, "client_unauthenticated", a.Refusal.Rule, name)
		require.Equal(t, "invalid_client", *a.Refusal.Error, name)
	}
	require.Equal(t, used, c.Count(`SELECT count(*) FROM client_assertion`))

	form := assertionForm(t, c.client, "ec", ec, nil)
	successes := 0
	attempt := func() harness.Answer { return c.RequestToken(form) }
	for _, a := range sendAll(slices.Repeat([]func() harness.Answer{attempt}, 8)) {
		a.RequireAnyRefusal(t, "", "client_unauthenticated")
		if a.StatusCode == http.StatusOK {
			successes++
		}
	}
	require.Equal(t, 1, successes, "of concurrent requests with one assertion")

	c.Exec(`UPDATE client_application SET active = false WHERE guid = $1`, c.client)
	accepted(nil).RequireRefusal(t, "client_unauthenticated")
}

// Promise: used assertions are deleted some time after they have expired.
func TestUsedAssertionsAreSwept(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`INSERT INTO client_assertion SELECT gen_random_uuid(), sha256(n::text::bytea), $1::timestamptz FROM generate_series(1, 2500) n`, harness.Moment.Add(-booking.AssertionGrace))
	sc.Exec(`INSERT INTO client_assertion VALUES (gen_random_uuid(), sha256(''), $1)`, harness.Moment.Add(time.Second-booking.AssertionGrace))
	sc.Stop()
	started := harness.StartOn(t, string(sc.Config.DatabaseURL))
	require.Eventually(t, func() bool { return started.Count(`SELECT count(*) FROM client_assertion`) == 1 }, 20*time.Second, 5*time.Millisecond)
}

// Promise: the log contains no secret, assertion or token, whatever the response.
func TestSystemTokenLogHasNoSecrets(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	signers, keys := newSigners(t)
	c.Exec(`UPDATE client_application SET public_keys = $1 WHERE guid = $2`, keys, c.client)
	secrets := []string{
		harness.ClientSecret, url.QueryEscape(harness.ClientSecret), "eyJ", "Basic ", "the-jti", "marker",
	}
	form := assertionForm(t, c.client, "ec", signers["ec"], jwt.MapClaims{"jti": "the-jti"})
	for _, request := range []string{
		c.bySecret(), c.bySecret("scope", "marker"), c.bySecret("client_secret", "marker"), c.bySecret() + "marker",
		c.bySecret("client_assertion", "marker"), "marker=%zz", "grant_type=marker", form, form, form + "marker",
	} {
		c.RequestToken(request)
		c.RequestToken(request, c.asClinic())
		c.RequestToken(request, harness.WithBasic(c.client.String(), "marker"))
	}
	token := harness.Decode[api.AccessToken](t, c.RequestToken(c.bySecret())).AccessToken
	c.GetAs(token, c.lpuPath()).RequireRefusal(t, "")
	c.GetAs(token+"x", c.lpuPath()).RequireRefusal(t, "token_invalid")
	c.Exec(`ALTER TABLE client_assertion RENAME COLUMN jti_hash TO id`)
	form = assertionForm(t, c.client, "ec", signers["ec"], jwt.MapClaims{"jti": "the-jti"})
	c.RequestToken(form).RequireRefusal(t, "internal_error")
	log := c.Logs.String()
	require.Contains(t, log, "/auth/token")
	require.Contains(t, log, c.client.String())
	for _, secret := range secrets {
		require.NotContains(t, log, secret)
	}
}

// Promise: talon client creates a client application with a long random secret, which it prints
// once and stores only as a hash. After a rotation the old secret is accepted during the overlap.
func TestClientCommands(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	database := []string{"DATABASE_URL=" + string(c.Config.DatabaseURL)}
	talon := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t, database, append([]string{"client"}, args...)...)
		require.Zero(t, code, stderr)
		return stdout
	}
	credentials := regexp.MustCompile(`^client_id=(\S{36})\nclient_secret=(\S{26,})\n$`)
	rotate := func(client string, overlap ...string) string {
		t.Helper()
		printed := talon(append([]string{"rotate", "--client", client}, overlap...)...)
		parts := credentials.FindStringSubmatch(printed)
		require.NotNil(t, parts, printed)
		require.Equal(t, client, parts[1])
		return parts[2]
	}
	created := talon("create", "--name", "МИС новой клиники", "--scopes", "schedule:write,visit:read", "--lpus", c.To.String(), "--visit-direction", "3", "--out-of-schedule")
	parts := credentials.FindStringSubmatch(created)
	require.NotNil(t, parts, created)
	client, secret := parts[1], parts[2]
	request := func(secret string) harness.Answer { return c.RequestToken(grant, harness.WithBasic(client, secret)) }
	require.Equal(t, "schedule:write visit:read", harness.Decode[api.AccessToken](t, request(secret)).Scope)
	require.NotContains(t, c.Snapshot()["client_application"], secret)
	require.Equal(t, 1, c.Count(`SELECT count(*) FROM client_application WHERE guid = $1 AND visit_direction = 3 AND visit_direction_other_lpu = 0 AND out_of_schedule AND active`, client))

	// The commands use the clock of the machine, the service that of the test.
	atMoment := func() {
		c.Exec(`UPDATE client_application SET previous_secret_until =
			($1::timestamptz AT TIME ZONE 'UTC' + (previous_secret_until - $3)) AT TIME ZONE 'UTC' WHERE guid = $2`, harness.Moment, client, time.Now())
	}
	rotated := rotate(client, "--overlap", "2h")
	atMoment()
	require.NotEqual(t, secret, rotated)
	request(rotated).RequireRefusal(t, "")
	request(secret).RequireRefusal(t, "")
	c.AdvanceClock(2*time.Hour - time.Minute)
	request(secret).RequireRefusal(t, "")
	c.AdvanceClock(time.Minute)
	request(secret).RequireRefusal(t, "client_unauthenticated")
	request(rotated).RequireRefusal(t, "")

	last := rotate(client, "--overlap", "0")
	c.ClockOffset.Store(0)
	atMoment()
	request(rotated).RequireRefusal(t, "client_unauthenticated")
	request(last).RequireRefusal(t, "")
	last = rotate(client)
	require.Equal(t, 1, c.Count(`SELECT count(*) FROM client_application WHERE guid = $1 AND previous_secret_until - now() BETWEEN interval '23:59' AND interval '24:00'`, client))

	talon("disable", "--client", client)
	request(last).RequireRefusal(t, "client_unauthenticated")
	list := talon("list")
	require.Regexp(t, client+` +false +secret, old secret until \S+Z +3/0 out of schedule +schedule:write,visit:read +`+c.To.String()+` +МИС новой клиники\n`, list)
	require.NotContains(t, list, last)
	talon("enable", "--client", client)
	request(last).RequireRefusal(t, "")

	for _, command := range []string{"rotate", "disable", "enable"} {
		code, stdout, stderr := run(t, database, "client", command, "--client", uuid.NewString())
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "no such client application")
	}
	for _, overlap := range []string{"-1s", "721h", "x"} {
		code, _, _ := run(t, database, "client", "rotate", "--client", client, "--overlap", overlap)
		require.Equal(t, 2, code)
	}
	request(last).RequireRefusal(t, "")
}

// Promise: talon client creates a client application that authenticates by its keys alone, and
// rejects a file that is no set of public keys.
func TestClientWithKeys(t *testing.T) {
	t.Parallel()
	c := startWithClinic(t)
	database := []string{"DATABASE_URL=" + string(c.Config.DatabaseURL)}
	signers, keys := newSigners(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	require.NoError(t, os.WriteFile(file, keys, 0o600))
	code, stdout, stderr := run(t, database, "client", "create", "--name", "Регион", "--scopes", "admin", "--every-lpu", "--public-keys", file)
	require.Zero(t, code, stderr)
	parts := regexp.MustCompile(`^client_id=(\S{36})\n$`).FindStringSubmatch(stdout)
	require.NotNil(t, parts, stdout)
	client := uuid.MustParse(parts[1])
	token := harness.Decode[api.AccessToken](t, c.RequestToken(assertionForm(t, client, "ed", signers["ed"], nil)))
	require.Equal(t, "admin", token.Scope)
	c.GetAs(token.AccessToken, c.lpuPath()).RequireRefusal(t, "")
	_, list, _ := run(t, database, "client", "list")
	require.Regexp(t, client.String()+` +true +keys +0/0 +admin +all +Регион\n`, list)

	before := c.Snapshot()
	for _, document := range []string{
		"", "{}", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, strings.Repeat(" ", 65<<10),
	} {
		require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
		code, stdout, stderr := run(t, database, "client", "create", "--name", "x", "--public-keys", file)
		require.Equal(t, 1, code, document)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "--public-keys")
	}
	require.Equal(t, before, c.Snapshot())
}
