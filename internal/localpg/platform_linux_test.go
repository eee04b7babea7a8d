package localpg

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestServerSurvivesTheThreadThatCalledStart(t *testing.T) {
	t.Parallel()
	var (
		cluster *Cluster
		err     error
		thread  int
	)
	runOnEndingThread(func() {
		thread = syscall.Gettid()
		cluster, err = Start(t.Context(), Options{})
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop(context.WithoutCancel(t.Context()))) })

	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	require.NoError(t, poll(ctx, func() (bool, error) {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return os.IsNotExist(err), nil
	}))
	require.NoError(t, ping(t.Context(), cluster.URL(maintenance)))
}

// runOnEndingThread calls do on an operating-system thread that ends soon after do has returned. A
// thread ends when a goroutine that has locked it returns without unlocking it. The main thread
// never ends: if the goroutine runs on it, the function keeps it locked and uses another thread.
func runOnEndingThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if syscall.Gettid() == syscall.Getpid() {
			runOnEndingThread(do)
			return
		}
		do()
	}()
	<-done
}

func TestHungServerDoesNotRespondUntilItContinues(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	conn, err := pgx.Connect(t.Context(), c.URL(maintenance))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, c.Hang(t.Context()))

	results := make(chan error, 2)
	go func() { results <- conn.Ping(context.WithoutCancel(t.Context())) }()
	go func() { results <- ping(context.WithoutCancel(t.Context()), c.URL(maintenance)) }()
	select {
	case err := <-results:
		require.Fail(t, "the hung server responded", "%v", err)
	case <-time.After(500 * time.Millisecond):
	}
	require.NoError(t, c.Continue())
	require.NoError(t, <-results)
	require.NoError(t, <-results)
}

func TestHungServerStops(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	require.NoError(t, c.Hang(t.Context()))
	start := time.Now()
	require.NoError(t, c.Stop(t.Context()))
	require.Less(t, time.Since(start), fastTimeout, "the shutdown is graceful")
}
