package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Import is a file of messages that is applied in the background (загрузка).
type Import struct {
	ImportOwner
	ImportOptions

	Guid       uuid.UUID
	State      ImportState
	CreatedAt  time.Time
	FinishedAt *time.Time // nil until the import ends
	Total      int64      // messages in the file
	Chunks     int        // of the file
	NextChunk  int        // the first one without a result
	Done       ImportCounts
	Problem    ImportProblem // of a failed import, else ""
}

// ImportOwner is who has sent an import. A message is applied with these rights, of which the
// client application must still have each.
type ImportOwner struct {
	Client uuid.UUID // the zero guid: the administrator of the service
	Rights booking.SystemRights
}

// ImportOptions are the choices of the sender.
type ImportOptions struct {
	DryRun  bool // check the messages, apply none
	OnError OnError
}

// OnError decides what happens to the good messages of a file with bad ones.
type OnError string

// The choices.
const (
	SkipBad   OnError = "skip"   // apply the good messages
	RejectBad OnError = "reject" // check all messages, and apply them only if all are good
)

// ImportState is the state of an import.
type ImportState string

// The states. An import begins as ImportUploading.
const (
	ImportUploading ImportState = "uploading"
	ImportWaiting   ImportState = "waiting"  // for a worker
	ImportChecking  ImportState = "checking" // each message is tried and rolled back
	ImportRunning   ImportState = "running"
	ImportCompleted ImportState = "completed"
	ImportRejected  ImportState = "rejected" // messages are bad, and OnError is RejectBad
	ImportCancelled ImportState = "cancelled"
	ImportFailed    ImportState = "failed"
)

// Final reports whether the import has ended.
func (s ImportState) Final() bool {
	return s == ImportCompleted || s == ImportRejected || s == ImportCancelled || s == ImportFailed
}

// ImportProblem says why an import has failed, in Russian.
type ImportProblem string

// The problems.
const (
	ProblemUpload      ImportProblem = "Файл получен не полностью."
	ProblemUnavailable ImportProblem = "Сервис слишком долго был недоступен. Отправьте файл еще раз."
)

// ImportCounts are the results of messages that have been tried.
type ImportCounts struct {
	Lines, Changed, Failed int64
	// Sums of the results of the schedule messages.
	CellsAdded, CellsChanged, CellsWithdrawn, CellsUnchanged, CellsSuperseded, Conflicts int64
}

// Add adds the results of other messages.
func (c *ImportCounts) Add(other ImportCounts) {
	c.Lines += other.Lines
	c.Changed += other.Changed
	c.Failed += other.Failed
	c.CellsAdded += other.CellsAdded
	c.CellsChanged += other.CellsChanged
	c.CellsWithdrawn += other.CellsWithdrawn
	c.CellsUnchanged += other.CellsUnchanged
	c.CellsSuperseded += other.CellsSuperseded
	c.Conflicts += other.Conflicts
}

// LineError is the error of a rejected message.
type LineError struct {
	Line  int64
	Error []byte // JSON, as in the response to a request
}

// ImportResult are the results of the messages of a chunk.
type ImportResult struct {
	ImportCounts

	Errors []LineError // in order of their lines
}

// maxImportErrors is the number of errors of an import that are stored: the first ones.
const maxImportErrors = 10_000

// maxImports is the number of unfinished imports of a client application.
const maxImports = 10

// ErrCommitsLost means that the database has crashed, or was replaced by a standby, since a chunk
// was read. The commits of its messages may be lost.
var ErrCommitsLost = errors.New("the database may have lost commits of the import")

// ImportStore stores imports.
type ImportStore interface {
	// AddImport stores an import, and returns false if its client application already has most
	// unfinished ones.
	AddImport(ctx context.Context, added *Import, most int) (bool, error)
	// AddChunk stores the next chunk of an import that is uploaded, with its number of messages.
	AddChunk(ctx context.Context, guid uuid.UUID, number int, messages int64, content []byte, now time.Time) error
	// SetState changes the state of an import that has not ended. now is its end in a final state.
	// It returns false, and changes nothing, if the import has ended, or if it is not the worker's.
	// With the zero guid as worker it changes the import of any worker, or of none.
	SetState(
		ctx context.Context, guid, worker uuid.UUID, state ImportState, problem ImportProblem, now time.Time,
	) (bool, error)
	// Import returns an import of a client application, and rejects with ImportAbsent.
	Import(ctx context.Context, client, guid uuid.UUID) (Import, error)
	// ImportErrors returns up to limit errors after a line, in order.
	ImportErrors(ctx context.Context, guid uuid.UUID, after int64, limit int) ([]LineError, error)
	ImportQueue

	// EndCutOffImports ends up to limit imports whose file has stopped arriving, and returns their
	// number.
	EndCutOffImports(ctx context.Context, now time.Time, limit int) (int, error)
	// DeleteImports deletes up to limit imports that ended before a time, and returns their number.
	DeleteImports(ctx context.Context, before time.Time, limit int) (int, error)
}

// ImportQueue are the imports that workers apply, chunk by chunk.
type ImportQueue interface {
	// WaitingImports returns the oldest import of each client application that waits, or whose
	// worker has died, the oldest first. Of each it has the guid, the client application, the
	// options, the state and the number of chunks.
	WaitingImports(ctx context.Context, now time.Time) ([]Import, error)
	// ClaimImport reserves an import that waits, or whose worker has died, until a time. It returns
	// nil if it does not wait.
	ClaimImport(ctx context.Context, guid, worker uuid.UUID, now, until time.Time) (*Import, error)
	// RenewImport extends the reservation of an import, if it is the worker's.
	RenewImport(ctx context.Context, guid, worker uuid.UUID, until time.Time) error
	// Chunk returns the content of a chunk, or nil if the import has ended, which deletes them, and
	// the time of the last recovery of the database.
	Chunk(ctx context.Context, guid uuid.UUID, number int) (content []byte, recovery time.Time, err error)
	// SaveProgress stores the results of the next chunk, or of the start of a pass, and extends the
	// reservation. It returns false if the import was cancelled, or reserved by another worker. It
	// returns ErrCommitsLost if recovery is not nil and is not that of the last recovery.
	SaveProgress(
		ctx context.Context, i *Import, errors []LineError, worker uuid.UUID, until time.Time, recovery *time.Time,
	) (bool, error)
}

// MessageRunner applies messages.
type MessageRunner interface {
	// Start begins a pass over the messages of an import, which are not applied if check is true.
	Start(i *Import, check bool) MessagePass
}

// MessagePass is a pass over the messages of an import.
type MessagePass interface {
	// Run tries the messages of a chunk, in an order that respects their dependencies. An error
	// means that the service is not available; the chunk can be tried again.
	Run(ctx context.Context, messages []Message) (ImportResult, error)
}

// Imports contains the use cases of imports. It is safe for concurrent use.
type Imports struct {
	store  ImportStore
	runner MessageRunner
	now    func() time.Time
	wake   chan struct{} // an import waits
}

// NewImports returns the use cases on a store.
func NewImports(store ImportStore, runner MessageRunner, now func() time.Time) *Imports {
	return &Imports{store, runner, now, make(chan struct{}, 1)}
}

// Upload stores the messages of source as a new import, which then waits for a worker. It rejects
// with TooManyImports, with BadLine if there are no messages, and with what source returns. A file
// that is not complete is not applied.
func (s *Imports) Upload(
	ctx context.Context, owner ImportOwner, options ImportOptions, source MessageSource,
) (Import, error) {
	added := Import{
		ImportOwner: owner, ImportOptions: options, Guid: uuid.New(), State: ImportUploading, CreatedAt: s.now(),
	}
	stored, err := s.store.AddImport(ctx, &added, maxImports)
	if err != nil {
		return Import{}, fmt.Errorf("store the import: %w", err)
	}
	if !stored {
		return Import{}, booking.Reject(booking.TooManyImports)
	}
	if err := s.storeChunks(ctx, &added, source); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		// Otherwise the sweep ends it later.
		_, _ = s.store.SetState(cleanup, added.Guid, uuid.Nil, ImportFailed, ProblemUpload, s.now())
		return Import{}, err
	}
	added.State = ImportWaiting
	if _, err := s.store.SetState(ctx, added.Guid, uuid.Nil, ImportWaiting, "", s.now()); err != nil {
		return Import{}, fmt.Errorf("complete the import: %w", err)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return added, nil
}

func (s *Imports) storeChunks(ctx context.Context, added *Import, source MessageSource) error {
	writer := newChunkWriter()
	store := func() error {
		content, messages := writer.take()
		if messages == 0 {
			return nil
		}
		if err := s.store.AddChunk(ctx, added.Guid, added.Chunks, messages, content, s.now()); err != nil {
			return fmt.Errorf("store a part of the import: %w", err)
		}
		added.Chunks++
		added.Total += messages
		return nil
	}
	for {
		message, err := source.Next()
		switch {
		case errors.Is(err, io.EOF) && added.Total+writer.messages == 0:
			return BadLine(1, booking.ProblemNoLines)
		case errors.Is(err, io.EOF):
			return store()
		case err != nil:
			return err
		}
		if err := writer.add(message); err != nil {
			return err
		}
		if writer.full() {
			if err := store(); err != nil {
				return err
			}
		}
	}
}

// Import returns an import of a client application. It rejects with ImportAbsent.
func (s *Imports) Import(ctx context.Context, client, guid uuid.UUID) (Import, error) {
	found, err := s.store.Import(ctx, client, guid)
	if err != nil {
		return Import{}, fmt.Errorf("read the import: %w", err)
	}
	return found, nil
}

// Cancel ends an import of a client application, unless it has ended. Messages that are applied
// stay applied. It rejects with ImportAbsent.
func (s *Imports) Cancel(ctx context.Context, client, guid uuid.UUID) (Import, error) {
	if _, err := s.Import(ctx, client, guid); err != nil {
		return Import{}, err
	}
	if _, err := s.store.SetState(ctx, guid, uuid.Nil, ImportCancelled, "", s.now()); err != nil {
		return Import{}, fmt.Errorf("cancel the import: %w", err)
	}
	return s.Import(ctx, client, guid)
}

// Errors returns up to limit errors of an import after a line, in order. It rejects with
// ImportAbsent.
func (s *Imports) Errors(ctx context.Context, client, guid uuid.UUID, after int64, limit int) ([]LineError, error) {
	if _, err := s.Import(ctx, client, guid); err != nil {
		return nil, err
	}
	found, err := s.store.ImportErrors(ctx, guid, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the errors of the import: %w", err)
	}
	return found, nil
}

// importLife is how long an import that has ended can be read.
const importLife = 7 * 24 * time.Hour

// sweptImports bounds the imports that a sweep ends or deletes.
const sweptImports = 100

// Sweep ends imports whose file has stopped arriving, and deletes those that have ended long ago.
func (s *Imports) Sweep(ctx context.Context) error {
	now := s.now()
	_, cutOff := s.store.EndCutOffImports(ctx, now, sweptImports)
	_, old := s.store.DeleteImports(ctx, now.Add(-importLife), sweptImports)
	if err := errors.Join(cutOff, old); err != nil {
		return fmt.Errorf("sweep the imports: %w", err)
	}
	return nil
}
