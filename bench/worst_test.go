package main

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/postgres"
	"talon.example/internal/testdb"
)

// Promise: the patients of the worst cases have no other referral and belong to the institution
// that holds theirs. No laboratory referral is for the institution with the fully booked
// speciality.
func TestWorstCases(t *testing.T) {
	t.Parallel()
	for _, scale := range []float64{0.01, 0.1, 1} {
		r := NewRegion(scale, time.Now())
		seen := map[int64]bool{}
		for n := range int64(worstReferrals) {
			laboratory, full := r.laboratory(n), r.fullyBooked(n)
			for _, b := range []Booking{laboratory, full} {
				require.False(t, seen[b.Person] || seen[-b.Referral])
				seen[b.Person], seen[-b.Referral] = true, true
				require.GreaterOrEqual(t, b.Person, r.Referrals)
				require.Less(t, b.Person, r.Persons)
				require.Equal(t, b.From, r.homeOf(b.Person))
				require.GreaterOrEqual(t, b.Referral, r.Referrals+r.Rushers)
			}
			require.NotEqual(t, laboratory.To, full.To)
		}
	}
}

// Promise: with a laboratory referral the search finds cells of all resources of an institution,
// and in the fully booked speciality it finds none. Existing rows are not added again.
func TestWorstSearches(t *testing.T) {
	t.Parallel()
	url := testdb.New(t)
	region := NewRegion(0.001, time.Now())
	region.Rushers = 0
	require.NoError(t, fill(t.Context(), url, region, io.Discard))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	s := &site{region: region, conn: conn}
	require.NoError(t, s.ensureWorstCases(t.Context()))
	require.NoError(t, s.ensureWorstCases(t.Context()))
	require.NoError(t, s.reset(t.Context()))

	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	service := booking.NewService(postgres.NewStore(pool, 0).Ports(), time.Now)
	search := func(b Booking) *booking.SlotPage {
		lpu := guid(kindLpu, b.To)
		page, err := service.Slots(t.Context(),
			booking.Patient{Person: guid(kindPerson, b.Person), Client: guid(kindClient, clientNumber)},
			booking.SlotSearch{Direction: guid(kindReferral, b.Referral), Lpu: &lpu, Difficulty: 1, Limit: 50})
		require.NoError(t, err)
		require.Nil(t, page.BlockedBy)
		return page
	}
	for n := range int64(worstReferrals) {
		resources := map[string]bool{}
		for _, slot := range search(region.laboratory(n)).Slots {
			resources[slot.Resource.Name] = true
		}
		require.Len(t, resources, int(region.Resources/region.Lpus))

		page := search(region.fullyBooked(n))
		require.Empty(t, page.Slots)
		require.Nil(t, page.NextAvailable)
	}
}
