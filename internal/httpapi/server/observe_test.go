package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/telemetry"
)

// slowReader takes ten seconds for each read.
type slowReader struct{ io.Reader }

func (r slowReader) Read(to []byte) (int, error) {
	time.Sleep(10 * time.Second)
	return r.Reader.Read(to)
}

// Promise: a client that sends its body slowly does not make the service look slow, whether the
// request succeeds or is rejected. The log has the whole time.
func TestSlowBodyIsNotCounted(t *testing.T) {
	t.Parallel()
	metrics := telemetry.NewMetrics("", "")
	var lines strings.Builder
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Log: slog.New(slog.NewTextHandler(&lines, nil)), Metrics: metrics})
		require.NoError(t, err)
		engine := newEngine(s.observe)
		engine.POST("/appointments", s.readBody, func(*gin.Context) { time.Sleep(2 * time.Second) })
		for body, status := range map[string]int{"{}": http.StatusOK, "{": http.StatusBadRequest} {
			request := httptest.NewRequest(http.MethodPost, "/appointments", slowReader{strings.NewReader(body)})
			request.Header.Set("Content-Type", "application/json")
			response := httptest.NewRecorder()
			engine.ServeHTTP(response, request)
			require.Equal(t, status, response.Code)
		}
	})
	require.Contains(t, lines.String(), "duration_ms=22000")
	scraped := httptest.NewRecorder()
	metrics.Admin().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := scraped.Body.String()
	require.Contains(t, text, `talon_request_duration_seconds_sum{operation="createAppointment"} 2`+"\n")
	require.Contains(t, text, `talon_request_duration_seconds_count{operation="createAppointment"} 2`)
}

// Promise: a client that resets its connection in the middle of a response, or does not read it
// until the connection's deadline, is no fault of the service: its line is INFO and has
// client_gone, it is counted with the status 499, and no rule is. A panic in the middle of a
// response is the service's fault.
func TestClientGoneDuringResponse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		writeTimeout time.Duration
		leave        func(*net.TCPConn) error
		then         func(*gin.Context) error // on the server, after the first byte
		line         string
		counted      string
	}{
		"resets": {
			time.Minute, func(client *net.TCPConn) error {
				return errors.Join(client.SetLinger(0), client.Close())
			}, writeMuch,
			`"level":"INFO".*(connection reset by peer|broken pipe)","client_gone":true`, `status="499"} 1`,
		},
		"does not read": {
			100 * time.Millisecond, func(*net.TCPConn) error { return nil },
			writeMuch, `"level":"INFO".*i/o timeout","client_gone":true`, `status="499"} 1`,
		},
		"is there": {
			time.Minute, func(*net.TCPConn) error { return nil }, func(*gin.Context) error { panic("a bug") },
			`"level":"ERROR".*"rule":"internal_error","cause":"panic: a bug`,
			`talon_refusals_total{rule="internal_error"} 1`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metrics := telemetry.NewMetrics("", "")
			var lines strings.Builder
			s, err := New(Config{Log: slog.New(slog.NewJSONHandler(&lines, nil)), Metrics: metrics})
			require.NoError(t, err)
			engine := newEngine(s.observe, s.recover)
			engine.GET("/events", func(c *gin.Context) {
				_, err := c.Writer.Write(make([]byte, 1))
				if err == nil {
					c.Writer.Flush()
					err = test.then(c)
				}
				s.RenderError(c, err)
			})
			web := httptest.NewUnstartedServer(engine)
			web.Config.WriteTimeout = test.writeTimeout
			web.Start()
			client, err := net.Dial("tcp", web.Listener.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			_, err = client.Write([]byte("GET /events HTTP/1.1\r\nHost: talon\r\nConnection: close\r\n\r\n"))
			require.NoError(t, err)
			_, err = client.Read(make([]byte, 1))
			require.NoError(t, err)
			require.NoError(t, test.leave(client.(*net.TCPConn)))
			web.Close() // waits for the request

			require.Regexp(t, test.line, lines.String())
			scraped := httptest.NewRecorder()
			metrics.Admin().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			require.Contains(t, scraped.Body.String(), test.counted)
			if strings.Contains(test.line, "client_gone") {
				require.NotContains(t, scraped.Body.String(), "talon_refusals_total{")
			}
		})
	}
}

// Promise: a client that resets or closes its connection in the middle of a body is no fault of the
// service and has sent nothing wrong: its line has client_gone, it is counted with the status 499,
// and no rule is. A body that is malformed, or sent too slowly, is rejected as such.
func TestClientGoneDuringBody(t *testing.T) {
	t.Parallel()
	reset := func(client *net.TCPConn) error { return errors.Join(client.SetLinger(0), client.Close()) }
	closeBody := (*net.TCPConn).CloseWrite
	stay := func(*net.TCPConn) error { return nil }
	const (
		bookings, upload = "/appointments", "/registry/imports"
		jsonBody         = "Content-Type: application/json\r\n"
		gzipBody         = "Content-Type: text/csv\r\nContent-Encoding: gzip\r\n"
		chunked          = "Transfer-Encoding: chunked\r\n"
		cut              = "Content-Length: 100\r\n\r\n"
		gzipHeader       = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
	)
	for name, test := range map[string]struct {
		path, request string
		leave         func(*net.TCPConn) error
		gone          bool
	}{
		"resets":                   {bookings, jsonBody + cut + "{", reset, true},
		"closes":                   {bookings, jsonBody + cut + "{", closeBody, true},
		"closes a chunked body":    {bookings, jsonBody + chunked + "\r\n9\r\n{", closeBody, true},
		"resets an upload":         {upload, "Content-Type: text/csv\r\n" + cut + "a", reset, true},
		"closes a gzip upload":     {upload, gzipBody + cut + gzipHeader, closeBody, true},
		"malformed chunk":          {bookings, jsonBody + chunked + "\r\nx\r\n", stay, false},
		"malformed JSON":           {bookings, jsonBody + "Content-Length: 1\r\n\r\n{", stay, false},
		"malformed gzip":           {upload, gzipBody + "Content-Length: 9\r\n\r\nsurname;x", stay, false},
		"cut gzip in a whole body": {upload, gzipBody + "Content-Length: 10\r\n\r\n" + gzipHeader, stay, false},
		"sends nothing more":       {bookings, jsonBody + cut + "{", stay, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metrics := telemetry.NewMetrics("", "")
			var lines strings.Builder
			s, err := New(Config{Log: slog.New(slog.NewJSONHandler(&lines, nil)), Metrics: metrics})
			require.NoError(t, err)
			begun, ended := make(chan struct{}), make(chan struct{})
			engine := newEngine(func(c *gin.Context) {
				close(begun)
				c.Next()
				close(ended)
			}, s.observe, s.recover)
			engine.POST(test.path, s.readBody, func(c *gin.Context) {
				if _, err := io.ReadAll(c.Request.Body); err != nil {
					s.RenderError(c, err)
				}
			})
			web := httptest.NewUnstartedServer(engine)
			if test.path == bookings && !test.gone {
				web.Config.ReadHeaderTimeout, web.Config.ReadTimeout = time.Minute, 100*time.Millisecond
			}
			web.Start()
			defer web.Close()
			client, err := net.Dial("tcp", web.Listener.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			_, err = client.Write([]byte("POST " + test.path + " HTTP/1.1\r\nHost: talon\r\nConnection: close\r\n" +
				test.request))
			require.NoError(t, err)
			<-begun
			require.NoError(t, test.leave(client.(*net.TCPConn)))
			<-ended

			scraped := httptest.NewRecorder()
			metrics.Admin().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			require.Contains(t, lines.String(), `"rule":"body_malformed"`)
			require.Equal(t, test.gone, strings.Contains(lines.String(), `"client_gone":true`), lines.String())
			require.Equal(t, test.gone, strings.Contains(scraped.Body.String(), `status="499"} 1`))
			require.Equal(t, !test.gone,
				strings.Contains(scraped.Body.String(), `talon_refusals_total{rule="body_malformed"} 1`))
		})
	}
}

// writeMuch writes more than the buffers of a connection hold.
func writeMuch(c *gin.Context) error {
	_, err := c.Writer.Write(make([]byte, 64<<20))
	return err
}

// Promise: the level of a log line follows from the rule, not from its status. Of the rules with
// the status 500 only those are ERROR that must not happen. What an operator has to look after is
// WARN, and what others can mend is INFO.
func TestLevelByRule(t *testing.T) {
	t.Parallel()
	byLevel := map[slog.Level][]booking.Name{}
	for _, rule := range Catalogue {
		level := levelOf(rule.Reject())
		byLevel[level] = append(byLevel[level], rule.Name)
		require.Equal(t, slog.LevelInfo, levelOf(rule.Reject().Because(context.Canceled)), "the client is gone")
	}
	require.Equal(t, []booking.Name{
		booking.AppointmentNotCreated, booking.AppointmentNotFound, booking.AppointmentNotLinked, InternalError,
	}, byLevel[slog.LevelError])
	require.Equal(t, []booking.Name{
		booking.MipAuthURLEmpty, booking.MipAuthURLUnreachable, booking.MkabLpuNotFound, booking.MkabPolicyLinkFailed,
		booking.DatabaseUnavailable, booking.MipUnavailable, KeysUnavailable, booking.Overloaded, NotReady,
	}, byLevel[slog.LevelWarn])
	for _, ordinary := range []booking.Name{
		booking.ComplexSlotFailed, booking.MipPersonNotFound, booking.MkabSexEmpty, booking.SlotTaken, TokenExpired,
	} {
		require.Contains(t, byLevel[slog.LevelInfo], ordinary)
	}
}
