package server

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/zstd"

	"talon.example/internal/booking"
)

// maxStreams is the maximum number of streams that an instance reads at once, and clientStreams
// that of one client application. clientStreams is larger than the number of unfinished imports
// that the contract allows, so that one import too many is rejected as such. maxStreamTime limits
// the time of each stream.
const (
	maxStreams    = 16
	clientStreams = 12
	maxStreamTime = time.Hour
)

// maxZstdWindow bounds the memory that a zstd stream can make the service use.
const maxZstdWindow = 8 << 20

// openStream makes the body of an operation, which may be compressed, readable by its handler.
// Reading fails with a *booking.Refusal if the client sends nothing for the seconds of the
// operation, or more bytes than its limit after decompression.
func openStream(c *gin.Context, route *route) error {
	accepted := slices.Sorted(maps.Keys(requestBody(route).Content))
	given := mediaType(c)
	if !slices.Contains(accepted, given) {
		return rejectStreamType(accepted)
	}
	client := &clientStream{
		body: c.Request.Body, control: http.NewResponseController(c.Writer), pause: route.timeout(),
		end: time.Now().Add(maxStreamTime),
	}
	var decoded io.Reader
	switch c.GetHeader("Content-Encoding") {
	case "", "identity":
		decoded = client
	case "gzip":
		decoded = &lazyReader{open: func() (io.Reader, error) { return gzip.NewReader(client) }}
	case "zstd":
		decoded = &lazyReader{open: func() (io.Reader, error) {
			return zstd.NewReader(client, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		}}
	default:
		return rejectStreamType(accepted)
	}
	setContext(c, mediaTypeKey, given)
	c.Request.Body = io.NopCloser(&boundedStream{decoded: decoded, limit: route.Body, left: route.Body})
	return nil
}

// rejectStreamType rejects a media type that is not accepted, or another compression.
func rejectStreamType(accepted []string) error {
	return Reject(MediaTypeUnsupported,
		"MediaType", strings.Join(accepted, " или ")+", без сжатия или со сжатием gzip или zstd")
}

// clientStream reads the body of a request, and moves the deadlines of its connection with each
// read, up to the end of the stream. Otherwise those of the server would end the upload.
type clientStream struct {
	body    io.Reader
	control *http.ResponseController
	pause   time.Duration
	end     time.Time
}

func (s *clientStream) Read(p []byte) (int, error) {
	deadline := time.Now().Add(s.pause)
	if deadline.After(s.end) {
		deadline = s.end
	}
	// A response is written soon after the last read.
	err := errors.Join(s.control.SetReadDeadline(deadline), s.control.SetWriteDeadline(deadline.Add(s.pause)))
	if err != nil {
		return 0, fmt.Errorf("set the deadlines of the stream: %w", err)
	}
	return s.body.Read(p)
}

// lazyReader opens a decoder with the first read, because opening already reads the body.
type lazyReader struct {
	open    func() (io.Reader, error)
	decoder io.Reader
}

func (r *lazyReader) Read(p []byte) (int, error) {
	if r.decoder == nil {
		decoder, err := r.open()
		if err != nil {
			return 0, err
		}
		r.decoder = decoder
	}
	return r.decoder.Read(p)
}

// boundedStream limits the size of a stream, and rejects one that ends early or is not of its
// encoding.
type boundedStream struct {
	decoded     io.Reader
	limit, left int64
}

func (s *boundedStream) Read(p []byte) (int, error) {
	if s.left == 0 {
		if n, _ := io.ReadFull(s.decoded, make([]byte, 1)); n > 0 {
			return 0, Reject(BodyTooLarge, "Limit", strconv.FormatInt(s.limit, 10))
		}
		return 0, io.EOF
	}
	n, err := s.decoded.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = Reject(BodyMalformed, "Format", streamFormat, "Problem", booking.ProblemBodyCutOff).Because(err)
	}
	return n, err
}

const streamFormat = "файлом заявленного формата"
