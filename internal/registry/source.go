package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Source is the state of a resource's schedule in its source (источник). Times are in the
// institution's zone.
type Source struct {
	Resource      uuid.UUID
	Version       int64 // the highest that was applied
	ConfirmedAt   time.Time
	Lag           time.Duration // since ConfirmedAt
	OpenConflicts int           // future cells that have visits although they are withdrawn or in an absence
	LastError     *SourceError  // nil: none
}

// SourceError is the last message of a source that was rejected.
type SourceError struct {
	At   time.Time
	Rule booking.Name
}

// SourceSummary is about all schedules of an institution that messages have stated.
type SourceSummary struct {
	Resources         int
	OldestConfirmedAt *time.Time // nil if there are none
}

// Sources returns a page of the state of an institution's schedules, ordered by the guids of their
// resources, the summary of all, and the guid after which the next page begins, nil if there is
// none. A resource whose schedule no message has stated has no state. Sources rejects with
// LpuAbsent.
func (s *Service) Sources(
	ctx context.Context, lpu, after uuid.UUID, limit int,
) (sources []Source, summary SourceSummary, next *uuid.UUID, err error) {
	sources, summary, err = s.store.Sources(ctx, lpu, after, limit+1, s.now())
	if err != nil {
		return nil, SourceSummary{}, nil, fmt.Errorf("read the sources: %w", err)
	}
	if len(sources) > limit {
		sources = sources[:limit]
		next = &sources[limit-1].Resource
	}
	return sources, summary, next, nil
}

// Rejection is the rejection of a message for a resource, or for a cell of one.
type Rejection struct {
	Lpu      uuid.UUID
	Resource uuid.UUID  // if Slot is nil
	Slot     *uuid.UUID // a cell of the resource
	Rule     booking.Name
	At       time.Time
}

// rejectionTimeout bounds the recording of a rejection, which delays the response.
const rejectionTimeout = time.Second

// firstFailure is the least HTTP status of a failure of the service.
const firstFailure = 500

// recordRejection records a refusal of a message in the state of its source, and returns err. It
// runs after the message's own transaction has been rolled back. If it fails, the rejection is not
// recorded, and the refusal has the failure as its cause. Failures of the service itself are not
// recorded.
func (s *Service) recordRejection(ctx context.Context, rejected Rejection, err error) error {
	var refusal *booking.Refusal
	if !errors.As(err, &refusal) || refusal.Status >= firstFailure {
		return err
	}
	rejected.Rule, rejected.At = refusal.Rule, s.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rejectionTimeout)
	defer cancel()
	if failure := s.store.RecordRejection(ctx, rejected); failure != nil {
		_ = refusal.Because(fmt.Errorf("record the rejection: %w", failure))
	}
	return err
}
