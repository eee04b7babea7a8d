package talon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

// newSystem returns a client for the system of institution Б.
func newSystem(address string, options talon.Options) *client.ClientWithResponses {
	return newSystemOf(address, system, options)
}

// newSystemOf returns a client for the system with the credentials.
func newSystemOf(address string, of talon.Credentials, options talon.Options) *client.ClientWithResponses {
	var err error
	if options.Token, err = talon.ClientCredentials(server, of, talon.Options{}); err != nil {
		panic(err)
	}
	api, err := talon.New(address, options)
	if err != nil {
		panic(err)
	}
	return api
}

// room is a resource of institution Б.
var room = numbered("0004", 4)

// midnight returns the start of the day that is the given number of days ahead, in UTC.
func midnight(days int) time.Time { return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days) }

// newDay returns the message that replaces that day of a resource by one new cell.
func newDay(days int, resource uuid.UUID) talon.Message {
	start := midnight(days)
	period := url.Values{
		"from": {start.Format(time.RFC3339)}, "to": {start.AddDate(0, 0, 1).Format(time.RFC3339)},
	}
	return talon.Message{
		Method: http.MethodPut,
		Path:   fmt.Sprintf("/registry/lpus/%s/resources/%s/schedule?%s", systemLpu, resource, period.Encode()),
		Body: client.ScheduleRequest{
			Version: time.Now().UnixMicro(),
			Cells: []client.ScheduleCellRequest{{
				GUID: uuid.New(), Start: start, End: start.Add(15 * time.Minute),
				Capacity: 1, FlagAccess: 4, BusyType: 1,
			}},
		},
	}
}

// cells returns the number of the room's cells on that day.
func cells(t *testing.T, days int) int {
	t.Helper()
	params := &client.GetScheduleParams{From: midnight(days), To: midnight(days + 1)}
	api := newSystem(server, talon.Options{})
	found, err := talon.Answer(api.GetScheduleWithResponse(t.Context(), systemLpu, room, params))
	require.NoError(t, err)
	return len(found.Cells)
}

// messages returns a loop over the messages.
func messages(all ...talon.Message) iter.Seq2[talon.Message, error] {
	return func(yield func(talon.Message, error) bool) {
		for _, message := range all {
			if !yield(message, nil) {
				return
			}
		}
	}
}

// finish waits for the end of an import.
func finish(t *testing.T, accepted *client.Import, err error) *client.Import {
	t.Helper()
	require.NoError(t, err)
	state, err := talon.FinishImport(t.Context(), newSystem(server, talon.Options{}), accepted.GUID, nil)
	require.NoError(t, err)
	return state
}

// counter is a client that counts the bytes that it takes of the requests' bodies.
type counter struct{ taken atomic.Int64 }

func (c *counter) Do(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		request.Body = &countedBody{request.Body, c}
	}
	return patient.Do(request)
}

// patient is a client that waits, also on a slow machine, until the service refuses an upload or
// begins to read it.
var patient = &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute, DisableKeepAlives: true}}

type countedBody struct {
	io.ReadCloser

	counter *counter
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.counter.taken.Add(int64(n))
	return n, err
}

// Promise: a file of some MB is sent while its source produces it, and is never in memory as a
// whole.
func TestImportStreams(t *testing.T) {
	t.Parallel()
	const days, window = 192, 512 << 10
	for _, compress := range []bool{false, true} {
		taken := new(counter)
		api := newSystem(server, talon.Options{HTTP: taken})
		var produced, longest int64
		accepted, err := talon.Import(t.Context(), api, func(yield func(talon.Message, error) bool) {
			for i := range days {
				message := newDay(100+i, room)
				day, _ := message.Body.(client.ScheduleRequest)
				for cell := day.Cells[0]; len(day.Cells) < 96; day.Cells = append(day.Cells, cell) {
					cell.GUID, cell.Start, cell.End = uuid.New(), cell.End, cell.End.Add(15*time.Minute)
				}
				message.Body = day
				encoded, _ := json.Marshal(message)
				produced += int64(len(encoded))
				if !yield(message, nil) {
					return
				}
				longest = max(longest, produced-taken.taken.Load())
			}
		}, talon.ImportOptions{Gzip: compress})
		require.Equal(t, client.ImportLines{Total: days, Done: days, Changed: days}, finish(t, accepted, err).Lines)
		if compress {
			require.Less(t, taken.taken.Load(), produced/2)
		} else {
			require.Greater(t, taken.taken.Load(), int64(2<<20))
			require.Less(t, longest, int64(window))
		}
	}
}

// Promise: a file is NDJSON, or CSV if Of is set. The file is not closed.
func TestImportFile(t *testing.T) {
	t.Parallel()
	api := newSystem(server, talon.Options{})
	file := &fileReader{Reader: strings.NewReader("{}\n")}
	state := finish(t, must(talon.ImportFile(t.Context(), api, file, talon.ImportOptions{})), nil)
	require.Equal(t, client.ImportLines{Total: 1, Done: 1, Failed: 1}, state.Lines)
	require.False(t, file.closed)

	start := midnight(50)
	text := fmt.Sprintf("LpuGuid,ResourceGuid,Guid,Start,End,Capacity,FlagAccess,BusyType\n%s,%s,%s,%s,%s,1,4,1\n",
		systemLpu, room, uuid.New(), start.Format(time.RFC3339), start.Add(time.Hour).Format(time.RFC3339))
	options := talon.ImportOptions{Of: client.CreateImportParamsOfCells, Version: time.Now().UnixMicro(), Gzip: true}
	accepted, err := talon.ImportFile(t.Context(), api, strings.NewReader(text), options)
	require.EqualValues(t, 1, finish(t, accepted, err).Cells.Added)
	require.Equal(t, 1, cells(t, 50))
}

type fileReader struct {
	io.Reader

	closed bool
}

func (r *fileReader) Close() error {
	r.closed = true
	return nil
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Promise: bad lines are listed; with reject nothing is applied, and with DryRun neither.
func TestImportBadLines(t *testing.T) {
	t.Parallel()
	api := newSystem(server, talon.Options{})
	for i, test := range []struct {
		options talon.ImportOptions
		state   string
		cells   int
	}{
		{talon.ImportOptions{}, client.ImportStateCompleted, 1},
		{talon.ImportOptions{OnError: client.CreateImportParamsOnErrorReject}, client.ImportStateRejected, 0},
		{talon.ImportOptions{DryRun: true}, client.ImportStateCompleted, 0},
	} {
		lines := messages(newDay(51+i, room), newDay(51+i, uuid.New()))
		accepted, err := talon.Import(t.Context(), api, lines, test.options)
		state := finish(t, accepted, err)
		require.Equal(t, test.state, state.State)
		require.Equal(t, test.options.DryRun, state.DryRun)
		require.EqualValues(t, 1, state.Lines.Failed)
		require.Equal(t, test.cells, cells(t, 51+i))
		bad, err := collect(talon.AllImportErrors(t.Context(), api, state.GUID, nil))
		require.NoError(t, err)
		require.Len(t, bad, 1)
		require.EqualValues(t, 2, bad[0].Line)
		require.Equal(t, client.RuleResourceAbsent, bad[0].Error.Rule)
	}
}

// Promise: an error of the source is returned, also after a part of the file was sent, and nothing
// is applied.
func TestImportSourceFails(t *testing.T) {
	t.Parallel()
	api := newSystem(server, talon.Options{})
	broken := errors.New("the database is closed")
	_, err := talon.Import(t.Context(), api, func(yield func(talon.Message, error) bool) {
		for range 1000 {
			if !yield(newDay(54, room), nil) {
				return
			}
		}
		yield(talon.Message{}, broken)
	}, talon.ImportOptions{})
	require.ErrorIs(t, err, broken)
	file := io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), &failingReader{broken})
	_, err = talon.ImportFile(t.Context(), api, file, talon.ImportOptions{})
	require.ErrorIs(t, err, broken)
	_, err = talon.Import(t.Context(), api, messages(talon.Message{Body: make(chan int)}), talon.ImportOptions{})
	require.ErrorContains(t, err, "talon: read the source of the import: json: unsupported type")
	require.Zero(t, cells(t, 54))
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

// unfinished returns a loop over endless messages for a day. It calls begun when some of them were
// taken.
func unfinished(days int, begun func()) iter.Seq2[talon.Message, error] {
	return func(yield func(talon.Message, error) bool) {
		for sent := 0; yield(newDay(days, room), nil); sent++ {
			if sent == 2000 {
				begun()
			}
		}
	}
}

// Promise: cancelling the context ends the upload and the loop over the messages, and nothing is
// applied.
func TestImportCancellation(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := talon.Import(ctx, newSystem(server, talon.Options{}), unfinished(55, cancel), talon.ImportOptions{})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, cells(t, 55))
}

// Promise: the time limits are not those of an upload, but of the time in which the service takes
// no data.
func TestImportTimeouts(t *testing.T) {
	t.Parallel()
	limited := talon.Options{Within: time.Second, HTTP: &http.Client{Timeout: 5 * time.Second}}
	accepted, err := talon.Import(t.Context(), newSystem(server, limited), func(yield func(talon.Message, error) bool) {
		for i := range 3 {
			if !yield(newDay(56+i, room), nil) {
				return
			}
			time.Sleep(2 * time.Second)
		}
	}, talon.ImportOptions{})
	require.EqualValues(t, 3, finish(t, accepted, err).Lines.Changed)

	stop := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(stop) })
	limited.HTTP = &http.Client{Timeout: time.Second}
	api := newSystem(hanging.URL, limited)
	_, err = talon.Import(t.Context(), api, unfinished(59, func() {}), talon.ImportOptions{})
	require.ErrorContains(t, err, "talon: the service took no data in time")
	_, err = talon.Import(t.Context(), api, messages(newDay(59, room)), talon.ImportOptions{})
	require.ErrorContains(t, err, "talon: the service took no data in time")
}

// Promise: an upload is refused before its source is sent, and is not retried. An expired token is
// replaced.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	taken := new(counter)
	signed := tokenOf(t, 1, time.Now())
	api, err := talon.New(server, talon.Options{
		HTTP: taken, Token: func(context.Context) (string, error) { return signed, nil },
	})
	require.NoError(t, err)
	_, err = talon.Import(t.Context(), api, unfinished(60, func() {}), talon.ImportOptions{})
	requireRefusal(t, err, client.RuleTokenInvalid)
	require.Zero(t, taken.taken.Load())

	tokens, err := talon.ClientCredentials(server, system, talon.Options{})
	require.NoError(t, err)
	old := tokenOf(t, 1, time.Now().Add(-2*time.Hour))
	calls := 0
	api, err = talon.New(server, talon.Options{HTTP: patient, Token: func(ctx context.Context) (string, error) {
		if calls++; calls == 1 {
			return old, nil
		}
		return tokens(ctx)
	}})
	require.NoError(t, err)
	accepted, err := talon.Import(t.Context(), api, messages(newDay(60, room)), talon.ImportOptions{})
	require.EqualValues(t, 1, finish(t, accepted, err).Lines.Changed)
}

// Promise: a stream whose body was sent is not sent again.
func TestImportIsSentOnce(t *testing.T) {
	t.Parallel()
	expired := newProxy(t, server, func(_ int, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"rule": "token_expired"}`)
	})
	api := newSystem(expired.url, talon.Options{})
	_, err := talon.Import(t.Context(), api, messages(newDay(61, room)), talon.ImportOptions{})
	requireRefusal(t, err, client.RuleTokenExpired)
	require.Len(t, expired.requests(), 1)
	broken := newProxy(t, server, func(_ int, _ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	api = newSystem(broken.url, talon.Options{})
	_, err = talon.Import(t.Context(), api, messages(newDay(61, room)), talon.ImportOptions{})
	require.ErrorContains(t, err, "talon: no response")
	require.Len(t, broken.requests(), 1)
}

// Promise: an eleventh unfinished import is refused before its source is sent.
func TestTooManyImports(t *testing.T) {
	t.Parallel()
	service := serveFor(t)
	tokens, err := talon.ClientCredentials(service, system, talon.Options{})
	require.NoError(t, err)
	api, err := talon.New(service, talon.Options{Token: tokens})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var ended []chan error
	for range 10 {
		begun, end := make(chan struct{}), make(chan error, 1)
		ended = append(ended, end)
		go func() {
			source := unfinished(62, func() {
				close(begun)
				<-ctx.Done()
			})
			_, err := talon.Import(ctx, api, source, talon.ImportOptions{})
			end <- err
		}()
		<-begun
	}
	taken := new(counter)
	next, err := talon.New(service, talon.Options{Token: tokens, HTTP: taken})
	require.NoError(t, err)
	_, err = talon.Import(ctx, next, unfinished(62, func() {}), talon.ImportOptions{})
	require.NotZero(t, requireRefusal(t, err, client.RuleTooManyImports).RetryAfter)
	require.Zero(t, taken.taken.Load())
	cancel()
	for _, end := range ended {
		require.ErrorIs(t, <-end, context.Canceled)
	}
}

// Promise: a cancelled import finishes; progress receives each state; the context ends the wait.
func TestFinishImport(t *testing.T) {
	t.Parallel()
	api := newSystem(server, talon.Options{})
	many := make([]talon.Message, 0, 20_000)
	for i := range cap(many) {
		many = append(many, newDay(300+i%1000, room))
	}
	accepted, err := talon.Import(t.Context(), api, messages(many...), talon.ImportOptions{Gzip: true})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var states []*client.Import
	_, err = talon.FinishImport(ctx, api, accepted.GUID, func(state *client.Import) {
		states = append(states, state)
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, states, 1)
	require.Nil(t, states[0].FinishedAt)

	_, err = talon.Answer(api.CancelImportWithResponse(t.Context(), accepted.GUID))
	require.NoError(t, err)
	states = nil
	last, err := talon.FinishImport(t.Context(), api, accepted.GUID, func(state *client.Import) {
		states = append(states, state)
	})
	require.NoError(t, err)
	require.Equal(t, client.ImportStateCancelled, last.State)
	require.Less(t, last.Lines.Done, last.Lines.Total)
	require.Same(t, slices.Collect(slices.Values(states))[len(states)-1], last)

	_, err = talon.FinishImport(t.Context(), api, uuid.New(), nil)
	requireRefusal(t, err, client.RuleImportAbsent)
}
