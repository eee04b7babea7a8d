package events_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/events"
)

// delivery is a delivery as a receiver gets it, and what the receiver must find. The tests of both
// SDKs read them from testdata/deliveries.ndjson.
type delivery struct {
	Name    string      `json:"name"`
	Keys    []string    `json:"keys"` // of the receiver
	Now     int64       `json:"now"`  // the receiver's clock, in seconds since 1970
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	Result  string      `json:"result"` // valid, or the reason of its rejection
}

var update = flag.Bool("update", false, "write testdata/deliveries.ndjson")

// Promise: the deliveries with which the SDKs are tested are those that the service would send.
// Write them with: go test ./internal/events -run TestDeliveries -update
func TestDeliveries(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	encoder := json.NewEncoder(&file)
	encoder.SetEscapeHTML(false)
	for _, d := range deliveries() {
		require.NoError(t, encoder.Encode(d))
	}
	const name = "testdata/deliveries.ndjson"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(name, file.Bytes(), 0o600))
	}
	stored, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, file.String(), string(stored))
}

const (
	deliveryID   = "1566291600087416"
	deliveryBody = `{"specversion":"1.0","id":"1566291600087416",` +
		`"source":"/lpus/4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",` +
		`"type":"appointment.booked","time":"2019-08-20T09:00:00Z","subject":"df554d5b-40d4-4946-bb99-b8db15c87b70",` +
		`"sequence":"00000000000000000317","datacontenttype":"application/json",` +
		`"data":{"lpuGuid":"4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",` +
		`"appointmentGuid":"df554d5b-40d4-4946-bb99-b8db15c87b70",` +
		`"directionGuid":"e714e964-d8a0-4776-b163-c708371c39a5",` +
		`"resourceGuid":"de300000-0004-4000-8000-000000000001","version":1}}`
)

var deliveredAt = time.Date(2019, 8, 20, 9, 0, 5, 0, time.UTC)

// signedBy returns a valid delivery of a body that was signed by the keys. Its receiver has the
// secret of the first key.
func signedBy(body string, keys ...events.SigningKey) delivery {
	return delivery{
		Keys: []string{keys[0].HMACSecret()},
		Now:  deliveredAt.Unix(),
		Headers: [][2]string{
			{"webhook-id", deliveryID},
			{"webhook-timestamp", strconv.FormatInt(deliveredAt.Unix(), 10)},
			{"webhook-signature", events.Sign(deliveryID, deliveredAt, []byte(body), keys...)},
		},
		Body:   body,
		Result: "valid",
	}
}

// deliveries returns all cases. They are the same each time.
func deliveries() []delivery {
	key, other, foreign := fixedKey("first"), fixedKey("second"), fixedKey("foreign")
	secret, public := key.HMACSecret(), key.PublicKey()
	var all []delivery
	add := func(name, result string, d delivery, changes ...func(*delivery)) {
		d.Headers = append([][2]string{}, d.Headers...)
		for _, change := range changes {
			change(&d)
		}
		d.Name, d.Result = name, result
		all = append(all, d)
	}
	delivered := signedBy(deliveryBody, key)
	signature := delivered.Headers[2][1]
	hmac, asymmetric, _ := strings.Cut(signature, " ")

	add("secret", "valid", delivered)
	add("public key", "valid", delivered, keys(public))
	add("secret and public key", "valid", delivered, keys(secret, public))
	add("names of headers in another case", "valid", delivered, func(d *delivery) {
		for i := range d.Headers {
			d.Headers[i][0] = strings.ToUpper(d.Headers[i][0])
		}
	})
	add("a key with another one", "valid", delivered, keys(other.HMACSecret(), secret))
	add("a public key with another one", "valid", delivered, keys(other.PublicKey(), public))
	add("a key with a line break", "valid", delivered, keys(secret+"\n"))
	rotated := signedBy(deliveryBody, other, key)
	add("two keys sign, the receiver has the secret of the first", "valid", rotated, keys(other.HMACSecret()))
	add("two keys sign, the receiver has the secret of the second", "valid", rotated, keys(secret))
	add("two keys sign, the receiver has the first public key", "valid", rotated, keys(other.PublicKey()))
	add("two keys sign, the receiver has the second public key", "valid", rotated, keys(public))
	add("unknown versions", "valid", delivered, header(2, "v2,AAAA v1b,"+hmac[3:]+" "+hmac))
	add("only the HMAC signature", "valid", delivered, header(2, hmac))
	add("only the ed25519 signature", "valid", delivered, header(2, asymmetric), keys(public))
	add("a malformed signature before a valid one", "valid", delivered, header(2, "v1,%%% v1, v1 "+hmac))
	add("a repeated header with signatures", "valid", delivered,
		header(2, "v1,AAAA"), func(d *delivery) {
			d.Headers = append(d.Headers, [2]string{"webhook-signature", hmac})
		})
	add("repeated signatures, combined by a proxy", "valid", delivered, header(2, "v1,AAAA, "+hmac+", v2,AAAA"))
	add("oldest valid time", "valid", delivered, now(300))
	add("newest valid time", "valid", delivered, now(-300))
	add("fields and text that the SDK does not know", "valid",
		signedBy(strings.Replace(deliveryBody, `"data":{`, `"more":"Запись на приём","data":{"more":[1],`, 1), key))
	add("a type that the SDK does not know", "valid",
		signedBy(strings.Replace(deliveryBody, "appointment.booked", "appointment.praised", 1), key))

	add("wrong secret", "signature_invalid", delivered, keys(foreign.HMACSecret()))
	add("wrong public key", "signature_invalid", delivered, keys(foreign.PublicKey()))
	add("a public key as a secret", "signature_invalid", delivered, keys("whsec_"+public[len("whpk_"):]))
	add("changed body", "signature_invalid", delivered, func(d *delivery) { d.Body += " " })
	add("changed body, public key", "signature_invalid", delivered, keys(public), func(d *delivery) { d.Body += " " })
	add("empty body", "signature_invalid", delivered, func(d *delivery) { d.Body = "" })
	add("changed id", "signature_invalid", delivered, header(0, "1566291600087417"))
	add("changed id, public key", "signature_invalid", delivered, header(0, "1566291600087417"), keys(public))
	moved := strconv.FormatInt(deliveredAt.Unix()+1, 10)
	add("changed timestamp", "signature_invalid", delivered, header(1, moved))
	add("changed timestamp, public key", "signature_invalid", delivered, header(1, moved), keys(public))
	add("only unknown versions", "signature_invalid", delivered, header(2, "v2,"+hmac[3:]))
	add("without a version", "signature_invalid", delivered, header(2, hmac[3:]))
	add("malformed base64", "signature_invalid", delivered, header(2, "v1,%%%"))
	add("base64 without padding", "signature_invalid", delivered, header(2, strings.TrimRight(hmac, "=")))
	add("shortened signature", "signature_invalid", delivered, header(2, hmac[:3+20]))
	add("the kinds of signatures exchanged", "signature_invalid", delivered,
		header(2, "v1a,"+hmac[3:]+" v1,"+asymmetric[4:]), keys(secret, public))

	add("too old", "too_old", delivered, now(301))
	add("too new", "too_new", delivered, now(-301))
	for i, h := range delivered.Headers {
		add("without "+h[0], "header_missing", delivered, func(d *delivery) {
			d.Headers = append(append([][2]string{}, d.Headers[:i]...), d.Headers[i+1:]...)
		})
		add("empty "+h[0], "header_missing", delivered, header(i, ""))
	}
	for _, h := range delivered.Headers[:2] {
		add("repeated "+h[0], "header_invalid", delivered, func(d *delivery) { d.Headers = append(d.Headers, h) })
	}
	for _, timestamp := range []string{"now", "-1", "15662916.5", "+1566291605", "0x5d5bb715", "1566291605000000000"} {
		add("timestamp "+timestamp, "header_invalid", delivered, header(1, timestamp))
	}

	for _, c := range [][2]string{
		{"text", "event"},
		{"null", "null"},
		{"a list", "[" + deliveryBody + "]"},
		{"an event without a type", strings.Replace(deliveryBody, `"type"`, `"kind"`, 1)},
		{"an event with a number as its subject", strings.Replace(deliveryBody, `"subject":"`, `"subject":1,"s":"`, 1)},
		{"an event without data", strings.Replace(deliveryBody, `"data"`, `"date"`, 1)},
		{"an event of no institution", strings.Replace(deliveryBody, `"lpuGuid"`, `"guid"`, 1)},
		{"another version of CloudEvents", strings.Replace(deliveryBody, `"1.0"`, `"2.0"`, 1)},
		{"an event with another id than its header", strings.Replace(deliveryBody, deliveryID, "1566291600087417", 1)},
	} {
		add("the body is "+c[0], "not_an_event", signedBy(c[1], key))
	}

	encode := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		name string
		keys []string
	}{
		{"no keys", []string{}},
		{"empty key", []string{""}},
		{"key without a prefix", []string{secret[len("whsec_"):]}},
		{"unknown kind of key", []string{"whsk_" + secret[len("whsec_"):]}},
		{"secret without content", []string{"whsec_"}},
		{"short secret", []string{"whsec_" + encode(key.Secret[:23])}},
		{"long secret", []string{"whsec_" + encode(make([]byte, 65))}},
		{"malformed secret", []string{"whsec_%" + secret[len("whsec_")+1:]}},
		{"secret without padding", []string{strings.TrimRight(secret, "=")}},
		{"short public key", []string{"whpk_" + encode(make([]byte, 31))}},
		{"malformed public key", []string{"whpk_%" + public[len("whpk_")+1:]}},
		{"a malformed key after a valid one", []string{secret, "whsec_x"}},
	} {
		add(c.name, "key_invalid", delivered, keys(c.keys...))
	}
	return all
}

func keys(keys ...string) func(*delivery) { return func(d *delivery) { d.Keys = keys } }

// now moves the clock of the receiver by a number of seconds.
func now(seconds int64) func(*delivery) { return func(d *delivery) { d.Now += seconds } }

// header replaces the value of a header: 0 is the id, 1 the timestamp, 2 the signature.
func header(i int, value string) func(*delivery) {
	return func(d *delivery) { d.Headers[i][1] = value }
}

// fixedKey returns a key that is the same each time.
func fixedKey(name string) events.SigningKey {
	secret, seed := sha256.Sum256([]byte(name+" secret")), sha256.Sum256([]byte(name+" seed"))
	return events.SigningKey{Secret: secret[:], Private: ed25519.NewKeyFromSeed(seed[:])}
}
