package talon

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/sdk/go/v2/client"
)

// WebhookOptions configure the verification of deliveries. The zero value is for production.
type WebhookOptions struct {
	// Tolerance is the maximum difference between the time of a delivery and the receiver's clock,
	// in both directions. Zero means 5 minutes.
	Tolerance time.Duration
	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// WebhookReason is the reason for which a delivery is rejected.
type WebhookReason string

// The reasons.
const (
	WebhookHeaderMissing    WebhookReason = "header_missing"    // it is not a delivery of a webhook
	WebhookHeaderInvalid    WebhookReason = "header_invalid"    // the id or the timestamp is malformed or repeated
	WebhookTooOld           WebhookReason = "too_old"           // it was recorded and sent again, or the clock is wrong
	WebhookTooNew           WebhookReason = "too_new"           // the clock of the receiver is wrong
	WebhookSignatureInvalid WebhookReason = "signature_invalid" // no signature is by a key of the receiver
	WebhookNotAnEvent       WebhookReason = "not_an_event"      // it is signed, but the body is no event
)

// WebhookError is the rejection of a delivery by [VerifyWebhook]. Respond with status 400 to it.
type WebhookError struct {
	Reason WebhookReason
	detail string
}

// Error returns the reason and what it is about. It contains neither keys nor content of the
// delivery, so it may be logged.
func (e *WebhookError) Error() string {
	return fmt.Sprintf("talon: webhook rejected, %s: %s", e.Reason, e.detail)
}

func rejectWebhook(reason WebhookReason, format string, values ...any) error {
	return &WebhookError{Reason: reason, detail: fmt.Sprintf(format, values...)}
}

const (
	webhookTolerance = 5 * time.Minute
	// maxWebhookSignatures bounds how many signatures of a delivery are checked. The service sends
	// two for each key, and has more than one key only while it is replaced.
	maxWebhookSignatures = 32
	// maxWebhookBody is the maximum size of a delivery in bytes. The contract's longest event has
	// less than 2 KB.
	maxWebhookBody = 64 << 10
)

// VerifyWebhook checks a delivery of a webhook and returns its event. body must be the bytes of the
// request, as they were received. keys are those of the webhook: secrets (whsec_…) or public keys
// (whpk_…). It suffices that one signature is by one of them, so give the old and the new key while
// a key is replaced.
//
// It returns a [*WebhookError] if the delivery must be rejected, and another error if keys is empty
// or a key is malformed. The event may be one that the receiver knows, and older than one that it
// knows: skip an ID that was processed, and an appointment's Data.Version below the known one.
func VerifyWebhook(
	header http.Header, body []byte, keys []string, options WebhookOptions,
) (*client.Event, error) {
	parsed, err := parseWebhookKeys(keys)
	if err != nil {
		return nil, err
	}
	return parsed.verify(header, body, options)
}

// NewWebhookHandler returns a handler for the URL of a webhook. It verifies each delivery as
// [VerifyWebhook] does, calls receive with its event, and responds with 204. Deliveries that are
// rejected get 400, and those that are too large 413.
//
// receive must store the event and return within 10 seconds. If it returns an error, the response
// is 500 and the service repeats the delivery later; the error is not shown. It is called
// concurrently. NewWebhookHandler returns an error if keys is empty or a key is malformed.
func NewWebhookHandler(
	keys []string, options WebhookOptions, receive func(context.Context, *client.Event) error,
) (http.Handler, error) {
	parsed, err := parseWebhookKeys(keys)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhookBody))
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		} else if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		event, err := parsed.verify(r.Header, body, options)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := receive(r.Context(), event); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}), nil
}

// webhookKeys are the keys of a webhook.
type webhookKeys struct {
	secrets [][]byte
	public  []ed25519.PublicKey
}

// Sizes of secrets in bytes that Standard Webhooks allows. The service's have 32.
const (
	minWebhookSecret = 24
	maxWebhookSecret = 64
)

// parseWebhookKeys parses keys. Its errors name the index of a malformed key and not the key.
func parseWebhookKeys(keys []string) (*webhookKeys, error) {
	if len(keys) == 0 {
		return nil, errors.New("talon: no webhook keys")
	}
	parsed := &webhookKeys{}
	for i, key := range keys {
		kind, content, _ := strings.Cut(strings.TrimSpace(key), "_")
		decoded, err := base64.StdEncoding.Strict().DecodeString(content)
		switch {
		case err != nil:
			return nil, fmt.Errorf("talon: webhook key %d is not base64", i)
		case kind == "whsec" && len(decoded) >= minWebhookSecret && len(decoded) <= maxWebhookSecret:
			parsed.secrets = append(parsed.secrets, decoded)
		case kind == "whpk" && len(decoded) == ed25519.PublicKeySize:
			parsed.public = append(parsed.public, decoded)
		default:
			return nil, fmt.Errorf("talon: webhook key %d is neither a secret (whsec_…) nor a public key (whpk_…)", i)
		}
	}
	return parsed, nil
}

func (k *webhookKeys) verify(header http.Header, body []byte, options WebhookOptions) (*client.Event, error) {
	id, err := webhookHeader(header, "Webhook-Id")
	if err != nil {
		return nil, err
	}
	timestamp, err := webhookHeader(header, "Webhook-Timestamp")
	if err != nil {
		return nil, err
	}
	if err := checkWebhookTime(timestamp, options); err != nil {
		return nil, err
	}
	signatures := strings.Fields(strings.Join(header.Values("Webhook-Signature"), " "))
	if len(signatures) == 0 {
		return nil, rejectWebhook(WebhookHeaderMissing, "Webhook-Signature")
	}
	signed := append([]byte(id+"."+timestamp+"."), body...)
	if !k.anyValid(signatures[:min(len(signatures), maxWebhookSignatures)], signed) {
		return nil, rejectWebhook(WebhookSignatureInvalid, "no signature is by one of the keys")
	}
	return readWebhookEvent(id, body)
}

// webhookHeader returns the value of a header that must be there once. Repeated headers that a
// proxy has combined contain a comma.
func webhookHeader(header http.Header, name string) (string, error) {
	values := header.Values(name)
	switch {
	case len(values) == 0 || values[0] == "":
		return "", rejectWebhook(WebhookHeaderMissing, "%s", name)
	case len(values) > 1 || strings.ContainsAny(values[0], ", "):
		return "", rejectWebhook(WebhookHeaderInvalid, "%s is repeated", name)
	default:
		return values[0], nil
	}
}

// checkWebhookTime checks the value of Webhook-Timestamp, in seconds since 1970.
func checkWebhookTime(timestamp string, options WebhookOptions) error {
	const maxDigits = 15
	seconds, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil || len(timestamp) > maxDigits {
		return rejectWebhook(WebhookHeaderInvalid, "Webhook-Timestamp is no number of seconds")
	}
	now, tolerance := time.Now, webhookTolerance
	if options.Now != nil {
		now = options.Now
	}
	if options.Tolerance != 0 {
		tolerance = options.Tolerance
	}
	switch sent, now := time.Unix(int64(seconds), 0), now(); {
	case sent.Add(tolerance).Before(now):
		return rejectWebhook(WebhookTooOld, "sent %s before now", now.Sub(sent).Truncate(time.Second))
	case sent.Add(-tolerance).After(now):
		return rejectWebhook(WebhookTooNew, "sent %s after now", sent.Sub(now).Truncate(time.Second))
	default:
		return nil
	}
}

// anyValid reports whether one of the signatures is by one of the keys. Signatures of unknown
// versions and malformed ones are skipped. The comparison takes the same time for every value of a
// signature.
func (k *webhookKeys) anyValid(signatures []string, signed []byte) bool {
	for _, text := range signatures {
		version, encoded, _ := strings.Cut(strings.TrimSuffix(text, ","), ",")
		signature, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil {
			continue
		}
		switch version {
		case "v1":
			for _, secret := range k.secrets {
				mac := hmac.New(sha256.New, secret)
				mac.Write(signed)
				if hmac.Equal(mac.Sum(nil), signature) {
					return true
				}
			}
		case "v1a":
			for _, public := range k.public {
				if ed25519.Verify(public, signed, signature) {
					return true
				}
			}
		}
	}
	return false
}

// readWebhookEvent reads the event of a delivery whose signature is valid.
func readWebhookEvent(id string, body []byte) (*client.Event, error) {
	var event client.Event
	if err := json.Unmarshal(body, &event); err != nil {
		return nil, rejectWebhook(WebhookNotAnEvent, "the body is not JSON of the contract")
	}
	for field, value := range map[string]string{
		"source": event.Source, "type": event.Type, "subject": event.Subject, "sequence": event.Sequence,
	} {
		if value == "" {
			return nil, rejectWebhook(WebhookNotAnEvent, "%s is missing", field)
		}
	}
	switch {
	case event.Specversion != "1.0":
		return nil, rejectWebhook(WebhookNotAnEvent, "specversion is not 1.0")
	case event.ID != id:
		return nil, rejectWebhook(WebhookNotAnEvent, "id differs from Webhook-Id")
	case event.Time.IsZero() || event.Data.LpuGUID == uuid.Nil:
		return nil, rejectWebhook(WebhookNotAnEvent, "time or data.lpuGuid is missing")
	}
	return &event, nil
}
