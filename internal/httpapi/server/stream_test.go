package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// deadlines records the deadlines that are set for a connection.
type deadlines struct {
	http.ResponseWriter

	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = append(d.read, at)
	return nil
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.write = append(d.write, at)
	return nil
}

// Promise: a client may send a stream until its end, if it does not pause for longer than the
// seconds of the operation. A client that sends a byte now and then does not keep its place longer.
func TestStreamMovesDeadlines(t *testing.T) {
	t.Parallel()
	connection := &deadlines{ResponseWriter: httptest.NewRecorder()}
	stream := &clientStream{
		body: strings.NewReader("two"), control: http.NewResponseController(connection), pause: time.Minute,
		end: time.Now().Add(time.Hour),
	}
	for n := range 2 {
		_, err := stream.Read(make([]byte, 1))
		require.NoError(t, err)
		require.Len(t, connection.read, n+1)
		require.WithinDuration(t, time.Now().Add(time.Minute), connection.read[n], time.Second)
		require.WithinDuration(t, time.Now().Add(2*time.Minute), connection.write[n], time.Second)
	}
	stream.end = time.Now()
	_, err := stream.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Equal(t, stream.end, connection.read[2])
}

// Promise: a stream has at most its limit of bytes, also after decompression.
func TestStreamIsBounded(t *testing.T) {
	t.Parallel()
	read := func(text string) (string, error) {
		stream := &boundedStream{decoded: strings.NewReader(text), limit: 4, left: 4}
		var got strings.Builder
		buffer := make([]byte, 3)
		for {
			n, err := stream.Read(buffer)
			got.Write(buffer[:n])
			if err != nil {
				return got.String(), err
			}
		}
	}
	got, err := read("four")
	require.EqualError(t, err, "EOF")
	require.Equal(t, "four", got)

	_, err = read("fives")
	refusal := new(booking.Refusal)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, BodyTooLarge, refusal.Rule)
}
