package auth

import (
	"crypto/sha256"
	"sync"
)

// maxCached is the largest number of cached tokens. An entry takes about 200 bytes.
const maxCached = 10_000

// cache holds the claims of tokens that one key ring has verified, keyed by the hash of the whole
// token. A client sends the same token many times, and verifying a signature costs far more than a
// hash. The caller must still check the token's dates. The zero value is ready for use, and a cache
// is safe for concurrent use.
type cache struct {
	mu       sync.Mutex
	ring     *ring
	verified map[[sha256.Size]byte]claims
}

// get returns the claims of the token with the hash sum. It returns false if the cache does not
// have the token, or if another ring than r has verified it.
func (c *cache) get(r *ring, sum [sha256.Size]byte) (claims, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ring != r {
		return claims{}, false
	}
	cached, ok := c.verified[sum]
	return cached, ok
}

// put stores the claims of a token that the ring r has verified. The first token of a new ring
// empties the cache, so that tokens of a withdrawn key are no longer accepted.
func (c *cache) put(r *ring, sum [sha256.Size]byte, verified claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ring != r {
		c.ring, c.verified = r, make(map[[sha256.Size]byte]claims)
	}
	if len(c.verified) >= maxCached {
		for other := range c.verified { // evicts a random entry; its token is only verified once more
			delete(c.verified, other)
			break
		}
	}
	c.verified[sum] = verified
}
