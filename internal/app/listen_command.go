package app

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"talon.example/internal/command"
	"talon.example/internal/events"
	"talon.example/internal/webhook"
	talon "talon.example/sdk/go/v2"
	sdkclient "talon.example/sdk/go/v2/client"
)

const listenUsage = `talon listen prints the events of a service, and forwards them to a receiver that is developed.

  talon listen [flags]                  print events from now on
  talon listen --forward URL [flags]    also send each as a signed delivery to URL

Environment: TALON_URL is the address of the service, CLIENT_ID and CLIENT_SECRET are the credentials of a client
application with the scope events:read. TALON_TOKEN is a system token to use instead of the credentials.
`

// listenFlags are the flags of talon listen.
type listenFlags struct {
	server  string
	client  string
	forward string // empty: only print
	key     events.SigningKey
	params  sdkclient.ListEventsParams
	// repeated is the text of the flags that were given, for a shell: without the cursor, which
	// moves on, and without the secret, which does not belong into an error.
	repeated string
}

// listen follows the feed of a service until it is interrupted.
func listen(ctx context.Context, env *command.Env, args []string) error {
	flags, err := parseListen(env, args)
	if err != nil {
		return err
	}
	api, err := openService(env, flags)
	if err != nil {
		return err
	}
	receiver := newReceiver(env.Stdout, flags)
	defer receiver.client.CloseIdleConnections()
	// The first request does not wait, so that a problem and the first cursor are shown at once.
	page, err := readEvents(ctx, api, &flags.params)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "listening to the events of %s\n", flags.server)
	if flags.forward != "" {
		fmt.Fprintf(env.Stderr, "forwarding to %s, signed with both of\n%s\n%s\n",
			flags.forward, flags.key.HMACSecret(), flags.key.PublicKey())
	}
	const waitSeconds = 10 // less than the client's timeout
	flags.params.Wait = new(int32(waitSeconds))
	for {
		for _, event := range page.Items {
			if err := receiver.receive(ctx, event); err != nil {
				return flags.stopped(ctx, err)
			}
		}
		flags.params.After = &page.Next
		if page, err = readEvents(ctx, api, &flags.params); err != nil {
			return flags.stopped(ctx, err)
		}
	}
}

// stopped returns the error with which talon listen ends, with the command that goes on after the
// last page whose events were all received.
func (f *listenFlags) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%w: go on with: talon listen%s --after %s", err, f.repeated, *f.params.After)
}

func parseListen(env *command.Env, args []string) (*listenFlags, error) {
	flags := flag.NewFlagSet("listen", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(env.Stderr, listenUsage, "\nFlags:\n")
		flags.PrintDefaults()
	}
	var parsed listenFlags
	flags.StringVar(&parsed.server, "url", env.Variable("TALON_URL", "http://127.0.0.1:8080"), "address of the service")
	flags.StringVar(&parsed.client, "client", env.Variables["CLIENT_ID"], "guid of the client application")
	flags.StringVar(&parsed.forward, "forward", "", "address of the receiver, such as http://127.0.0.1:8090/events")
	secret := flags.String("secret", "",
		"whsec_ and 32 bytes in base64: sign with this secret, and a key pair made from it (default: random ones)")
	after := flags.String("after", "latest", "cursor after which to begin, as talon listen prints it at its end")
	types := flags.String("type", "", "only events of these types, separated by commas, such as appointment.booked")
	lpu := flags.String("lpu", "", "only events of the institution with this guid")
	if err := env.Parse(flags, args); err != nil {
		return nil, err
	}
	parsed.params.After = after
	flags.Visit(func(given *flag.Flag) {
		if given.Name != "after" && given.Name != "secret" {
			parsed.repeated += " --" + given.Name + " " + shellWord(given.Value.String())
		}
	})
	if list := splitList(*types); len(list) > 0 {
		selected := make([]sdkclient.ListEventsParamsType, len(list))
		for i, name := range list {
			selected[i] = sdkclient.ListEventsParamsType(name)
		}
		parsed.params.Type = &selected
	}
	if *lpu != "" {
		guid, err := env.Guid(flags, "lpu", *lpu)
		if err != nil {
			return nil, err
		}
		parsed.params.LpuGUID = &guid
	}
	var err error
	if parsed.key, err = listenKey(*secret); err != nil {
		return nil, env.UsageError(flags, "--secret must be whsec_ and 32 bytes in base64")
	}
	switch {
	case !isHTTP(parsed.server):
		return nil, env.UsageError(flags, "--url must be an http or https address")
	case parsed.forward != "" && !isHTTP(parsed.forward):
		return nil, env.UsageError(flags, "--forward must be an http or https address")
	case *secret != "" && parsed.forward == "":
		return nil, env.UsageError(flags, "--secret needs --forward")
	case env.Variables["TALON_TOKEN"] == "" && (parsed.client == "" || env.Variables["CLIENT_SECRET"] == ""):
		return nil, env.UsageError(flags, "TALON_TOKEN, or CLIENT_ID and CLIENT_SECRET must be given")
	}
	return &parsed, nil
}

// plainWord matches a text that a shell reads as it is.
var plainWord = regexp.MustCompile(`^[\w./:,@%+=-]+$`)

// shellWord returns a text as one word of a shell.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func isHTTP(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != ""
}

// listenKey returns the key with a given secret, or a random one. The key pair is made from the
// secret, so that it stays the same, too.
func listenKey(secret string) (events.SigningKey, error) {
	if secret == "" {
		return events.NewSigningKey()
	}
	encoded, isSecret := strings.CutPrefix(secret, "whsec_")
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if !isSecret || err != nil || len(decoded) != sha256.Size {
		return events.SigningKey{}, errors.New("malformed secret")
	}
	seed := sha256.Sum256(append([]byte("talon listen "), decoded...))
	return events.SigningKey{Secret: decoded, Private: ed25519.NewKeyFromSeed(seed[:])}, nil
}

// openService returns a client of the service with the token or the credentials of the environment.
func openService(env *command.Env, flags *listenFlags) (*sdkclient.ClientWithResponses, error) {
	token := func(context.Context) (string, error) { return env.Variables["TALON_TOKEN"], nil }
	if env.Variables["TALON_TOKEN"] == "" {
		credentials := talon.Credentials{ClientID: flags.client, Secret: env.Variables["CLIENT_SECRET"]}
		var err error
		if token, err = talon.ClientCredentials(flags.server, credentials, talon.Options{}); err != nil {
			return nil, err
		}
	}
	return talon.New(flags.server, talon.Options{Token: token})
}

// rawPage is a page of the feed. Its events are the bytes that the service has sent.
type rawPage struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
}

// readEvents reads a page of the feed.
func readEvents(
	ctx context.Context, api *sdkclient.ClientWithResponses, params *sdkclient.ListEventsParams,
) (*rawPage, error) {
	response, err := api.ListEventsWithResponse(ctx, params)
	if refusal, refused := errors.AsType[*talon.Refusal](err); refused {
		return nil, fmt.Errorf("read the events: %s (%w)", refusal.Message, err)
	} else if err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	var page rawPage
	if err := json.Unmarshal(response.Body, &page); err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	return &page, nil
}

// receiver prints events, and forwards them to the receiver of webhooks at a URL.
type receiver struct {
	out    io.Writer
	url    string // empty: only print
	key    events.SigningKey
	client *http.Client
	pauses []time.Duration // before the second try to deliver an event, and the later ones
}

func newReceiver(out io.Writer, flags *listenFlags) *receiver {
	return &receiver{
		out: out, url: flags.forward, key: flags.key,
		client: &http.Client{
			Timeout:       events.AttemptTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// Long enough for a receiver that is built and started again.
		pauses: []time.Duration{500 * time.Millisecond, 2 * time.Second, 5 * time.Second, 10 * time.Second},
	}
}

var errGone = errors.New("the receiver has disabled the webhook with status 410")

// receive prints an event. It sends it to the receiver until it is accepted, or all tries have
// failed, and prints each try. It returns an error if the receiver wants no more events, or ctx is
// done.
func (r *receiver) receive(ctx context.Context, body []byte) error {
	var event struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Time    string `json:"time"`
		Subject string `json:"subject"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	line := fmt.Sprintf("%s %s %s", event.Time, event.Type, event.Subject)
	if r.url == "" {
		fmt.Fprintln(r.out, line)
		return nil
	}
	for try := 0; ; try++ {
		begun := time.Now()
		status, err := r.deliver(ctx, event.ID, body)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		result := fmt.Sprintf("%s %d %d ms", line, status, time.Since(begun).Milliseconds())
		if err != nil {
			result = fmt.Sprintf("%s failed %d ms: %v", line, time.Since(begun).Milliseconds(), err)
		}
		switch {
		case status >= http.StatusOK && status < http.StatusMultipleChoices:
			fmt.Fprintln(r.out, result)
			return nil
		case status == http.StatusGone:
			fmt.Fprintln(r.out, result)
			return errGone
		case try == len(r.pauses):
			fmt.Fprintf(r.out, "%s, given up\n", result)
			return nil
		}
		fmt.Fprintf(r.out, "%s, again in %s\n", result, r.pauses[try])
		select {
		case <-time.After(r.pauses[try]):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// deliver sends an event as the service delivers it, and returns the status of the response, or 0
// and an error.
func (r *receiver) deliver(ctx context.Context, id string, body []byte) (status int, err error) {
	request, err := webhook.NewRequest(ctx, r.url, id, body, r.key)
	if err != nil {
		return 0, err
	}
	response, err := r.client.Do(request)
	if failed, isURL := errors.AsType[*url.Error](err); isURL {
		return 0, failed.Err // without the URL, which is the same each time
	} else if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	const maxResponse = 64 << 10
	_, _ = io.CopyN(io.Discard, response.Body, maxResponse) // so that the connection can be used again
	return response.StatusCode, nil
}
