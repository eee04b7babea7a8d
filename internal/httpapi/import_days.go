package httpapi

import (
	"hash/maphash"
	"time"
)

// rememberedDays is how many days before a row are searched for the row's day. Twice as many take
// 10 MB of memory.
const rememberedDays = 200_000

// seenDays remembers the days of resources, at least the last limit ones and at most twice as many.
// It keeps hashes of 64 bits, of which two of a file are equal with a probability below 10⁻⁶.
type seenDays struct {
	limit         int
	seed          maphash.Seed
	recent, older map[uint64]struct{}
}

func newSeenDays(limit int) seenDays {
	return seenDays{limit, maphash.MakeSeed(), map[uint64]struct{}{}, map[uint64]struct{}{}}
}

// add adds a day of a resource, and reports whether it is known.
func (s *seenDays) add(resource string, day time.Time) (known bool) {
	hash := maphash.Comparable(s.seed, struct {
		resource string
		day      int64
	}{resource, day.Unix()})
	_, isRecent := s.recent[hash]
	_, isOlder := s.older[hash]
	if isRecent || isOlder {
		return true
	}
	if len(s.recent) == s.limit {
		s.recent, s.older = s.older, s.recent
		clear(s.recent)
	}
	s.recent[hash] = struct{}{}
	return false
}
