package auth

import (
	"crypto/sha256"
	"sync"
)

// maxCached is the number of tokens remembered; an entry takes some 200 bytes.
const maxCached = 10_000

// cache remembers the tokens that one key ring has verified, under the hash of the whole token: a client sends the same
// token many times, and a signature costs far more than a hash. Whoever reads it still has to check the time. The zero value
// is ready for use.
type cache struct {
	mu       sync.Mutex
	ring     *ring
	verified map[[sha256.Size]byte]claims
}

// get returns what the token with this hash says, if this very ring has verified it.
func (c *cache) get(r *ring, sum [sha256.Size]byte) (claims, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ring != r {
		return claims{}, false
	}
	said, ok := c.verified[sum]
	return said, ok
}

// put remembers what a token says that the ring has verified. The first token under another ring drops all that the old one
// has verified, so a withdrawn key takes its tokens along.
func (c *cache) put(r *ring, sum [sha256.Size]byte, said claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ring != r {
		c.ring, c.verified = r, make(map[[sha256.Size]byte]claims)
	}
	if len(c.verified) >= maxCached {
		for other := range c.verified { // whichever comes first: Go's order is random, and a token lost costs one signature
			delete(c.verified, other)
			break
		}
	}
	c.verified[sum] = said
}
