package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
	"talon.example/test/harness"
)

// listenProcess is a running talon listen.
type listenProcess struct {
	*exec.Cmd

	t      *testing.T
	out    *bufio.Scanner
	errors *bufio.Scanner
}

// startListen starts talon listen and waits until it follows the feed.
func startListen(t *testing.T, environ []string, args ...string) *listenProcess {
	t.Helper()
	process := newProcess(t, "talon", append(os.Environ(), environ...), append([]string{"listen"}, args...)...)
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	errs, err := process.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	l := &listenProcess{process, t, bufio.NewScanner(out), bufio.NewScanner(errs)}
	require.Contains(t, l.next(l.errors), "listening to the events of ")
	return l
}

// next returns the next line of an output.
func (l *listenProcess) next(output *bufio.Scanner) string {
	l.t.Helper()
	require.True(l.t, output.Scan(), "talon listen has ended")
	return output.Text()
}

// end waits until the process has ended with a code, and returns the cursor with which to go on.
func (l *listenProcess) end(code int) (cursor, message string) {
	l.t.Helper()
	message = l.next(l.errors)
	require.False(l.t, l.out.Scan(), "more output: %s", l.out.Text())
	require.Error(l.t, l.Wait())
	require.Equal(l.t, code, l.ProcessState.ExitCode(), message)
	found := regexp.MustCompile(`go on with: talon listen .*--after (\S+)$`).FindStringSubmatch(message)
	require.NotNil(l.t, found, message)
	return found[1], message
}

// Promise: talon listen forwards the selected events as the service delivers them, with signatures
// that the SDK accepts by either key. It repeats a failed delivery. Ctrl-C ends it with 130 and
// prints the command that goes on without a gap, without the secret.
func TestListen(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, harness.WithAuthService).Scene()
	system := sc.AddSystemClient([]string{booking.ScopeEventsRead})
	environ := []string{
		"TALON_URL=" + sc.URL, "CLIENT_ID=" + system.String(), "CLIENT_SECRET=" + harness.ClientSecret, "TALON_TOKEN=",
	}

	// The receiver knows both keys only after the start, which prints them.
	var handler atomic.Pointer[http.Handler]
	var mediaType, agent atomic.Value
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mediaType.Store(r.Header.Get("Content-Type"))
		agent.Store(r.Header.Get("User-Agent"))
		(*handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(receiver.Close)
	received := make(chan *client.Event, 10)
	useKey := func(key string, failures int32) {
		var failed atomic.Int32
		verified, err := talon.NewWebhookHandler([]string{key}, talon.WebhookOptions{},
			func(_ context.Context, event *client.Event) error {
				if failed.Add(1) <= failures {
					return errors.New("busy")
				}
				received <- event
				return nil
			})
		require.NoError(t, err)
		handler.Store(&verified)
	}
	const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	listen := startListen(t, environ, "--forward", receiver.URL, "--secret", secret,
		"--lpu", sc.To.String(), "--type", "appointment.booked,appointment.cancelled")
	require.Equal(t, "forwarding to "+receiver.URL+", signed with both of", listen.next(listen.errors))
	require.Equal(t, secret, listen.next(listen.errors))
	public := listen.next(listen.errors)

	useKey(secret, 1)
	visit := sc.MustBook()
	line := `^\S+Z appointment\.%s ` + visit.String() + ` %d \d+ ms%s$`
	require.Regexp(t, fmt.Sprintf(line, "booked", 500, ", again in 500ms"), listen.next(listen.out))
	require.Regexp(t, fmt.Sprintf(line, "booked", 204, ""), listen.next(listen.out))
	booked := <-received
	require.Equal(t, "appointment.booked", booked.Type)
	require.Equal(t, visit, *booked.Data.AppointmentGUID)
	require.Equal(t, "application/cloudevents+json", mediaType.Load())
	require.Equal(t, "Talon", agent.Load())

	useKey(public, 0)
	require.Equal(t, http.StatusOK, sc.Cancel(sc.Person, visit).StatusCode)
	require.Regexp(t, fmt.Sprintf(line, "cancelled", 204, ""), listen.next(listen.out))
	cancelled := <-received
	require.Equal(t, "appointment.cancelled", cancelled.Type)
	require.NoError(t, listen.Process.Signal(os.Interrupt))
	cursor, message := listen.end(130)
	require.Empty(t, received)
	require.Contains(t, message, "talon listen --forward "+receiver.URL+" --lpu "+sc.To.String()+
		" --type appointment.booked,appointment.cancelled --after ")
	require.NotContains(t, message, secret)

	// Without --forward it prints all events. Those of an interrupted page come again.
	again := sc.MustBook()
	printing := startListen(t, environ, "--after", cursor)
	bookedAgain := regexp.MustCompile(`^\S+Z appointment\.booked ` + again.String() + `$`)
	for !bookedAgain.MatchString(printing.next(printing.out)) {
		require.NotContains(t, printing.out.Text(), "appointment.booked")
	}
	require.Contains(t, printing.next(printing.out), "referral.booked")
	require.NoError(t, printing.Process.Signal(os.Interrupt))
	printing.end(130)
}

// Promise: a receiver that responds with 410 ends talon listen with 1, before the event.
func TestListenToGoneReceiver(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	scopes := []string{booking.ScopeEventsRead}
	token := sc.SystemToken(sc.AddSystemClient(scopes), scopes)
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
	}))
	t.Cleanup(gone.Close)
	environ := []string{"TALON_URL=" + sc.URL, "TALON_TOKEN=" + token}
	listen := startListen(t, environ, "--forward", gone.URL)
	_ = listen.next(listen.errors)
	require.Regexp(t, `^whsec_`, listen.next(listen.errors))
	require.Regexp(t, `^whpk_`, listen.next(listen.errors))
	visit := sc.MustBook()
	require.Contains(t, listen.next(listen.out), " 410 ")
	cursor, message := listen.end(1)
	require.Contains(t, message, "disabled the webhook")

	again := startListen(t, environ, "--after", cursor)
	require.Contains(t, again.next(again.out), "appointment.booked "+visit.String())
	require.NoError(t, again.Process.Kill())
	require.Error(t, again.Wait())

	code, stdout, stderr := run(t, environ, "listen", "--after", cursor, "--type", "nothing.happened")
	require.Equal(t, 1, code, stdout)
	require.Contains(t, stderr, "field_invalid")
}
