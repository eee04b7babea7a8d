package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

const (
	// standbyPatience bounds how long a list waits for a connection of the standby that has
	// replayed what the list has to contain. Then it is read from the primary.
	standbyPatience = 100 * time.Millisecond
	// standbyTimeout bounds the statements of a list on the standby.
	standbyTimeout = time.Second
	// standbyFailures in succession send all lists to the primary for awayPause.
	standbyFailures = 3
	// positionTimeout bounds the statement that reads the position of the primary. Several lists
	// may wait for the same one.
	positionTimeout = time.Second
	// replayPoll is the pause between two looks at what the standby has replayed.
	replayPoll = time.Millisecond
)

// Standby lets lists be read from a hot standby. A list that is read there contains everything that
// was committed on the primary before the list was requested, from whichever instance. It is safe
// for concurrent use.
//
// Each list learns a position of the primary that was read after the list was requested, and waits
// until the standby has replayed up to it (a read index). One statement on the primary serves all
// lists that have been waiting for it.
type Standby struct {
	pool    *pgxpool.Pool
	primary *pgxpool.Pool
	log     *slog.Logger
	count   func(Reason)

	position atomic.Pointer[primaryPosition] // the newest
	asks     singleflight.Group
	breaker  *gobreaker.CircuitBreaker[struct{}]
	paused   atomic.Pointer[Reason] // of the lists that arrive while the breaker is open

	mu        sync.Mutex
	outage    booking.Outage
	histories map[int64]db.ServerHistoryRow // by the start of the server's process
}

// maxHistories bounds the known histories. A restart of a server adds one.
const maxHistories = 100

// NewStandby returns a standby. pool has connections to the standby, and primary at least one to
// the primary. count is called for each list, with an empty reason if it was read from the standby.
func NewStandby(pool, primary *pgxpool.Pool, log *slog.Logger, count func(Reason)) *Standby {
	s := &Standby{
		pool: pool, primary: primary, log: log, count: count, breaker: newAwayBreaker(standbyFailures),
		histories: map[int64]db.ServerHistoryRow{},
	}
	s.paused.Store(new(reasonAway))
	return s
}

// ReadListsFrom makes the store read lists and searches from a standby. Call it before the store is
// used.
func (s *Store) ReadListsFrom(standby *Standby) { s.standby = standby }

// Reason is why a list is read from the primary. It is empty for one that is read from the standby.
type Reason string

// The reasons for which a list is read from the primary.
const (
	reasonLag       Reason = "lag"       // the standby has not replayed enough in time
	reasonAway      Reason = "away"      // the standby did not respond, or with an error
	reasonTimeline  Reason = "timeline"  // the standby does not follow the primary, or not yet
	reasonPrimary   Reason = "primary"   // the primary did not return its position
	reasonConflict  Reason = "conflict"  // the recovery of the standby has cancelled the list
	reasonBusy      Reason = "busy"      // no connection to the standby became free in time
	reasonRejection Reason = "rejection" // the primary decides whether to reject the request
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{
		reasonLag, reasonAway, reasonTimeline, reasonPrimary, reasonConflict, reasonBusy, reasonRejection,
	}
}

// readError is why the primary reads a list.
type readError struct {
	reason Reason
	err    error
}

func (e *readError) Error() string { return fmt.Sprintf("%s: %s", e.reason, e.err) }
func (e *readError) Unwrap() error { return e.err }

// isOutage reports whether the lists that follow will fail, too.
func (e *readError) isOutage() bool {
	switch e.reason {
	case reasonLag, reasonAway, reasonTimeline, reasonPrimary:
		return true
	default:
		return false
	}
}

// list calls do, which reads outside of a transaction or in a snapshot, with a connection of the
// standby, if there is one and it has everything that was committed before. Otherwise, or if do
// fails there, it calls do as read does. The results of a call that failed are not used. No list
// is rejected because of the standby.
//
// A standby can show what the primary does not show yet, because the synchronous standby has not
// confirmed it. So only requests that have a record of the audit may be read by list: the record is
// committed on the primary afterwards, and the response waits for that commit, which the
// synchronous standby confirms only after all that came before.
func list[T any](
	ctx context.Context, s *Store, do func(context.Context, db.DBTX, *reference) (T, error),
) (T, error) {
	if s.standby != nil {
		known, err := s.reference.get(ctx)
		if err != nil {
			var none T
			return none, interpretError(err)
		}
		var result T
		if s.standby.read(ctx, func(ctx context.Context, conn db.DBTX) (err error) {
			result, err = do(ctx, conn, known)
			return err
		}) {
			return result, nil
		}
	}
	return read(ctx, s, func(known *reference) (T, error) { return do(ctx, s.pool, known) })
}

// listSnapshot is list for statements that do queues. They run in one round trip and one snapshot.
func listSnapshot[T any](ctx context.Context, s *Store, do func(t *tx, result *T)) (T, error) {
	return list(ctx, s, func(ctx context.Context, conn db.DBTX, known *reference) (result T, err error) {
		err = snapshot(ctx, conn, known, func(t *tx) { do(t, &result) })
		return result, err
	})
}

// read calls do with a connection of the standby, and reports whether it has succeeded. After
// standbyFailures the standby is not tried for awayPause, and then by one list at a time.
func (s *Standby) read(ctx context.Context, do func(context.Context, db.DBTX) error) bool {
	var failed *readError
	_, err := s.breaker.Execute(func() (struct{}, error) {
		failed = s.try(ctx, do)
		switch {
		case failed == nil:
			return struct{}{}, nil
		case failed.reason == reasonBusy || ctx.Err() != nil: // it says nothing of the standby
			return struct{}{}, errNoTime
		case !failed.isOutage():
			return struct{}{}, nil
		default:
			s.paused.Store(&failed.reason)
			return struct{}{}, failed
		}
	})
	switch {
	case failed != nil:
		s.count(failed.reason)
	case err != nil: // the breaker is open
		s.count(*s.paused.Load())
	default:
		s.count("")
	}
	s.report(failed, err)
	return err == nil && failed == nil
}

// report logs the begin and the end of an outage of the standby.
func (s *Standby) report(failed *readError, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && failed == nil:
		s.outage.Succeeded(s.log, "lists are read from the standby again")
	case failed != nil && failed.isOutage() && s.breaker.State() == gobreaker.StateOpen:
		refusal := booking.Reject(booking.DatabaseUnavailable).Because(failed)
		s.outage.Failed(s.log, "lists are read from the primary, because the standby cannot serve them", refusal)
	}
}

// try calls do with a connection of the standby that has everything that was committed when try was
// called.
func (s *Standby) try(ctx context.Context, do func(context.Context, db.DBTX) error) *readError {
	conn, failed := s.replayed(ctx)
	if failed != nil {
		return failed
	}
	defer conn.Release()
	ctx, cancel := context.WithTimeout(ctx, standbyTimeout)
	defer cancel()
	err := do(ctx, conn)
	if needsNewConnection(err) {
		s.pool.Reset()
	}
	var refusal *booking.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return &readError{reasonRejection, err}
	case isState(err, serializationFailure), isState(err, deadlock):
		return &readError{reasonConflict, interpretError(err)}
	default:
		return &readError{reasonAway, interpretError(err)}
	}
}

// The states with which a recovery cancels a statement.
const (
	serializationFailure = "40001"
	deadlock             = "40P01"
)

// replayed returns a connection to a server that has replayed everything that was committed when
// replayed was called. The address may lead to several servers, so that each connection is asked
// for its own. None is kept while the list waits.
func (s *Standby) replayed(ctx context.Context) (*pgxpool.Conn, *readError) {
	ctx, cancel := context.WithTimeout(ctx, standbyPatience)
	defer cancel()
	wanted, err := s.positionNow(ctx)
	if err != nil {
		return nil, &readError{reasonPrimary, interpretError(err)}
	}
	for lag := (*readError)(nil); ; {
		conn, failed := s.look(ctx, wanted)
		switch {
		case failed == nil:
			return conn, nil
		case lag != nil && ctx.Err() != nil:
			return nil, lag
		case failed.reason != reasonLag:
			return nil, failed
		}
		lag = failed
		select {
		case <-ctx.Done():
			return nil, lag
		case <-time.After(replayPoll):
		}
	}
}

// look returns a connection to a server that has replayed everything before a position.
func (s *Standby) look(ctx context.Context, wanted *primaryPosition) (*pgxpool.Conn, *readError) {
	conn, err := s.pool.Acquire(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && s.pool.Stat().AcquiredConns() > 0:
		return nil, &readError{reasonBusy, err} // those who use the connections see whether it is away
	case err != nil:
		return nil, &readError{reasonAway, interpretError(err)}
	}
	state, err := db.New(conn).StandbyState(ctx, wanted.Position)
	if err == nil {
		err = s.checkHistory(ctx, conn, wanted, &state)
	}
	if err == nil && (state.Replayed || !state.Standby) {
		return conn, nil
	}
	conn.Release()
	switch {
	case errors.Is(err, errOtherHistory):
		s.pool.Reset() // the address may lead elsewhere now
		return nil, &readError{reasonTimeline, err}
	case err != nil:
		return nil, &readError{reasonAway, interpretError(err)}
	default:
		return nil, &readError{reasonLag, errLag}
	}
}

var errOtherHistory = errors.New("the standby does not follow the primary, or does not show it yet")

// checkHistory returns an error unless a server has the history of a position: a standby of its
// timeline, or the primary itself. What a server with another history has replayed means nothing.
func (s *Standby) checkHistory(
	ctx context.Context, conn db.DBTX, wanted *primaryPosition, state *db.StandbyStateRow,
) error {
	if !state.Standby {
		if state.StartedAt.Equal(wanted.StartedAt) {
			return nil
		}
		return fmt.Errorf("%w: it is a primary itself", errOtherHistory)
	}
	if s.knownHistory(state.StartedAt) == wanted.history {
		return nil // while the process runs, a standby never leaves the history of its timeline
	}
	found, err := s.readHistory(ctx, conn, state.StartedAt)
	if err == nil && found != wanted.history {
		err = fmt.Errorf("%w: it has timeline %d of cluster %d, the primary %d of %d", errOtherHistory,
			found.Timeline, found.System, wanted.history.Timeline, wanted.history.System)
	}
	return err
}

// knownHistory returns the history of a server that was read last, by the start of its process, or
// zeros.
func (s *Standby) knownHistory(startedAt time.Time) db.ServerHistoryRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.histories[startedAt.UnixMicro()]
}

// readHistory reads the history of a server, for knownHistory.
func (s *Standby) readHistory(ctx context.Context, conn db.DBTX, startedAt time.Time) (db.ServerHistoryRow, error) {
	found, err := db.New(conn).ServerHistory(ctx)
	if err != nil {
		return found, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.histories) >= maxHistories {
		clear(s.histories)
	}
	s.histories[startedAt.UnixMicro()] = found
	return found, nil
}

var errLag = fmt.Errorf("the standby lags by more than %s", standbyPatience)

// primaryPosition is a position in the history of the primary.
type primaryPosition struct {
	db.PrimaryPositionRow

	history db.ServerHistoryRow // of a standby that follows the primary
	askedAt time.Time
}

// positionNow returns a position of the primary that was read after positionNow was called. A
// statement that was already running may have missed a commit that the caller knows of.
func (s *Standby) positionNow(ctx context.Context) (*primaryPosition, error) {
	called := time.Now()
	for {
		if newest := s.position.Load(); newest != nil && !newest.askedAt.Before(called) {
			return newest, nil
		}
		if err := waitFor(ctx, s.ask()); err != nil {
			return nil, fmt.Errorf("ask the primary for its position: %w", err)
		}
	}
}

// ask starts to read the position of the primary, or joins the running read.
func (s *Standby) ask() <-chan singleflight.Result {
	return s.asks.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), positionTimeout)
		defer cancel()
		next := &primaryPosition{askedAt: time.Now()}
		err := s.primary.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
			if next.PrimaryPositionRow, err = db.New(conn).PrimaryPosition(ctx); err != nil {
				return err
			}
			next.history = s.knownHistory(next.StartedAt)
			if next.history.System == 0 {
				next.history, err = s.readHistory(ctx, conn, next.StartedAt)
			}
			next.history.Timeline = next.Timeline
			return err
		})
		if err != nil {
			s.primary.Reset() // after a failover the connection may lead to a standby
			return nil, err
		}
		s.position.Store(next)
		return nil, nil
	})
}
