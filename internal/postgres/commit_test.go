package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// setStandby makes commits wait for a synchronous standby that does not exist, or for none.
func (w *world) setStandby(name string) {
	w.t.Helper()
	w.exec(`ALTER SYSTEM SET synchronous_standby_names = '` + name + `'`)
	w.exec(`SELECT pg_reload_conf()`)
	require.Eventually(w.t, func() bool { // backends read it one after the other
		ctx, cancel := context.WithTimeout(w.t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := w.db.Exec(ctx, commitMessage)
		return (err == nil) == (name == "")
	}, 20*time.Second, time.Millisecond)
}

// waitForCommit waits until a commit has waited for the standby for at least the given time.
func (w *world) waitForCommit(atLeast time.Duration) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity
			WHERE wait_event = 'SyncRep' AND query LIKE '%commit' AND clock_timestamp() - query_start > $1`, atLeast) == 1
	}, 20*time.Second, 5*time.Millisecond, "no commit waits for the standby")
}

// Promise: a booking whose commit waits for the synchronous standby is shown to nobody before it is
// safe, however its request ends. Its key stays in use. When the standby is back, the visit is
// there, once, and a repetition with the key gets the stored response.
func TestCommitIsNotCut(t *testing.T) {
	t.Parallel()
	const deadline, statementTimeout, lease = time.Second, time.Second, time.Minute
	for name, end := range map[string]func(w *world, cancel func(), network *cuttableNetwork){
		"deadline":          nil,
		"statement_timeout": nil,
		"the client hangs up": func(w *world, cancel func(), _ *cuttableNetwork) {
			w.waitForCommit(0)
			cancel()
		},
		"the network is cut": func(w *world, _ func(), network *cuttableNetwork) {
			w.waitForCommit(0)
			network.cut()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldIn(t, testdb.Cluster(t).URL("postgres"))
			var network cuttableNetwork
			store := w.storeAt(w.url, statementTimeout, network.connectThrough)
			key := booking.Key{Text: "k", Request: [32]byte{1}}
			taken, _, err := store.TakeKey(t.Context(), w.patient, key, moment, lease)
			require.NoError(t, err)
			a := w.appointment(2)
			a.Key = taken
			w.setStandby("nobody")

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "deadline" {
				ctx, cancel = context.WithTimeout(ctx, deadline)
				defer cancel()
			}
			done := make(chan error, 1)
			go func() {
				_, err := store.Create(ctx, a)
				done <- err
			}()
			if end != nil {
				end(w, cancel, &network)
			}
			w.waitForCommit(3 * time.Second) // longer than all limits and a cancel request

			require.Zero(t, w.count(`SELECT count(*) FROM appointment`))
			other := w.store(runtimeParam("lock_timeout", "100ms"))
			requireRefusal(t, create(t, other, w.appointment(2)), booking.Overloaded) // it is allowed to try
			_, _, err = other.TakeKey(t.Context(), w.patient, key, moment.Add(2*lease), lease)
			requireRefusal(t, err, booking.Overloaded)

			w.setStandby("")
			if err := <-done; name == "statement_timeout" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errCommitUnknown)
			}
			require.Eventually(t, func() bool { return w.count(`SELECT count(*) FROM appointment`) == 1 },
				20*time.Second, 5*time.Millisecond)
			w.requireBooked(a)
			again, held, err := other.TakeKey(t.Context(), w.patient, key, moment, lease)
			require.NoError(t, err)
			require.Nil(t, again)
			require.Equal(t, a.Guid, held.Appointment.Guid)
		})
	}
}

// Promise: while commits hang, writes are rejected at once and reads are answered. The sessions of
// the database do not become more. Writes go on as soon as commits do.
func TestWritesWhileCommitsHang(t *testing.T) {
	t.Parallel()
	w := newWorldIn(t, testdb.Cluster(t).URL("postgres"))
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 4 })
	w.setStandby("nobody")
	a := w.appointment(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := store.Create(ctx, a)
	require.ErrorIs(t, err, errCommitUnknown)

	first := requireRefusal(t, create(t, store, a), booking.DatabaseUnavailable)
	require.ErrorIs(t, first, errAway)
	for range 50 {
		began := time.Now()
		err := create(t, store, a)
		requireRefusal(t, err, booking.DatabaseUnavailable)
		require.Less(t, time.Since(began), commitTimeout+time.Second)
		_, err = store.Facts(t.Context(), w.patient, w.request(1), moment)
		require.NoError(t, err)
	}
	w.waitForCommit(0)
	w.setStandby("")
	a.Guid = uuid.New()
	require.Eventually(t, func() bool {
		refusal := new(booking.Refusal)
		return errors.As(create(t, store, a), &refusal) && refusal.Rule == booking.DirectionAlreadyBooked
	}, 20*time.Second, 50*time.Millisecond)
}
