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

func TestServerOutlivesTheThreadThatCalledStart(t *testing.T) {
	t.Parallel()
	var (
		cluster *Cluster
		err     error
		thread  int
	)
	onThreadThatEnds(func() {
		thread = syscall.Gettid()
		cluster, err = Start(t.Context(), Options{})
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop(context.WithoutCancel(t.Context()))) })

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, poll(ctx, func() (bool, error) {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return os.IsNotExist(err), nil
	}))
	require.NoError(t, ping(t.Context(), cluster.URL(maintenance)))
}

// onThreadThatEnds calls do on a thread that ends soon after: a goroutine takes its thread along if it never unlocks it.
// The main thread alone does not end; while it is held here, another goroutine gets another.
func onThreadThatEnds(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if syscall.Gettid() == syscall.Getpid() {
			onThreadThatEnds(do)
			return
		}
		do()
	}()
	<-done
}

func TestHungServerIsSilentUntilItContinues(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	conn, err := pgx.Connect(t.Context(), c.URL(maintenance))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, c.Hang(t.Context()))

	answered := make(chan error, 2)
	go func() { answered <- conn.Ping(context.WithoutCancel(t.Context())) }()
	go func() { answered <- ping(context.WithoutCancel(t.Context()), c.URL(maintenance)) }()
	select {
	case err := <-answered:
		require.Fail(t, "it answered", "%v", err)
	case <-time.After(500 * time.Millisecond):
	}
	require.NoError(t, c.Continue())
	require.NoError(t, <-answered)
	require.NoError(t, <-answered)
}

func TestHungServerStops(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	require.NoError(t, c.Hang(t.Context()))
	began := time.Now()
	require.NoError(t, c.Stop(t.Context()))
	require.Less(t, time.Since(began), fastTimeout, "in order")
}
