package server

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/audit"
)

// Promise: the objects of a list have the kind of the list, each of them.
func TestObjectsOfAList(t *testing.T) {
	t.Parallel()
	first, second := uuid.NewString(), uuid.NewString()
	var found touched
	found.addBody([]byte(`{"case": [{"guid": "`+first+`", "text": "x"}, {"guid": "`+second+`"}]}`), "")
	require.Equal(t, []audit.Object{{Kind: "case", ID: first}, {Kind: "case", ID: second}}, found.objects)
}

// Promise: a record has the time that its request has left, but at least a second, and at most ten:
// an import, which may take an hour, does not wait that long for the audit. The record of a request
// that has found the database unavailable has a tenth of a second.
func TestTimeForARecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			left   time.Duration
			status int
			want   time.Duration
		}{
			{0, http.StatusOK, time.Second},
			{5 * time.Second, http.StatusOK, 5 * time.Second},
			{maxStreamTime, http.StatusAccepted, 10 * time.Second},
			{maxStreamTime, http.StatusServiceUnavailable, 100 * time.Millisecond},
		} {
			request, hangUp := context.WithTimeout(t.Context(), c.left)
			hangUp()
			ctx, cancel := auditContext(request, c.status)
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, c.want, time.Until(deadline))
			require.NoError(t, ctx.Err(), "the client has disconnected")
			cancel()
		}
		ctx, cancel := auditContext(t.Context(), http.StatusOK) // an operation without a deadline
		defer cancel()
		deadline, _ := ctx.Deadline()
		require.Equal(t, time.Second, time.Until(deadline))
	})
}
