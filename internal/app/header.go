package app

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// What the headers of requests may have while they arrive. net/http limits their bytes, but keeps
// up to forty bytes in memory for one of a header of many short lines, and a long line twice while
// it grows.
const (
	maxHeaderLines = 100
	// Each connection has freeHeaderBytes. What is longer shares sharedHeaderBytes with all others.
	freeHeaderBytes   = 4 << 10
	sharedHeaderBytes = 4 << 20
)

// Errors of a header. net/http writes them into a response 400.
var (
	errHeaderLines = errors.New("the header has too many lines")
	errHeaderShare = errors.New("there are too many long headers at once")
)

// headerLimiter is a listener whose connections limit the headers that they read.
type headerLimiter struct {
	net.Listener

	shared atomic.Int64 // bytes of headers beyond freeHeaderBytes
}

// Accept implements net.Listener.
func (l *headerLimiter) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // the server looks at it
	}
	return &headerConn{Conn: conn, shared: &l.shared}, nil
}

// headerConn counts the header of the current request, up to its empty line.
type headerConn struct {
	net.Conn

	shared *atomic.Int64

	mu    sync.Mutex
	ended bool  // the header has been read, and bytes are not counted
	size  int64 // of the header so far
	lines int
	line  int   // length of the last line so far
	taken int64 // of shared
}

// begin begins the header of the next request.
func (c *headerConn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.size, c.lines, c.line = false, 0, 0, 0
}

// Read implements net.Conn. It fails when a header exceeds its limits.
func (c *headerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if limit := c.count(p[:n]); limit != nil {
		return 0, limit
	}
	return n, err //nolint:wrapcheck // the server looks at it
}

// Close implements net.Conn.
func (c *headerConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	return c.Conn.Close() //nolint:wrapcheck // the server looks at it
}

func (c *headerConn) count(read []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i < len(read) && !c.ended; i++ {
		c.size++
		switch read[i] {
		case '\n':
			if c.line == 0 && c.lines > 0 {
				c.end()
				return nil
			}
			if c.lines, c.line = c.lines+1, 0; c.lines > maxHeaderLines {
				return errHeaderLines
			}
		case '\r':
		default:
			c.line++
		}
	}
	if c.ended {
		return nil
	}
	if more := c.size - freeHeaderBytes - c.taken; more > 0 {
		c.taken += more
		if c.shared.Add(more) > sharedHeaderBytes {
			return errHeaderShare
		}
	}
	return nil
}

// end gives back what the header has taken.
func (c *headerConn) end() {
	c.ended = true
	c.shared.Add(-c.taken)
	c.taken = 0
}
