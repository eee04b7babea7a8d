package auth

import (
	"bytes"
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
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testIssuer   = "https://cod.example"
	testAudience = "talon"
)

var (
	testSecret = bytes.Repeat([]byte("s"), minSecretBytes)
	testPerson = uuid.MustParse("7b1c7d4c-0a55-4f0a-9f7c-3f1f5a1d9b01")
	testClient = uuid.MustParse("c0a80101-2b6e-4b7a-8d3c-5e6f7a8b9c0d")
	noon       = time.Date(2030, 5, 17, 12, 0, 0, 0, time.UTC)
)

// The keys are generated once per run, because generating RSA keys is slow.
var (
	rsaKey  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey   = sync.OnceValue(newEC)
	edKey   = sync.OnceValue(func() ed25519.PrivateKey {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return must(private, err)
	})
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newEC() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// clock is a manual clock. It is safe for concurrent use.
type clock struct{ nanos atomic.Int64 }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.nanos.Store(at.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// logBuffer collects log output. It is safe for concurrent use.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// draft is an unsigned token.
type draft struct {
	header map[string]any
	claims map[string]any
}

func goodDraft(kid string) draft {
	d := draft{
		header: map[string]any{"typ": "JWT"},
		claims: map[string]any{
			"iss":                testIssuer,
			"aud":                testAudience,
			"iat":                noon.Unix(),
			"exp":                noon.Add(time.Hour).Unix(),
			"sub":                testPerson.String(),
			"client_application": testClient.String(),
		},
	}
	if kid != "" {
		d.header["kid"] = kid
	}
	return d
}

// with returns a copy of the draft with a claim set, or removed if the value is nil.
func (d draft) with(claim string, value any) draft {
	d.claims = maps.Clone(d.claims)
	d.claims[claim] = value
	if value == nil {
		delete(d.claims, claim)
	}
	return d
}

// withHeader returns a copy of the draft with a header field set.
func (d draft) withHeader(name string, value any) draft {
	d.header = maps.Clone(d.header)
	d.header[name] = value
	return d
}

func (d draft) sign(method jwt.SigningMethod, private any) string {
	token := jwt.NewWithClaims(method, jwt.MapClaims(d.claims))
	alg := token.Header["alg"]
	maps.Copy(token.Header, d.header)
	if token.Header["alg"] == nil {
		token.Header["alg"] = alg
	}
	return must(token.SignedString(private))
}

func (d draft) signES256(private *ecdsa.PrivateKey) string {
	return d.sign(jwt.SigningMethodES256, private)
}

// jwk returns a public key in the form of a JWK set.
func jwk(kid string, public any) jwkset.JWKMarshal {
	options := jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}}
	return must(jwkset.NewJWKFromKey(public, options)).Marshal()
}

// privateJWK returns a private or secret key in the form of a JWK set, which must not be published.
func privateJWK(kid string, private any) jwkset.JWKMarshal {
	options := jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: kid},
		Marshal:  jwkset.JWKMarshalOptions{Private: true},
	}
	return must(jwkset.NewJWKFromKey(private, options)).Marshal()
}

func jwks(keys ...jwkset.JWKMarshal) []byte {
	if keys == nil {
		keys = []jwkset.JWKMarshal{}
	}
	return must(json.Marshal(jwkset.JWKSMarshal{Keys: keys}))
}

func publicPEM(public crypto.PublicKey) []byte {
	der := must(x509.MarshalPKIXPublicKey(public))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// tempFile writes a file that is removed when the test ends, and returns its path.
func tempFile(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// publisher is an HTTP server that serves a JWK set or another document.
type publisher struct {
	*httptest.Server

	hits     atomic.Int64
	document atomic.Pointer[[]byte] // nil: the server responds with 500
}

func newPublisher(t testing.TB, document []byte) *publisher {
	p := &publisher{}
	p.publish(document)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.hits.Add(1)
		if document := p.document.Load(); document != nil {
			_, _ = w.Write(*document)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) publish(document []byte) { p.document.Store(&document) }
func (p *publisher) fail()                   { p.document.Store(nil) }

// fixture is a verifier with its keys, a manual clock and manual ticks.
type fixture struct {
	*Verifier

	clock *clock
	log   *logBuffer
	ticks chan time.Time
}

func newFixture(t testing.TB, src Sources) *fixture {
	t.Helper()
	f := &fixture{clock: newClock(noon), log: &logBuffer{}, ticks: make(chan time.Time)}
	logger := slog.New(slog.NewTextHandler(f.log, nil))
	keys, err := loadKeys(context.Background(), src, logger, f.clock.now, f.ticks)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	expected := Expected{Issuer: testIssuer, Audience: testAudience, MaxLife: 24 * time.Hour}
	f.Verifier = NewVerifier(keys, expected, f.clock.now)
	return f
}

// verify calls VerifyHeader with one Bearer header.
func (f *fixture) verify(raw string) (Caller, error) {
	return f.VerifyHeader(context.Background(), []string{"Bearer " + raw})
}

func (f *fixture) requireAccepted(t testing.TB, raw string) {
	t.Helper()
	token, err := f.verify(raw)
	require.NoError(t, err)
	require.Equal(t, testPerson, token.Person)
	require.Equal(t, testClient, token.Client)
}

func (f *fixture) requireRejected(t testing.TB, raw string, want error) {
	t.Helper()
	token, err := f.verify(raw)
	require.ErrorIs(t, err, want)
	require.Zero(t, token)
}

// tick sends a tick to the key set and waits until the sources that are due have been reloaded. The
// key set receives the second tick only after it has handled the first one.
func (f *fixture) tick() {
	f.ticks <- f.clock.now()
	f.ticks <- f.clock.now()
}
