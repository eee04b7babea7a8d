package server

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
)

// CallerLimits bound what one caller can take of the service. Zero is no limit.
type CallerLimits struct {
	PersonRate     int // requests a second of one patient, on average over rateWindow
	PersonInFlight int // requests of one patient at once; more wait for up to maxPause
	ClientRate     int // requests a second of one client application, on average over rateWindow
}

const (
	// rateWindow is the time over which rates are averaged: a caller that has been quiet for so
	// long can send the requests of the whole window at once.
	rateWindow = 5 * time.Second
	// maxShares is the largest number of callers whose use is remembered, the most recent ones. One
	// that was forgotten starts afresh. A share takes about 400 bytes.
	maxShares = 32_768
)

// shares holds the shares of the callers. It is safe for concurrent use.
type shares struct {
	limits CallerLimits
	recent *lru.Cache[shareKey, *share]
}

// share is what one caller can use of the service.
type share struct {
	name   string              // of its policy in the headers; empty if it has no rate
	rate   *rate.Limiter       // nil if it has none
	places *semaphore.Weighted // for requests that run; nil if it has no limit of its own
}

// shareKey is a caller and what it has a share of.
type shareKey struct {
	caller uuid.UUID
	of     shareOf
}

type shareOf int

const (
	ofPerson  shareOf = iota // the requests of a patient
	ofClient                 // the requests of a client application
	ofStreams                // its streams at once
	ofWaiting                // its requests at once that wait
)

func newShares(limits CallerLimits) (*shares, error) {
	recent, err := lru.New[shareKey, *share](maxShares)
	if err != nil {
		return nil, fmt.Errorf("create the shares of callers: %w", err)
	}
	return &shares{limits: limits, recent: recent}, nil
}

// of returns a caller's share. places is the number of requests that it can have at once, and
// perSecond the number that it can send; zero is no limit.
func (s *shares) of(key shareKey, name string, perSecond, places int) *share {
	if known, ok := s.recent.Get(key); ok {
		return known
	}
	added := new(share)
	if perSecond > 0 {
		added.name = name
		added.rate = rate.NewLimiter(rate.Limit(perSecond), perSecond*int(rateWindow/time.Second))
	}
	if places > 0 {
		added.places = semaphore.NewWeighted(int64(places))
	}
	if known, ok, _ := s.recent.PeekOrAdd(key, added); ok {
		return known
	}
	return added
}

// person returns the share of a patient.
func (s *shares) person(person uuid.UUID) *share {
	return s.of(shareKey{person, ofPerson}, "person", s.limits.PersonRate, s.limits.PersonInFlight)
}

// client returns the share of a client application in the places of an operation. Others always
// find some: it is half of the places, or clientStreams.
func (s *shares) client(client uuid.UUID, route *route, places int) *share {
	half := max(1, places/2)
	switch {
	case route.Stream:
		return s.of(shareKey{client, ofStreams}, "", 0, clientStreams)
	case route.Wait:
		return s.of(shareKey{client, ofWaiting}, "", 0, half)
	default:
		return s.of(shareKey{client, ofClient}, "client", s.limits.ClientRate, half)
	}
}

// callerShares returns the shares that a request uses: of its client application, and before it, of
// its patient if it has one. Requests without a token share the places of one client application,
// so that strangers with wrong secrets leave the others to those who have a token.
func (s *Server) callerShares(caller auth.Caller, route *route) []*share {
	client := s.shares.client(caller.Client, route, cap(s.places(route)))
	if caller.IsSystem() { // or has no token
		return []*share{client}
	}
	return []*share{s.shares.person(caller.Person), client}
}

// callerRates returns the shares whose rate a request uses. An operation with places of its own has
// no rate of its own: its rejections leave records of the audit like those of others.
func (s *Server) callerRates(caller auth.Caller) []*share { return s.callerShares(caller, new(route)) }

// throttle rejects a request whose patient or client application sends too many, before the body is
// read. A rejected caller waits, because most repeat the request as soon as they have the response.
func (s *Server) throttle(c *gin.Context) {
	caller, route := Caller(c), s.contract.route(c)
	if caller.Client == uuid.Nil {
		return
	}
	cost := 1
	if route.Explain > 0 && c.Query("explain") == "true" {
		cost = route.Explain
	}
	used, now := s.callerRates(caller), s.now()
	var exhausted *share
	for _, share := range used {
		if share.rate != nil && !share.rate.AllowN(now, share.affordable(cost)) {
			exhausted = share
			break
		}
	}
	writeRates(c, used, now)
	if exhausted != nil {
		refusal := booking.Reject(booking.TooManyRequests)
		refusal.RetryAfter = exhausted.wait(exhausted.affordable(cost), now) + pause(c)
		s.RenderError(c, refusal)
	}
}

// affordable returns what a request of a cost counts as: at most what the share can ever have.
// Otherwise a low rate would reject each explain=true forever.
func (s *share) affordable(cost int) int { return min(cost, s.rate.Burst()) }

// wait returns the time until the share has the requests that cost counts as.
func (s *share) wait(cost int, now time.Time) time.Duration {
	missing := max(0, float64(cost)-s.rate.TokensAt(now))
	return time.Duration(missing / float64(s.rate.Limit()) * float64(time.Second))
}

// writeRates writes the headers RateLimit-Policy and RateLimit.
func writeRates(c *gin.Context, used []*share, now time.Time) {
	var policies, left []string
	for _, share := range used {
		if share.rate == nil {
			continue
		}
		tokens, burst := max(0, share.rate.TokensAt(now)), float64(share.rate.Burst())
		full := math.Ceil((burst - tokens) / float64(share.rate.Limit()))
		policies = append(policies, fmt.Sprintf("%q;q=%.0f;w=%.0f", share.name, burst, rateWindow.Seconds()))
		left = append(left, fmt.Sprintf("%q;r=%.0f;t=%.0f", share.name, math.Floor(tokens), full))
	}
	if policies != nil {
		c.Header("RateLimit-Policy", strings.Join(policies, ", "))
		c.Header("RateLimit", strings.Join(left, ", "))
	}
}

// takePlaces takes a place of the patient and one of the client application. If one has none left,
// it waits for up to maxPause, as a browser that sends some requests at once should not be
// rejected. It returns a function that gives the places back, or a refusal.
func (s *Server) takePlaces(ctx context.Context, caller auth.Caller, route *route) (leave func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, randomPause())
	defer cancel()
	var taken []*semaphore.Weighted
	leave = func() {
		for _, places := range taken {
			places.Release(1)
		}
	}
	for _, share := range s.callerShares(caller, route) {
		if share.places == nil {
			continue
		}
		if err := share.places.Acquire(waiting, 1); err != nil {
			leave()
			if ctx.Err() != nil {
				return nil, booking.Reject(booking.Overloaded).Because(ctx.Err()) // the client has disconnected
			}
			rule := booking.TooManyRequests
			if caller.Client == uuid.Nil {
				rule = booking.Overloaded // the others are not the caller's
			}
			refusal := booking.Reject(rule)
			refusal.RetryAfter = randomPause()
			return nil, refusal
		}
		taken = append(taken, share.places)
	}
	return leave, nil
}

// maxPause is the longest time that a request waits before it is rejected because of the number of
// requests.
const maxPause = time.Second

// randomPause returns a random time of between half of maxPause and maxPause.
func randomPause() time.Duration {
	return maxPause/2 + rand.N(maxPause/2) //nolint:gosec // only spreads the requests
}

// pause waits for a random time, or until the client disconnects. It bounds how often a client can
// repeat a rejected request, and so what rejecting costs. It returns a random time that spreads the
// next tries.
func pause(ctx context.Context) time.Duration {
	timer := time.NewTimer(randomPause())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return randomPause()
}
