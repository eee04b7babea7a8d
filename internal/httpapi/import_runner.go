package httpapi

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/registry"
)

const (
	// ParallelMessages is the number of messages of an import that run concurrently, one if the
	// instance is processing requests.
	ParallelMessages = 8
	// busyRest is the rest after a message while the instance is processing requests, in times of
	// the message's own duration.
	busyRest = 2
	maxRest  = 100 * time.Millisecond
)

// MessageRunner implements registry.MessageRunner: it runs the messages of imports as the requests
// that they describe.
type MessageRunner struct {
	apply, check runnerMode
	clients      server.Clients
}

type runnerMode struct {
	messages *server.Messages
	registry *registry.Service
}

// NewMessageRunner returns a runner. applying and checking are the use cases of the registry; those
// of checking must not change anything.
func NewMessageRunner(
	s *server.Server, config Config, applying, checking *registry.Service, clients server.Clients,
) *MessageRunner {
	mode := func(service *registry.Service) runnerMode {
		config.Registry = service
		messages := s.NewMessages()
		registerOperations(messages.Operations(), s, newHandlers(config))
		return runnerMode{messages, service}
	}
	return &MessageRunner{mode(applying), mode(checking), clients}
}

// Start implements registry.MessageRunner.
func (r *MessageRunner) Start(i *registry.Import, check bool) registry.MessagePass {
	p := &messagePass{runnerMode: r.apply, clients: r.clients, owner: i.ImportOwner, guid: i.Guid}
	if check {
		p.runnerMode, p.check = r.check, newImportCheck()
	}
	return p
}

// messagePass is a pass over the messages of an import.
type messagePass struct {
	runnerMode

	clients server.Clients
	owner   registry.ImportOwner
	guid    uuid.UUID

	check *importCheck // nil if the messages are applied
}

// line is a message with its result.
type line struct {
	server.Message

	number int64
	path   string // without the query
	status int    // 0: without a result
	body   []byte // of the response, until it is counted; an error is kept
	counts registry.ImportCounts
}

// message is the JSON form of a message.
type message struct {
	Method string
	Path   string
	Body   jsontext.Value `json:",omitempty"`
}

// Run implements registry.MessagePass. Consecutive messages of one operation run concurrently,
// those of one path in order. Rejected ones are tried again, in order, and have the second result.
func (p *messagePass) Run(ctx context.Context, messages []registry.Message) (registry.ImportResult, error) {
	caller, err := p.caller(ctx)
	if err != nil {
		return registry.ImportResult{}, err
	}
	lines := make([]line, len(messages))
	for i := range messages {
		lines[i] = p.read(messages[i], caller)
	}
	if err := p.confirm(ctx, lines); err != nil {
		return registry.ImportResult{}, err
	}
	for first := 0; first < len(lines); {
		last := first + 1
		for shape := lines[first].shape(); last < len(lines) && lines[last].shape() == shape; {
			last++
		}
		if err := p.runAll(ctx, lines[first:last]); err != nil {
			return registry.ImportResult{}, err
		}
		first = last
	}
	return p.result(lines), nil
}

// caller returns the owner of the import with the rights that its client application still has.
func (p *messagePass) caller(ctx context.Context) (auth.Caller, error) {
	rights := p.owner.Rights
	if p.owner.Client != uuid.Nil {
		now, err := p.clients.SystemRights(ctx, p.owner.Client)
		if err != nil {
			return auth.Caller{}, fmt.Errorf("look up the client application of an import: %w", err)
		}
		if now == nil {
			now = new(booking.SystemRights)
		}
		rights = rights.Within(*now)
	}
	return auth.Caller{
		Client: p.owner.Client, Scopes: rights.Scopes, Lpus: rights.Lpus, EveryLpu: rights.EveryLpu,
	}, nil
}

// read parses a message. One that is malformed has a result.
func (p *messagePass) read(m registry.Message, caller auth.Caller) line {
	l := line{number: m.Line, Message: server.Message{Import: p.guid, Caller: caller}}
	if m.Problem != nil {
		l.status, l.body = p.messages.Reject(p.guid, booking.InvalidFields([]booking.FieldProblem{*m.Problem}))
		return l
	}
	var parsed message
	err := json.Unmarshal(m.Content, &parsed, json.RejectUnknownMembers(true))
	if err != nil {
		l.status, l.body = p.messages.Reject(p.guid, malformedLine(err))
		return l
	}
	target, err := url.ParseRequestURI(parsed.Path)
	switch {
	case parsed.Method == "":
		l.status, l.body = p.messages.Reject(p.guid, booking.InvalidField("Method", booking.ProblemMissing))
	case !strings.HasPrefix(parsed.Path, registryPath):
		l.status, l.body = p.messages.Reject(p.guid, booking.InvalidField("Path", booking.ProblemNotRegistry))
	case err != nil:
		l.status, l.body = p.messages.Reject(p.guid, booking.InvalidField("Path", booking.ProblemCharacters))
	default:
		l.path = target.EscapedPath()
		l.Method, l.URL, l.Body = parsed.Method, target, parsed.Body
	}
	return l
}

// registryPath is the beginning of the paths of all operations that a message can be.
const registryPath = "/registry/"

// malformedLine rejects a line that is not a JSON object with the fields of a message.
func malformedLine(err error) *booking.Refusal {
	var semantic *json.SemanticError
	if errors.As(err, &semantic) && semantic.JSONPointer != "" {
		problem := booking.ProblemNotString
		if errors.Is(err, json.ErrUnknownName) {
			problem = booking.ProblemUnknown
		}
		return booking.InvalidField(server.Shorten(semantic.JSONPointer.LastToken()), problem)
	}
	return server.Malformed(booking.ProblemBodySyntax)
}

// shape is the method and the path without its guids: lines of one operation have the same.
func (l *line) shape() string {
	segments := strings.Split(l.path, "/")
	for i, segment := range segments {
		if uuid.Validate(segment) == nil {
			segments[i] = ""
		}
	}
	return l.Method + strings.Join(segments, "/")
}

// confirm gives those lines a result that state what is applied already. This is the common case of
// a file that is sent every night.
func (p *messagePass) confirm(ctx context.Context, lines []line) error {
	type windows struct {
		lines   []*line
		windows []registry.Window
	}
	byLpu := map[uuid.UUID]*windows{}
	for i := range lines {
		window, ok := lines[i].window()
		if !ok || !lines[i].Caller.ActsFor(window.Lpu) || !lines[i].Caller.HasScopes([]string{"schedule:write"}) {
			continue
		}
		if byLpu[window.Lpu] == nil {
			byLpu[window.Lpu] = new(windows)
		}
		group := byLpu[window.Lpu]
		group.lines, group.windows = append(group.lines, &lines[i]), append(group.windows, window)
	}
	for lpu, group := range byLpu {
		applied, err := p.registry.ConfirmWindows(ctx, lpu, group.windows)
		if err != nil {
			return err
		}
		for i, unchanged := range applied {
			if unchanged {
				l := group.lines[i]
				l.status, l.counts.CellsUnchanged = http.StatusOK, int64(len(group.windows[i].Cells))
			}
		}
	}
	return nil
}

// window returns the window of a line. ok is false if it is none, or perhaps an invalid one.
func (l *line) window() (_ registry.Window, ok bool) {
	segments := strings.Split(l.path, "/")
	if l.status != 0 || l.Method != http.MethodPut || len(segments) != 7 || segments[6] != "schedule" {
		return registry.Window{}, false
	}
	lpu, lpuErr := uuid.Parse(segments[3])
	resource, resourceErr := uuid.Parse(segments[5])
	query := l.URL.Query()
	from, fromErr := time.Parse(time.RFC3339, query.Get("from"))
	to, toErr := time.Parse(time.RFC3339, query.Get("to"))
	request := &api.PutScheduleRequestObject{
		LpuGUID: lpu, ResourceGUID: resource, Params: api.PutScheduleParams{From: from, To: to},
		Body: new(api.PutScheduleJSONRequestBody),
	}
	bodyErr := json.Unmarshal(l.Body, request.Body, json.RejectUnknownMembers(true))
	if errors.Join(lpuErr, resourceErr, fromErr, toErr, bodyErr) != nil {
		return registry.Window{}, false
	}
	window, refusal := window(request)
	return window, refusal == nil
}

// runAll runs lines of one operation that have no result. Those of one path run in order.
func (p *messagePass) runAll(ctx context.Context, lines []line) error {
	seed := maphash.MakeSeed()
	places := semaphore.NewWeighted(ParallelMessages)
	group, groupCtx := errgroup.WithContext(ctx)
	for worker := range uint64(ParallelMessages) {
		group.Go(func() error {
			for i := range lines {
				if maphash.String(seed, lines[i].path)%ParallelMessages != worker || lines[i].status != 0 {
					continue
				}
				if err := p.runWithin(groupCtx, places, &lines[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err //nolint:wrapcheck // run has
	}
	for i := range lines {
		if lines[i].status >= http.StatusBadRequest && lines[i].URL != nil {
			if err := p.run(ctx, &lines[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// runWithin runs a line when there is a place. While the instance is processing requests, a line
// takes all places and keeps them for a rest, so that the requests get most of the processors.
func (p *messagePass) runWithin(ctx context.Context, places *semaphore.Weighted, l *line) error {
	weight := int64(1)
	if p.messages.Busy() {
		weight = ParallelMessages
	}
	if err := places.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("wait for other messages: %w", err)
	}
	defer places.Release(weight)
	began := time.Now()
	if err := p.run(ctx, l); err != nil || weight == 1 {
		return err
	}
	rest := time.NewTimer(min(busyRest*time.Since(began), maxRest))
	defer rest.Stop()
	select {
	case <-ctx.Done(): // the next line fails
	case <-rest.C:
	}
	return nil
}

// errUnavailable means that a message could not be tried.
var errUnavailable = errors.New("the service is not available")

// run runs a line.
func (p *messagePass) run(ctx context.Context, l *line) error {
	l.status, l.body = p.messages.Run(ctx, l.Message)
	if l.status == http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %s", errUnavailable, l.body)
	}
	if p.check != nil {
		p.check.judge(l)
	}
	if l.status < http.StatusBadRequest {
		l.counts, l.body = readCounts(l.body), nil
	}
	return nil
}

// result returns the results of all lines.
func (p *messagePass) result(lines []line) registry.ImportResult {
	var result registry.ImportResult
	for i := range lines {
		result.Lines++
		if lines[i].status >= http.StatusBadRequest {
			result.Failed++
			result.Errors = append(result.Errors, registry.LineError{Line: lines[i].number, Error: lines[i].body})
			continue
		}
		result.Add(lines[i].counts)
	}
	return result
}

// readCounts returns the numbers in a response.
func readCounts(body []byte) registry.ImportCounts {
	var response struct {
		Added      int64            `json:"added"`
		Changed    any              `json:"changed"` // the number of cells; of objects, whether it changed
		Withdrawn  int64            `json:"withdrawn"`
		Unchanged  int64            `json:"unchanged"`
		Superseded int64            `json:"superseded"`
		Conflicts  []jsontext.Value `json:"conflicts"`
	}
	if err := json.Unmarshal(body, &response); err != nil {
		return registry.ImportCounts{}
	}
	counts := registry.ImportCounts{
		CellsAdded: response.Added, CellsWithdrawn: response.Withdrawn, CellsUnchanged: response.Unchanged,
		CellsSuperseded: response.Superseded, Conflicts: int64(len(response.Conflicts)),
	}
	changed, _ := response.Changed.(bool)
	if cells, ok := response.Changed.(float64); ok {
		counts.CellsChanged = int64(cells)
	}
	if changed || counts.CellsAdded+counts.CellsChanged+counts.CellsWithdrawn > 0 {
		counts.Changed = 1
	}
	return counts
}
