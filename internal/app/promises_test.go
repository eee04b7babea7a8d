package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: a cell that was closed to this client between the check and the write is lost, though it is open to others.
func TestCellIsClosedToTheClientMeanwhile(t *testing.T) {
	t.Parallel()
	sc := start(t).scene() // its client may take what shares a bit with 95
	sc.attemptWhile(`UPDATE slot SET flag_access = 32`).requireRefusal(t, "slot_taken")
	sc.exec(`UPDATE slot SET flag_access = 32 + 16`)
	a := sc.attempt()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
}
