package registry

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// rejectingStore rejects every message, and records rejections unless it fails.
type rejectingStore struct {
	Store

	reject   error
	fail     error
	recorded []Rejection
}

func (s *rejectingStore) WriteWindow(context.Context, Window, time.Time) (WindowResult, error) {
	return WindowResult{}, s.reject
}

func (s *rejectingStore) RecordRejection(ctx context.Context, rejected Rejection) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > rejectionTimeout {
		return errors.New("the recording is not bounded")
	}
	s.recorded = append(s.recorded, rejected)
	return s.fail
}

// Promise: a rejection is recorded with its rule and time, also if the client has hung up or the
// message contradicts itself. The client gets the same refusal whether or not that succeeds. A
// failure of the service is no rejection.
func TestRejectionsAreRecorded(t *testing.T) {
	t.Parallel()
	window := Window{Period: Period{start, start.Add(time.Hour)}, Lpu: uuid.New(), Resource: uuid.New(), Version: 1}
	empty := window
	empty.To = start
	stale, booked := booking.Reject(booking.VersionStale), booking.Reject(booking.CellBooked)
	unavailable := booking.Reject(booking.DatabaseUnavailable)
	for name, c := range map[string]struct {
		window   Window
		reject   error
		fail     error
		want     booking.Name
		recorded bool
	}{
		"rejected":           {window, stale, nil, booking.VersionStale, true},
		"contradicts itself": {empty, nil, nil, booking.FieldInvalid, true},
		"cannot be recorded": {window, booked, errors.New("down"), booking.CellBooked, true},
		"unavailable":        {window, unavailable, nil, booking.DatabaseUnavailable, false},
	} {
		store := &rejectingStore{reject: c.reject, fail: c.fail}
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		_, err := NewService(store, func() time.Time { return start }).WriteWindow(ctx, c.window)
		refusal := new(booking.Refusal)
		require.ErrorAs(t, err, &refusal, name)
		require.Equal(t, c.want, refusal.Rule, name)
		require.True(t, c.fail == nil || errors.Is(err, c.fail), name)
		if !c.recorded {
			require.Empty(t, store.recorded, name)
			continue
		}
		want := Rejection{Lpu: window.Lpu, Resource: window.Resource, Rule: c.want, At: start}
		require.Equal(t, []Rejection{want}, store.recorded, name)
	}
	store := &rejectingStore{}
	_, err := NewService(store, func() time.Time { return start }).WriteWindow(t.Context(), window)
	require.NoError(t, err)
	require.Empty(t, store.recorded)
	down := &rejectingStore{reject: errors.New("down")}
	_, err = NewService(down, func() time.Time { return start }).WriteWindow(t.Context(), window)
	require.Error(t, err)
	require.Empty(t, down.recorded)
}
