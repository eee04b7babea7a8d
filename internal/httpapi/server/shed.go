package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/booking"
	"talon.example/internal/telemetry"
)

// shedder rejects requests at the lowest cost while all places are taken. It is safe for concurrent
// use.
type shedder struct {
	log               *slog.Logger
	russian, english  preparedBody
	sinceLastLogEntry atomic.Int64
}

// preparedBody is the encoded error before and after the request id.
type preparedBody struct{ before, after []byte }

func newShedder(log *slog.Logger) (*shedder, error) {
	refusal := booking.Reject(booking.Overloaded)
	body := errorBody(refusal, uuid.Nil)
	russian, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the error of an overload: %w", err)
	}
	body.Title = &refusal.Title
	english, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the error of an overload: %w", err)
	}
	return &shedder{log: log, russian: prepare(russian), english: prepare(english)}, nil
}

func prepare(body []byte) preparedBody {
	before, after, _ := bytes.Cut(body, []byte(uuid.Nil.String()))
	return preparedBody{before, after}
}

// shed rejects a request if no place has become free within a random pause. It runs before
// everything else: nothing of the request but its header has been read, and its token has not been
// verified. Otherwise the rejections would take the processor from the requests that have a place.
// The pause is for clients that repeat a rejected request at once.
func (s *Server) shed(c *gin.Context) {
	route := s.contract.route(c)
	if route == nil || len(security(route)) == 0 || !s.isFull(route) {
		return
	}
	started := time.Now()
	retry := pause(c.Request.Context())
	if !s.isFull(route) {
		return
	}
	s.cors(c)
	if c.Request.ContentLength != 0 {
		c.Header("Connection", "close") // otherwise net/http would read the body
	}
	s.shedder.reject(c, retry)
	s.metrics.Count(&telemetry.Request{
		Operation: route.Operation.OperationID, Status: http.StatusServiceUnavailable, Rule: string(booking.Overloaded),
		Duration: time.Since(started),
	})
}

// isFull reports whether all places that requests of the operation can take are taken.
func (s *Server) isFull(route *route) bool {
	places := s.places(route)
	return len(places) == cap(places)
}

func (s *shedder) reject(c *gin.Context, retry time.Duration) {
	id := requestID(c.Request.Header).String()
	body := s.russian
	if prefersEnglish(c.GetHeader("Accept-Language")) {
		body = s.english
	}
	c.Header("X-Request-Id", id)
	c.Header("Content-Type", jsonType)
	c.Header("Cache-Control", noStore)
	c.Header("Retry-After", strconv.FormatFloat(math.Ceil(retry.Seconds()), 'f', 0, 64))
	c.Writer.Header().Add("Vary", "Accept-Language")
	c.Abort()
	c.Status(http.StatusServiceUnavailable)
	for _, part := range [][]byte{body.before, []byte(id), body.after} {
		if _, err := c.Writer.Write(part); err != nil {
			break // the client has disconnected
		}
	}
	s.count()
}

// shedLogInterval is the time between two lines of the log about rejected requests.
const shedLogInterval = time.Second

// count counts a rejected request for the next line of the log. A line for each would cost more
// than the request.
func (s *shedder) count() {
	if s.sinceLastLogEntry.Add(1) == 1 {
		time.AfterFunc(shedLogInterval, func() {
			s.log.Warn("overloaded: requests rejected", "count", s.sinceLastLogEntry.Swap(0))
		})
	}
}
