package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// p384Key is a key on a curve that is not accepted.
var p384Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })

func TestKeysOfAllSourcesVerify(t *testing.T) {
	t.Parallel()
	remote, file, plain := newEC(), newEC(), newEC()
	signing, err := EnsureSigningKey(t.TempDir() + "/key.pem")
	require.NoError(t, err)
	f := newFixture(t, Sources{
		JWKSURL:     newPublisher(t, jwks(jwk("remote", &remote.PublicKey))).URL,
		JWKSFile:    tempFile(t, jwks(jwk("file", &file.PublicKey))),
		PEMFile:     tempFile(t, publicPEM(&plain.PublicKey)),
		HS256Secret: testSecret,
		Signing:     []*SigningKey{signing},
	})
	f.requireAccepted(t, goodDraft("remote").signES256(remote))
	f.requireAccepted(t, goodDraft("file").signES256(file))
	f.requireAccepted(t, goodDraft("plain").signES256(plain))
	f.requireAccepted(t, goodDraft("").sign(jwt.SigningMethodHS256, testSecret))
	caller := Caller{Person: testPerson, Client: testClient}
	raw, err := signing.Sign(caller, testIssuer, testAudience, noon, time.Minute)
	require.NoError(t, err)
	f.requireAccepted(t, raw)
}

func TestMisconfiguredSourcesAreAllReported(t *testing.T) {
	t.Parallel()
	_, err := LoadKeys(t.Context(), Sources{
		JWKSURL:     "http://cod.example/keys",
		JWKSFile:    "/nowhere/jwks.json",
		PEMFile:     "/nowhere/keys.pem",
		HS256Secret: testSecret[1:],
	}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "http://cod.example/keys: neither https nor a loopback host")
	require.ErrorContains(t, err, "JWKS file /nowhere/jwks.json")
	require.ErrorContains(t, err, "PEM file /nowhere/keys.pem")
	require.ErrorContains(t, err, "HS256 secret of 31 bytes")

	_, err = LoadKeys(t.Context(), Sources{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "no key source")
}

func TestJWKSURLMustBeSecure(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"https://cod.example/jwks":            true,
		"http://localhost:8080/jwks":          true,
		"http://127.0.0.1/jwks":               true,
		"http://[::1]:99/jwks":                true,
		"http://cod.example/jwks":             false,
		"http://localhost.cod.example/jwks":   false,
		"http://127.0.0.1.cod.example/jwks":   false,
		"http://127.0.0.1@cod.example/jwks":   false,
		"http://10.0.0.1/jwks":                false,
		"ftp://localhost/jwks":                false,
		"file:///etc/jwks.json":               false,
		"cod.example/jwks":                    false,
		"https:":                              false,
		"http://user:password@cod.example/\n": false,
	} {
		_, err := jwksURL(address, slog.New(slog.DiscardHandler))
		require.Equal(t, want, err == nil, "%s: %v", address, err)
		if err != nil {
			require.NotContains(t, err.Error(), "password")
		}
	}
}

func TestUnknownKeyIDReloadsTheKeys(t *testing.T) {
	t.Parallel()
	old, fresh := newEC(), newEC()
	p := newPublisher(t, jwks(jwk("old", &old.PublicKey)))
	f := newFixture(t, Sources{JWKSURL: p.URL})
	p.publish(jwks(jwk("fresh", &fresh.PublicKey)))

	f.requireAccepted(t, goodDraft("old").signES256(old))
	require.EqualValues(t, 1, p.hits.Load())
	f.requireAccepted(t, goodDraft("fresh").signES256(fresh))
	require.EqualValues(t, 2, p.hits.Load())
	f.requireRejected(t, goodDraft("old").signES256(old), ErrSignature)
}

func TestKeysWithoutIDsRotateToo(t *testing.T) {
	t.Parallel()
	old, fresh := newEC(), newEC()
	p := newPublisher(t, jwks(jwk("", &old.PublicKey)))
	f := newFixture(t, Sources{JWKSURL: p.URL})
	p.publish(jwks(jwk("", &fresh.PublicKey)))
	f.requireAccepted(t, goodDraft("").signES256(fresh))
	f.requireAccepted(t, goodDraft("any").signES256(fresh))
}

func TestURLIsReloadedEveryHour(t *testing.T) {
	t.Parallel()
	old, fresh := newEC(), newEC()
	p := newPublisher(t, jwks(jwk("old", &old.PublicKey)))
	f := newFixture(t, Sources{JWKSURL: p.URL})
	p.publish(jwks(jwk("fresh", &fresh.PublicKey)))

	f.clock.advance(59 * time.Minute)
	f.tick()
	require.EqualValues(t, 1, p.hits.Load())
	f.requireAccepted(t, goodDraft("old").signES256(old))

	f.clock.advance(time.Minute)
	f.tick()
	require.EqualValues(t, 2, p.hits.Load())
	f.requireRejected(t, goodDraft("old").with("exp", noon.Add(24*time.Hour).Unix()).signES256(old), ErrSignature)
}

func TestUnknownKeyIDsReloadAtMostOnceAGap(t *testing.T) {
	t.Parallel()
	p := newPublisher(t, allKeys())
	f := newFixture(t, Sources{JWKSURL: p.URL})

	flood := func() {
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				_, err := f.verify(goodDraft(fmt.Sprint("unknown ", i)).signES256(ecKey()))
				if !errors.Is(err, ErrSignature) && !errors.Is(err, ErrKeysUnavailable) {
					t.Errorf("unknown key: %v", err)
				}
			})
		}
		group.Wait()
	}
	flood()
	require.EqualValues(t, 2, p.hits.Load())
	f.clock.advance(refreshGap - time.Second)
	flood()
	require.EqualValues(t, 2, p.hits.Load())
	f.clock.advance(time.Second)
	flood()
	require.EqualValues(t, 3, p.hits.Load())
}

func TestKnownKeyIDsDoNotReloadTheKeys(t *testing.T) {
	t.Parallel()
	p := newPublisher(t, allKeys())
	f := newFixture(t, Sources{JWKSURL: p.URL, HS256Secret: testSecret})
	f.requireRejected(t, goodDraft("ec").signES256(newEC()), ErrSignature)
	f.requireRejected(t, goodDraft("x").sign(jwt.SigningMethodHS256, make([]byte, 32)), ErrSignature)
	f.requireRejected(t, goodDraft("x").with("exp", 1).signES256(newEC()), ErrExpired)
	f.requireRejected(t, goodDraft("x").with("iss", "x").signES256(newEC()), ErrInvalid)
	require.EqualValues(t, 1, p.hits.Load())
}

func TestFailedRefreshKeepsTheKeys(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*publisher){
		"status 500":     (*publisher).fail,
		"unreachable":    func(p *publisher) { p.Close() },
		"not JSON":       func(p *publisher) { p.publish([]byte("<html>")) },
		"not a JWK set":  func(p *publisher) { p.publish([]byte("{}")) },
		"far too long":   func(p *publisher) { p.publish(append(allKeys(), make([]byte, maxDocument)...)) },
		"empty document": func(p *publisher) { p.publish(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, allKeys())
			f := newFixture(t, Sources{JWKSURL: p.URL})
			spoil(p)
			f.clock.advance(2 * time.Hour)
			f.tick()
			require.Contains(t, f.log.String(), "keeping the old ones")
			f.requireAccepted(t, goodDraft("ec").with("exp", f.clock.now().Unix()).signES256(ecKey()))
			unknown := goodDraft("x").with("exp", f.clock.now().Unix()).signES256(ecKey())
			f.requireRejected(t, unknown, ErrKeysUnavailable)
		})
	}
}

// Promise: a new key is accepted within five seconds, while a storm of tokens with unknown keys
// goes on. The storm causes one read in five seconds, and the tokens of known keys do not wait.
func TestNewKeyIsAcceptedDuringAStorm(t *testing.T) {
	t.Parallel()
	const rounds, pause = 5, 5 * time.Second
	old := newEC()
	keys := []jwkset.JWKMarshal{jwk("old", &old.PublicKey)}
	p := newPublisher(t, jwks(keys...))
	f := newFixture(t, Sources{JWKSURL: p.URL})
	var storm sync.WaitGroup
	var stop atomic.Bool
	t.Cleanup(func() { stop.Store(true); storm.Wait() })
	for i := range 8 {
		storm.Go(func() {
			for n := 0; !stop.Load(); n++ {
				_, err := f.verify(goodDraft(fmt.Sprint("unknown ", i, n)).signES256(ecKey()))
				if !errors.Is(err, ErrSignature) && !errors.Is(err, ErrKeysUnavailable) {
					t.Errorf("unknown key: %v", err)
				}
			}
		})
	}
	for round := range rounds {
		fresh, kid := newEC(), fmt.Sprint("fresh ", round)
		require.Eventually(t, func() bool { // the storm has caused its read
			f.keys.mu.Lock()
			defer f.keys.mu.Unlock()
			return p.hits.Load() == int64(round+2) && f.keys.running == nil
		}, 10*time.Second, time.Millisecond)
		keys = append(keys, jwk(kid, &fresh.PublicKey))
		p.publish(jwks(keys...))
		f.requireAccepted(t, goodDraft("old").signES256(old))
		f.clock.advance(pause)
		f.requireAccepted(t, goodDraft(kid).signES256(fresh))
	}
	require.LessOrEqual(t, p.hits.Load(), int64(1+1+rounds))
}

// Promise: while keys cannot be read, a token with an unknown key is told to come back, and one
// with a known key is accepted. When they can be read again, the new key is accepted after
// refreshGap, and a wrong one rejected.
func TestUnreadableKeys(t *testing.T) {
	t.Parallel()
	fresh := newEC()
	p := newPublisher(t, allKeys())
	f := newFixture(t, Sources{JWKSURL: p.URL})
	p.fail()
	for range 3 {
		f.requireRejected(t, goodDraft("fresh").signES256(fresh), ErrKeysUnavailable)
	}
	f.requireAccepted(t, goodDraft("ec").signES256(ecKey()))
	p.publish(jwks(jwk("ec", &ecKey().PublicKey), jwk("fresh", &fresh.PublicKey)))
	f.clock.advance(refreshGap)
	f.requireAccepted(t, goodDraft("fresh").signES256(fresh))
	f.requireRejected(t, goodDraft("x").signES256(fresh), ErrSignature)
}

// Promise: while the JWKS URL does not respond, at most maxWaiting tokens wait for it. All others
// are rejected at once.
func TestFewTokensWaitForKeys(t *testing.T) {
	t.Parallel()
	address, _ := hangAfterFirst(t)
	f := newFixture(t, Sources{JWKSURL: address})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var rejected atomic.Int64
	const tokens = 3 * maxWaiting
	for i := range tokens {
		raw := goodDraft(fmt.Sprint("unknown ", i)).signES256(ecKey())
		group.Go(func() {
			_, err := f.VerifyHeader(ctx, []string{"Bearer " + raw})
			if errors.Is(err, ErrKeysUnavailable) && !errors.Is(err, context.Canceled) {
				rejected.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return rejected.Load() == tokens-maxWaiting }, 4*time.Second, time.Millisecond)
	f.requireAccepted(t, goodDraft("ec").signES256(ecKey()))
	cancel()
	group.Wait()
	require.EqualValues(t, tokens-maxWaiting, rejected.Load())
}

func TestAllKeysCanBeWithdrawn(t *testing.T) {
	t.Parallel()
	p := newPublisher(t, allKeys())
	f := newFixture(t, Sources{JWKSURL: p.URL})
	p.publish(jwks())
	f.clock.advance(30 * time.Minute)
	f.requireAccepted(t, goodDraft("ec").signES256(ecKey()))
	f.requireRejected(t, goodDraft("x").signES256(ecKey()), ErrSignature)
	f.requireRejected(t, goodDraft("ec").signES256(ecKey()), ErrSignature)
}

func TestUnreachableURLDoesNotPreventTheStart(t *testing.T) {
	t.Parallel()
	file := newEC()
	p := newPublisher(t, nil)
	p.fail()
	path := tempFile(t, jwks(jwk("file", &file.PublicKey)))
	f := newFixture(t, Sources{JWKSURL: p.URL, JWKSFile: path, HS256Secret: testSecret})
	require.Contains(t, f.log.String(), "keys not available yet")

	f.requireAccepted(t, goodDraft("file").signES256(file))
	f.requireRejected(t, goodDraft("file").signES256(ecKey()), ErrSignature)
	f.requireRejected(t, goodDraft("ec").with("exp", 1).signES256(ecKey()), ErrExpired)
	f.requireRejected(t, goodDraft("").sign(jwt.SigningMethodHS256, make([]byte, 32)), ErrSignature)
	f.requireRejected(t, goodDraft("ec").signES256(ecKey()), ErrKeysUnavailable)
	require.NotContains(t, f.log.String(), "keeping the old ones", "there are none")

	p.publish(allKeys())
	f.tick()
	f.requireAccepted(t, goodDraft("ec").signES256(ecKey()))
	f.requireRejected(t, goodDraft("x").signES256(ecKey()), ErrSignature)
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	p := newPublisher(t, allKeys())
	redirect := httptest.NewServer(http.RedirectHandler(p.URL, http.StatusFound))
	t.Cleanup(redirect.Close)
	f := newFixture(t, Sources{JWKSURL: redirect.URL})
	f.requireRejected(t, goodDraft("ec").signES256(ecKey()), ErrKeysUnavailable)
	require.Zero(t, p.hits.Load())
}

// hangAfterFirst starts a server that serves the keys to the first request and never responds to
// later ones. waiting receives a value for each later request.
func hangAfterFirst(t *testing.T) (address string, waiting <-chan struct{}) {
	t.Helper()
	var hits atomic.Int64
	arrived := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hits.Add(1) == 1 {
			_, _ = w.Write(allKeys())
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL, arrived
}

func TestRequestDoesNotWaitForKeysBeyondItsContext(t *testing.T) {
	t.Parallel()
	address, waiting := hangAfterFirst(t)
	f := newFixture(t, Sources{JWKSURL: address})
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		_, err := f.VerifyHeader(ctx, []string{"Bearer " + goodDraft("x").signES256(ecKey())})
		result <- err
	}()
	<-waiting
	// A token with a known key does not wait.
	f.requireAccepted(t, goodDraft("ec").signES256(ecKey()))
	cancel()
	err := <-result
	require.ErrorIs(t, err, ErrKeysUnavailable)
	require.ErrorIs(t, err, context.Canceled)
}

func TestCloseInterruptsARead(t *testing.T) {
	t.Parallel()
	address, waiting := hangAfterFirst(t)
	f := newFixture(t, Sources{JWKSURL: address})
	result := make(chan error)
	go func() {
		_, err := f.verify(goodDraft("x").signES256(ecKey()))
		result <- err
	}()
	<-waiting
	f.keys.Close()
	require.ErrorIs(t, <-result, ErrSignature)
	f.keys.Close()
	f.requireAccepted(t, goodDraft("ec").signES256(ecKey()))
	f.requireRejected(t, goodDraft("y").signES256(ecKey()), ErrSignature)
}

func TestKeySetEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	keys, err := LoadKeys(ctx, Sources{HS256Secret: testSecret}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	cancel()
	<-keys.stopped
}

func TestFilesAreReloaded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sources  func(path string) Sources
		document func(*ecdsa.PrivateKey) []byte
	}{
		"JWKS": {
			func(path string) Sources { return Sources{JWKSFile: path} },
			func(k *ecdsa.PrivateKey) []byte { return jwks(jwk("same", &k.PublicKey)) },
		},
		"PEM": {
			func(path string) Sources { return Sources{PEMFile: path} },
			func(k *ecdsa.PrivateKey) []byte { return publicPEM(&k.PublicKey) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, fresh := newEC(), newEC()
			path := tempFile(t, test.document(old))
			f := newFixture(t, test.sources(path))
			f.requireAccepted(t, goodDraft("same").signES256(old))

			require.NoError(t, os.WriteFile(path, []byte("half a fi"), 0o600))
			f.tick()
			require.Contains(t, f.log.String(), "keeping the old ones")
			f.requireAccepted(t, goodDraft("same").signES256(old))

			require.NoError(t, os.WriteFile(path, test.document(fresh), 0o600))
			f.tick()
			f.requireAccepted(t, goodDraft("same").signES256(fresh))
			f.requireRejected(t, goodDraft("same").signES256(old), ErrSignature)
		})
	}
}

func TestFileIsReloadedForAnUnknownKeyID(t *testing.T) {
	t.Parallel()
	old, fresh := newEC(), newEC()
	path := tempFile(t, jwks(jwk("old", &old.PublicKey)))
	f := newFixture(t, Sources{JWKSFile: path})
	require.NoError(t, os.WriteFile(path, jwks(jwk("fresh", &fresh.PublicKey)), 0o600))
	f.requireAccepted(t, goodDraft("fresh").signES256(fresh))
}

func TestTokenWithoutKeyID(t *testing.T) {
	t.Parallel()
	first, second := newEC(), newEC()
	raw := goodDraft("").signES256(second)
	a, b := jwk("a", &first.PublicKey), jwk("b", &second.PublicKey)
	firstWithoutID, secondWithoutID := jwk("", &first.PublicKey), jwk("", &second.PublicKey)
	for name, test := range map[string]struct {
		keys []jwkset.JWKMarshal
		want error
	}{
		"one key, with an id":             {[]jwkset.JWKMarshal{b}, nil},
		"one of the algorithm":            {[]jwkset.JWKMarshal{b, jwk("rsa", &rsaKey().PublicKey)}, nil},
		"several without an id":           {[]jwkset.JWKMarshal{firstWithoutID, secondWithoutID}, nil},
		"several with ids":                {[]jwkset.JWKMarshal{a, b}, ErrSignature},
		"one with, and one without an id": {[]jwkset.JWKMarshal{firstWithoutID, b}, ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newFixture(t, Sources{JWKSFile: tempFile(t, jwks(test.keys...))}).verify(raw)
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestKeysOfAnotherUseAreSkipped(t *testing.T) {
	t.Parallel()
	change := func(key jwkset.JWKMarshal, how func(*jwkset.JWKMarshal)) jwkset.JWKMarshal {
		how(&key)
		return key
	}
	other, limited := newEC(), newEC()
	document := jwks(
		jwk("good", &ecKey().PublicKey),
		change(jwk("enc", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.USE = "enc" }),
		change(jwk("odd use", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.USE = "encryption" }),
		change(jwk("ops", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.KEYOPS = []jwkset.KEYOPS{"deriveKey"} }),
		change(jwk("alg", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.ALG = "ECDH-ES" }),
		change(jwk("foreign alg", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.ALG = "RS256" }),
		change(jwk("HS256", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.ALG = "HS256" }),
		change(jwk("kty", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.KTY = "AKP" }),
		change(jwk("crv", &other.PublicKey), func(k *jwkset.JWKMarshal) { k.CRV = "secp256k1" }),
		jwk("P-384", &p384Key().PublicKey),
		change(jwk("PS256", &rsaKey().PublicKey), func(k *jwkset.JWKMarshal) { k.ALG = "PS256" }),
		change(jwk("sig", &limited.PublicKey), func(k *jwkset.JWKMarshal) {
			k.USE, k.ALG, k.KEYOPS = "sig", "ES256", []jwkset.KEYOPS{"verify"}
		}),
	)
	f := newFixture(t, Sources{JWKSFile: tempFile(t, document)})
	require.Len(t, f.keys.ring.Load().keys, 3)
	f.requireAccepted(t, goodDraft("good").signES256(ecKey()))
	f.requireAccepted(t, goodDraft("sig").signES256(limited))
	f.requireAccepted(t, goodDraft("PS256").sign(jwt.SigningMethodPS256, rsaKey()))
	f.requireRejected(t, goodDraft("PS256").sign(jwt.SigningMethodRS256, rsaKey()), ErrSignature)
	f.requireRejected(t, goodDraft("enc").signES256(other), ErrSignature)
	f.requireRejected(t, goodDraft("ops").signES256(other), ErrSignature)
	f.requireRejected(t, goodDraft("alg").signES256(other), ErrSignature)
}

type badKey struct {
	name   string
	key    jwkset.JWKMarshal
	reason string
}

// badKeys returns keys for which a JWKS file is rejected and which are skipped in a JWKS from a
// URL.
func badKeys() []badKey {
	offCurve := jwk("bad", &ecKey().PublicKey)
	offCurve.X = offCurve.Y
	notBase64 := jwk("bad", &ecKey().PublicKey)
	notBase64.X = "!"
	onlyD := jwk("bad", &rsaKey().PublicKey)
	onlyD.D = "AQAB"
	forEncryption := privateJWK("bad", newEC())
	forEncryption.USE = "enc"
	return []badKey{
		{"shared secret", privateJWK("bad", testSecret), "shared secret"},
		{"private EC", privateJWK("bad", newEC()), "private key"},
		{"private RSA", privateJWK("bad", rsaKey()), "private key"},
		{"private Ed25519", privateJWK("bad", edKey()), "private key"},
		{"private, in part", onlyD, "private key"},
		{"private, of another use", forEncryption, "private key"},
		{"weak RSA", jwk("bad", &weakRSA().PublicKey), "RSA key of 1024 bits"},
		{"off the curve", offCurve, "not on the specified curve"},
		{"not base64", notBase64, "illegal base64"},
	}
}

func TestFileWithABadKeyIsRejected(t *testing.T) {
	t.Parallel()
	for _, bad := range badKeys() {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			path := tempFile(t, jwks(jwk("good", &ecKey().PublicKey), bad.key))
			_, err := LoadKeys(t.Context(), Sources{JWKSFile: path}, slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "key 2")
			require.ErrorContains(t, err, bad.reason)
			for _, secret := range []string{bad.key.K, bad.key.D} {
				if secret != "" {
					require.NotContains(t, err.Error(), secret)
				}
			}
		})
	}
}

func TestBadKeyOfAURLIsSkipped(t *testing.T) {
	t.Parallel()
	for _, bad := range badKeys() {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t, jwks(bad.key, jwk("good", &ecKey().PublicKey)))
			f := newFixture(t, Sources{JWKSURL: p.URL})
			require.Contains(t, f.log.String(), bad.reason)
			require.Len(t, f.keys.ring.Load().keys, 1)
			f.requireAccepted(t, goodDraft("good").signES256(ecKey()))
		})
	}
}

func TestUnusableJWKSFiles(t *testing.T) {
	t.Parallel()
	same := make([]jwkset.JWKMarshal, maxSameKey+1)
	for i := range same {
		same[i] = jwk("same", &newEC().PublicKey)
	}
	many := make([]jwkset.JWKMarshal, maxKeys+1)
	for i := range many {
		many[i] = jwk(fmt.Sprint(i), &ecKey().PublicKey)
	}
	for reason, document := range map[string][]byte{
		"not a JWK set":        []byte("keys"),
		"it has no keys":       []byte("{}"),
		"has no usable key":    jwks(jwk("P-384", &p384Key().PublicKey)),
		"not a JWK":            []byte(`{"keys":["x"]}`),
		"more than 8 keys":     jwks(same...),
		"more than 100 keys":   jwks(many...),
		"longer than 1048576 ": make([]byte, maxDocument+1),
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			_, err := LoadKeys(t.Context(), Sources{JWKSFile: tempFile(t, document)}, slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, reason)
		})
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestPEMFiles(t *testing.T) {
	t.Parallel()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: noon}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, &ecKey().PublicKey, ecKey()))
	both := append([]byte("our keys\n"), publicPEM(edKey().Public())...)
	both = append(both, publicPEM(&ecKey().PublicKey)...)
	for name, document := range map[string][]byte{
		"EC":          publicPEM(&ecKey().PublicKey),
		"certificate": block("CERTIFICATE", certificate),
		"several":     both,
		"crlf":        []byte(strings.ReplaceAll(string(both), "\n", "\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Sources{PEMFile: tempFile(t, document)})
			f.requireAccepted(t, goodDraft("").signES256(ecKey()))
			f.requireAccepted(t, goodDraft("whatever").signES256(ecKey()))
			f.requireRejected(t, goodDraft("").signES256(newEC()), ErrSignature)
		})
	}
	for name, document := range map[string][]byte{
		"RSA, PKIX":   publicPEM(&rsaKey().PublicKey),
		"RSA, PKCS 1": block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Sources{PEMFile: tempFile(t, document)})
			f.requireAccepted(t, goodDraft("").sign(jwt.SigningMethodRS256, rsaKey()))
			f.requireAccepted(t, goodDraft("").sign(jwt.SigningMethodPS256, rsaKey()))
		})
	}
}

func TestUnusablePEMFiles(t *testing.T) {
	t.Parallel()
	good := string(publicPEM(&ecKey().PublicKey))
	for name, test := range map[string]struct{ document, reason string }{
		"empty":         {"", "0 PEM blocks"},
		"no PEM":        {"ssh-ed25519 AAAA", "0 PEM blocks"},
		"damaged":       {good + good[:len(good)-5], "damaged"},
		"damaged first": {strings.Replace(good, "\n", "\n!", 1) + good, "damaged"},
		"not a key":     {string(block("PUBLIC KEY", []byte("x"))), "PEM block 1"},
		"another block": {
			good + string(block("DH PARAMETERS", nil)),
			`PEM block 2: block type "DH PARAMETERS" is neither a public key nor a certificate`,
		},
		"private key": {string(block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKey())))), "private key"},
		"EC private":  {string(block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey())))), "private key"},
		"P-384":       {string(publicPEM(&p384Key().PublicKey)), "not a key of an accepted algorithm"},
		"weak RSA":    {string(publicPEM(&weakRSA().PublicKey)), "RSA key of 1024 bits"},
		"too many":    {strings.Repeat(good, maxSameKey+1), "more than 8 keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadKeys(t.Context(), Sources{PEMFile: tempFile(t, []byte(test.document))},
				slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, test.reason)
		})
	}
}

// FuzzParseJWKS proves for every document that parsing does not panic, and that each parsed key is
// used with one family of algorithms only.
func FuzzParseJWKS(f *testing.F) {
	f.Add(allKeys())
	f.Add(jwks(privateJWK("p", ecKey()), privateJWK("s", testSecret)))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"AQ","e":"AQABAQABAQAB"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, _, err := parseJWKS(document)
		if err != nil {
			return
		}
		for _, k := range keys {
			same, err := newKey(k.id, "", k.material)
			require.NoError(t, err)
			require.Subset(t, same.algs, k.algs)
			require.NotContains(t, k.algs, algHS256)
		}
	})
}
