// Package clinic contains what institutions do with their visits: they list them, confirm that they
// are in their own books, cancel them, and say what became of them.
//
// It knows no HTTP and no SQL. Store is implemented by package postgres.
package clinic

import (
	"time"
)

// Store reads and changes the visits of institutions. Its methods that write run one transaction
// each. They return a *booking.Refusal if the write is rejected, and then change nothing.
type Store interface {
	VisitStore
	ReceiptStore
	AttendanceStore
	CancellationStore
}

// Service contains the use cases. It is safe for concurrent use.
type Service struct {
	store Store
	now   func() time.Time
}

// NewService returns a service on the store. now returns the current time.
func NewService(store Store, now func() time.Time) *Service { return &Service{store, now} }
