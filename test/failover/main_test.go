//go:build failover

package failover_test

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestMain stops the cluster also after Ctrl-C, when no test cleans up.
func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		fmt.Fprintln(os.Stderr, "stopping the cluster after the signal", <-signals)
		if c := running.Load(); c != nil {
			c.stop()
		}
		os.Exit(1)
	}()
	os.Exit(m.Run())
}
