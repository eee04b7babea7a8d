package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise: the patients of the worst cases have no other referral and belong to the institution that holds theirs, and no laboratory referral leads to the
// institution with the fully booked speciality.
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
