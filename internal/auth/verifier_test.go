package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// allKeys returns a JWK set with one key of each kind; the key ids are rsa, ec and ed.
func allKeys() []byte {
	return jwks(
		jwk("rsa", &rsaKey().PublicKey),
		jwk("ec", &ecKey().PublicKey),
		jwk("ed", edKey().Public()),
	)
}

func TestTokenOfEveryAlgorithmIsAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys()), HS256Secret: testSecret})
	for _, test := range []struct {
		kid     string
		method  jwt.SigningMethod
		private any
	}{
		{"ed", jwt.SigningMethodEdDSA, edKey()},
		{"ec", jwt.SigningMethodES256, ecKey()},
		{"rsa", jwt.SigningMethodRS256, rsaKey()},
		{"rsa", jwt.SigningMethodPS256, rsaKey()},
		{"", jwt.SigningMethodHS256, testSecret},
		{"any", jwt.SigningMethodHS256, testSecret},
	} {
		t.Run(test.method.Alg()+" "+test.kid, func(t *testing.T) {
			t.Parallel()
			token, err := f.verify(goodDraft(test.kid).sign(test.method, test.private))
			require.NoError(t, err)
			require.Equal(t, Caller{Person: testPerson, Client: testClient, ExpiresAt: noon.Add(time.Hour)}, token)
		})
	}
}

func TestHeaderForms(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	raw := goodDraft("ec").signES256(ecKey())
	for name, test := range map[string]struct {
		values []string
		want   error
	}{
		"one token":            {[]string{"Bearer " + raw}, nil},
		"scheme in lower case": {[]string{"bearer " + raw}, nil},
		"scheme in upper case": {[]string{"BEARER " + raw}, nil},
		"several spaces":       {[]string{"Bearer   " + raw}, nil},
		"no header":            {nil, ErrMissing},
		"empty header":         {[]string{""}, ErrMissing},
		"Bearer alone":         {[]string{"Bearer"}, ErrMissing},
		"Bearer and spaces":    {[]string{"Bearer   "}, ErrMissing},
		"a tab, no space":      {[]string{"Bearer\t" + raw}, ErrMissing},
		"no scheme":            {[]string{raw}, ErrMissing},
		"Basic":                {[]string{"Basic dXNlcjpwYXNz"}, ErrMissing},
		"a longer scheme":      {[]string{"Bearerx " + raw}, ErrMissing},
		"two headers":          {[]string{"Bearer " + raw, "Bearer " + raw}, ErrMissing},
		"two, one of Basic":    {[]string{"Basic dXNlcjpwYXNz", "Bearer " + raw}, ErrMissing},
		"two tokens in one":    {[]string{"Bearer " + raw + ", Bearer " + raw}, ErrInvalid},
		"text after it":        {[]string{"Bearer " + raw + " x"}, ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := f.VerifyHeader(context.Background(), test.values)
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestTokenIsRejectedForItsForm(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	raw := goodDraft("ec").signES256(ecKey())
	parts := strings.Split(raw, ".")
	encode := base64.RawURLEncoding.EncodeToString
	tooLong := goodDraft("ec").with("more", strings.Repeat("x", maxTokenBytes))

	// The last character of an ES256 signature encodes 2 bits, and 4 padding bits that lax decoding
	// ignores. lax sets one of the padding bits.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", raw[len(raw)-1])
	lax := raw[:len(raw)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])

	for name, bad := range map[string]string{
		"garbage":                        "garbage",
		"dots":                           "..",
		"two parts":                      parts[0] + "." + parts[1],
		"four parts":                     raw + ".x",
		"header is no JSON":              encode([]byte("x")) + "." + parts[1] + "." + parts[2],
		"header is null":                 encode([]byte("null")) + "." + parts[1] + "." + parts[2],
		"header is a list":               encode([]byte("[]")) + "." + parts[1] + "." + parts[2],
		"no algorithm":                   encode([]byte(`{"typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"payload is no JSON":             parts[0] + "." + encode([]byte("x")) + "." + parts[2],
		"payload is null":                parts[0] + "." + encode([]byte("null")) + "." + parts[2],
		"payload with a tail":            parts[0] + "." + encode([]byte("{}{}")) + "." + parts[2],
		"standard base64":                parts[0] + "." + parts[1] + ".+/+/",
		"padded base64":                  raw + "==",
		"stray bits in base64":           lax,
		"a line break":                   parts[0] + "." + parts[1] + "\n." + parts[2],
		"alg none":                       goodDraft("ec").sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"alg none, in capitals":          goodDraft("ec").withHeader("alg", "NONE").signES256(ecKey()),
		"alg is a number":                goodDraft("ec").withHeader("alg", 256).signES256(ecKey()),
		"alg ES384":                      goodDraft("ec").withHeader("alg", "ES384").signES256(ecKey()),
		"alg RS512":                      goodDraft("rsa").sign(jwt.SigningMethodRS512, rsaKey()),
		"HS256 without a secret":         goodDraft("").sign(jwt.SigningMethodHS256, testSecret),
		"HS256 with our public key":      goodDraft("rsa").sign(jwt.SigningMethodHS256, publicPEM(&rsaKey().PublicKey)),
		"HS256 with an empty key":        goodDraft("").sign(jwt.SigningMethodHS256, []byte{}),
		"kid is a number":                goodDraft("").withHeader("kid", 1).signES256(ecKey()),
		"kid is null":                    goodDraft("").withHeader("kid", nil).signES256(ecKey()),
		"critical extensions":            goodDraft("ec").withHeader("crit", []string{"exp"}).signES256(ecKey()),
		"critical extensions, empty":     goodDraft("ec").withHeader("crit", nil).signES256(ecKey()),
		"longer than 8 KiB, well signed": tooLong.signES256(ecKey()),
		"1 MiB":                          strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.requireRejected(t, bad, ErrInvalid)
		})
	}
}

func TestTokenIsRejectedForItsClaims(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	good := goodDraft("ec")
	tests := map[string]struct {
		claim string
		value any
	}{
		"wrong issuer":                 {"iss", "https://other.example"},
		"issuer in another case":       {"iss", strings.ToUpper(testIssuer)},
		"empty issuer":                 {"iss", ""},
		"issuer is a list":             {"iss", []string{testIssuer}},
		"wrong audience":               {"aud", "other"},
		"empty audience":               {"aud", ""},
		"audiences without ours":       {"aud", []string{"one", "other"}},
		"no audiences":                 {"aud", []string{}},
		"audiences with a number":      {"aud", []any{testAudience, 1}},
		"audience is an object":        {"aud", map[string]any{testAudience: 1}},
		"sub is no guid":               {"sub", "ivanov"},
		"sub of 36 letters":            {"sub", strings.Repeat("x", guidLength)},
		"sub is the zero guid":         {"sub", uuid.Nil.String()},
		"sub in braces":                {"sub", "{" + testPerson.String() + "}"},
		"sub as a URN":                 {"sub", testPerson.URN()},
		"sub without dashes":           {"sub", strings.ReplaceAll(testPerson.String(), "-", "")},
		"sub is a number":              {"sub", 7},
		"client is no guid":            {"client_application", "portal"},
		"client is the zero guid":      {"client_application", uuid.Nil.String()},
		"exp is a string":              {"exp", "1905336000"},
		"exp is zero":                  {"exp", 0},
		"exp is negative":              {"exp", -1},
		"exp beyond all years":         {"exp", 1e300},
		"exp in the year 10000":        {"exp", int64(maxUnix + 1)},
		"iat is a string":              {"iat", "1905336000"},
		"iat in the future by 61 s":    {"iat", noon.Unix() + 61},
		"nbf is a string":              {"nbf", "1905336000"},
		"nbf beyond all years":         {"nbf", 1e300},
		"not valid for another 61 s":   {"nbf", noon.Unix() + 61},
		"not valid for another decade": {"nbf", noon.AddDate(10, 0, 0).Unix()},
	}
	for _, claim := range []string{"iss", "aud", "exp", "iat", "sub", "client_application"} {
		tests["without "+claim] = struct {
			claim string
			value any
		}{claim, nil}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.requireRejected(t, good.with(test.claim, test.value).signES256(ecKey()), ErrInvalid)
		})
	}

	t.Run("null is not a value", func(t *testing.T) {
		t.Parallel()
		for claim := range good.claims {
			bad := good.with(claim, nil)
			bad.claims[claim] = nil
			f.requireRejected(t, bad.signES256(ecKey()), ErrInvalid)
		}
	})
	t.Run("names are case-sensitive", func(t *testing.T) {
		t.Parallel()
		f.requireRejected(t, good.with("sub", nil).with("SUB", testPerson.String()).signES256(ecKey()), ErrInvalid)
	})
}

func TestTokenIsAcceptedWithinTheLeeway(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	good := goodDraft("ec")
	for name, accepted := range map[string]draft{
		"audience among others": good.with("aud", []string{"other", testAudience}),
		"guids in capitals":     good.with("sub", strings.ToUpper(testPerson.String())),
		"expired 59 s ago":      good.with("exp", noon.Unix()-59),
		"valid in 59 s":         good.with("nbf", noon.Unix()+59),
		"valid in 60 s":         good.with("nbf", noon.Unix()+60),
		"issued in 60 s":        good.with("iat", noon.Unix()+60),
		"dates with a fraction": good.with("exp", float64(noon.Unix())+10.5),
		"nbf long past":         good.with("nbf", 0),
		"unknown claims":        good.with("role", "admin"),
		"almost too long":       good.with("more", strings.Repeat("x", 5<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.requireAccepted(t, accepted.signES256(ecKey()))
		})
	}
}

func TestTokenHasExpired(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	for _, seconds := range []int64{60, 61, 3600, 10 * 365 * 24 * 3600} {
		t.Run(fmt.Sprintf("%d s ago", seconds), func(t *testing.T) {
			t.Parallel()
			f.requireRejected(t, goodDraft("ec").with("exp", noon.Unix()-seconds).signES256(ecKey()), ErrExpired)
		})
	}
}

func TestSignatureIsWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys()), HS256Secret: testSecret})
	raw := goodDraft("ec").signES256(ecKey())
	parts := strings.Split(raw, ".")
	other := strings.Split(goodDraft("ec").with("sub", uuid.NewString()).signES256(ecKey()), ".")
	otherHeader := strings.Split(goodDraft("ec").withHeader("x", 1).signES256(ecKey()), ".")
	zeros := base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	rsaPublicPEM, edPublic := publicPEM(&rsaKey().PublicKey), []byte(edKey().Public().(ed25519.PublicKey))
	hs256, rs256 := jwt.SigningMethodHS256, jwt.SigningMethodRS256

	for name, bad := range map[string]string{
		"another's key":                      goodDraft("ec").signES256(newEC()),
		"an unknown kid":                     goodDraft("other").signES256(ecKey()),
		"the kid of another algorithm's key": goodDraft("rsa").signES256(ecKey()),
		"no kid, another's key":              goodDraft("").signES256(newEC()),
		"payload of another token":           parts[0] + "." + other[1] + "." + parts[2],
		"header of another token":            otherHeader[0] + "." + parts[1] + "." + parts[2],
		"no signature":                       parts[0] + "." + parts[1] + ".",
		"a short signature":                  parts[0] + "." + parts[1] + ".AAAA",
		"a signature of zeros":               parts[0] + "." + parts[1] + "." + zeros,
		"HS256 with another secret":          goodDraft("").sign(hs256, bytes.Repeat([]byte("x"), 32)),
		"HS256 with our public PEM":          goodDraft("").sign(hs256, rsaPublicPEM),
		"HS256 with our PEM and its kid":     goodDraft("rsa").sign(hs256, rsaPublicPEM),
		"HS256 with our public Ed25519":      goodDraft("ed").sign(hs256, edPublic),
		"RS256 with the header PS256":        goodDraft("rsa").withHeader("alg", "PS256").sign(rs256, rsaKey()),
		"ES256 with the header EdDSA":        goodDraft("ed").withHeader("alg", "EdDSA").signES256(ecKey()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.requireRejected(t, bad, ErrSignature)
		})
	}
}

func TestFirstFailureDeterminesTheError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	expired := goodDraft("gone").with("exp", noon.Unix()-3600)
	for name, test := range map[string]struct {
		raw  string
		want error
	}{
		"expired, key withdrawn":          {expired.signES256(newEC()), ErrExpired},
		"expired, signature wrong":        {goodDraft("ec").with("exp", 1).signES256(newEC()), ErrExpired},
		"wrong issuer, signature wrong":   {goodDraft("ec").with("iss", "x").signES256(newEC()), ErrInvalid},
		"wrong issuer, expired":           {expired.with("iss", "x").signES256(ecKey()), ErrInvalid},
		"sub missing, expired":            {expired.with("sub", nil).signES256(ecKey()), ErrInvalid},
		"not valid yet, but expired":      {expired.with("nbf", noon.Unix()+3600).signES256(ecKey()), ErrInvalid},
		"expired, critical extensions":    {expired.withHeader("crit", 1).signES256(ecKey()), ErrInvalid},
		"expired, algorithm not accepted": {expired.sign(jwt.SigningMethodHS256, testSecret), ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.requireRejected(t, test.raw, test.want)
		})
	}
}

func TestEmptyIssuerOrAudienceAcceptsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	for _, verifier := range []*Verifier{
		NewVerifier(f.keys, Expected{Issuer: "", Audience: testAudience, MaxLife: 24 * time.Hour}, f.clock.now),
		NewVerifier(f.keys, Expected{Issuer: testIssuer, Audience: "", MaxLife: 24 * time.Hour}, f.clock.now),
	} {
		for _, d := range []draft{goodDraft("ec"), goodDraft("ec").with("iss", ""), goodDraft("ec").with("aud", "")} {
			_, err := verifier.VerifyHeader(context.Background(), []string{"Bearer " + d.signES256(ecKey())})
			require.ErrorIs(t, err, ErrInvalid)
		}
	}
}

func TestErrorsDoNotContainTheToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	good := goodDraft("ec").with("name", "Ivanov")
	for _, raw := range []string{
		good.signES256(newEC()),
		good.with("exp", 1).signES256(ecKey()),
		good.with("iss", "https://secret.example").signES256(ecKey()),
		good.with("sub", "secret").signES256(ecKey()),
		good.with("exp", "secret").signES256(ecKey()),
		good.with("nbf", noon.Unix()+3600).signES256(ecKey()),
		good.withHeader("alg", "secret").signES256(ecKey()),
		good.signES256(ecKey()) + "secret",
		"e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"phone":4957654321e999}`)) + ".AAAA",
	} {
		_, err := f.verify(raw)
		require.Error(t, err)
		private := []string{testPerson.String(), testClient.String(), "secret", "Ivanov", "4957654321"}
		for _, word := range append(strings.Split(raw, "."), private...) {
			require.NotContains(t, err.Error(), word)
		}
	}
}

func TestCachedTokenIsStillCheckedForItsDates(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	raw := goodDraft("ec").with("nbf", noon.Unix()).signES256(ecKey())
	first, err := f.verify(raw)
	require.NoError(t, err)
	require.Len(t, f.cache.verified, 1)
	second, err := f.verify(raw)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Len(t, f.cache.verified, 1)

	f.clock.advance(time.Hour + 59*time.Second)
	f.requireAccepted(t, raw)
	f.clock.advance(time.Second)
	f.requireRejected(t, raw, ErrExpired)
	f.clock.advance(-2*time.Hour - 2*time.Minute)
	f.requireRejected(t, raw, ErrInvalid)
}

func TestCacheHoldsOnlyVerifiedTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	raw := goodDraft("ec").signES256(newEC())
	for range 3 {
		f.requireRejected(t, raw, ErrSignature)
	}
	require.Empty(t, f.cache.verified)
}

func TestCacheDropsTheTokensOfAWithdrawnKey(t *testing.T) {
	t.Parallel()
	old, fresh := newEC(), newEC()
	p := newPublisher(t, jwks(jwk("old", &old.PublicKey)))
	f := newFixture(t, Sources{JWKSURL: p.URL})
	raw := goodDraft("old").with("exp", noon.Add(24*time.Hour).Unix()).signES256(old)
	f.requireAccepted(t, raw)

	p.publish(jwks(jwk("fresh", &fresh.PublicKey)))
	f.clock.advance(time.Hour)
	f.tick()
	f.requireRejected(t, raw, ErrSignature)
}

func TestCacheSurvivesARefreshThatChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPublisher(t, allKeys())
	f := newFixture(t, Sources{JWKSURL: p.URL})
	ring := f.keys.ring.Load()
	f.clock.advance(time.Hour)
	f.tick()
	require.EqualValues(t, 2, p.hits.Load())
	require.Same(t, ring, f.keys.ring.Load())
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c cache
	r := &ring{}
	for i := range maxCached + 100 {
		c.put(r, [32]byte{byte(i), byte(i >> 8)}, claims{})
	}
	require.Len(t, c.verified, maxCached)
}

func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	var documents [2][]byte
	var tokens [2]string
	for i := range tokens {
		private := newEC()
		documents[i] = jwks(jwk(fmt.Sprint(i), &private.PublicKey), jwk("always", &ecKey().PublicKey))
		tokens[i] = goodDraft(fmt.Sprint(i)).signES256(private)
	}
	p := newPublisher(t, documents[0])
	f := newFixture(t, Sources{JWKSURL: p.URL, HS256Secret: testSecret})
	always := goodDraft("always").signES256(ecKey())

	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 50 {
				if _, err := f.verify(always); err != nil {
					t.Errorf("the permanent key: %v", err)
				}
				if _, err := f.verify(tokens[i%2]); err != nil && !errors.Is(err, ErrSignature) {
					t.Errorf("a rotating key: %v", err)
				}
			}
		})
	}
	for i := range 10 {
		p.publish(documents[i%2])
		f.clock.advance(refreshGap)
		f.tick()
	}
	group.Wait()
}

// FuzzVerifyHeader proves for every header value that VerifyHeader returns one of its documented
// errors, or the token of a seed that the test has signed.
func FuzzVerifyHeader(f *testing.F) {
	file := tempFile(f, allKeys())
	x := newFixture(f, Sources{JWKSFile: file, HS256Secret: testSecret})
	good := goodDraft("ec")
	for _, seed := range []string{
		"", "Bearer", "Basic x", "Bearer a.b.c", "Bearer ..",
		"Bearer " + good.signES256(ecKey()),
		"bearer  " + goodDraft("").sign(jwt.SigningMethodHS256, testSecret),
		"Bearer " + goodDraft("ed").sign(jwt.SigningMethodEdDSA, edKey()),
		"Bearer " + good.with("exp", 1).signES256(ecKey()),
		"Bearer " + good.with("exp", 1e300).signES256(newEC()),
		"Bearer " + good.with("aud", []any{nil}).signES256(ecKey()),
		"Bearer " + good.sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := x.VerifyHeader(context.Background(), []string{value})
		if err == nil {
			require.Equal(t, testPerson, token.Person)
			require.Equal(t, testClient, token.Client)
			return
		}
		require.Zero(t, token)
		documented := false
		for _, sentinel := range []error{ErrMissing, ErrInvalid, ErrExpired, ErrSignature} {
			documented = documented || errors.Is(err, sentinel)
		}
		require.True(t, documented, "%v", err)
	})
}

func BenchmarkVerifyHeader(b *testing.B) {
	f := newFixture(b, Sources{JWKSFile: tempFile(b, allKeys())})
	values := []string{"Bearer " + goodDraft("ec").signES256(ecKey())}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			f.cache = cache{}
			if _, err := f.VerifyHeader(context.Background(), values); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.VerifyHeader(context.Background(), values); err != nil {
				b.Fatal(err)
			}
		}
	})
}
