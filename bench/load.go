package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"talon.example/internal/auth"
)

// loadTimeout bounds one measurement.
const loadTimeout = 5 * time.Minute

// outcomeOK is the outcome of a successful request. The outcome of a refused one is its status and
// rule.
const outcomeOK = "200"

// Load is the result of a measurement as the client sees it.
type Load struct {
	Requests int64            `json:"requests"`
	Outcomes map[string]int64 `json:"outcomes"`
	Rate     float64          `json:"rate"` // responses per second, of all outcomes
	P50      float64          `json:"p50_ms"`
	P99      float64          `json:"p99_ms"`
	Broken   int64            `json:"broken,omitempty"` // requests without a response

	Steps map[string]Latency `json:"steps,omitempty"` // of a day

	client         time.Duration // CPU time of the client
	activeBookings int64         // active appointments that the database must have afterwards
}

// setPercentiles sets P50 and P99. It sorts the latencies.
func (l *Load) setPercentiles(latencies []time.Duration) {
	if len(latencies) == 0 {
		return
	}
	slices.Sort(latencies)
	at := func(part float64) float64 {
		return float64(latencies[int(part*float64(len(latencies)-1))].Microseconds()) / 1000
	}
	l.P50, l.P99 = at(0.50), at(0.99)
}

// caller creates raw HTTP requests. Each has a new token, so the service cannot have it in its
// cache.
type caller struct {
	key  *auth.SigningKey
	host string
	now  time.Time
}

// The issuer and audience of the tokens.
const (
	issuer   = "talon-bench"
	audience = "talon"
)

func (c *caller) token(b Booking) (string, error) {
	claims := auth.Caller{Person: guid(kindPerson, b.Person), Client: guid(kindClient, clientNumber)}
	return c.key.Sign(claims, issuer, audience, c.now, time.Hour)
}

// request returns the request that makes the booking.
func (c *caller) request(b Booking) ([]byte, error) {
	token, err := c.token(b)
	if err != nil {
		return nil, err
	}
	body := fmt.Sprintf(`{"DirectionGuid":"%s","DirectionType":"consult","LpuFromGuid":"%s","LpuToGuid":"%s",`+
		`"SlotId":%d,"VisitComment":"","IsCito":false}`,
		guid(kindReferral, b.Referral), guid(kindLpu, b.From), guid(kindLpu, b.To), b.SlotID())
	return fmt.Appendf(nil, "POST /appointments HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", c.host, token, len(body), body), nil
}

// search returns the request that searches for free cells for the booking: the first page of 14
// days of the referral's speciality in its target institution.
func (c *caller) search(b Booking) ([]byte, error) {
	token, err := c.token(b)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil,
		"GET /directions/%s/slots?lpuGuid=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		guid(kindReferral, b.Referral), guid(kindLpu, b.To), c.host, token), nil
}

// list returns the request for the referrals of the booking's patient.
func (c *caller) list(b Booking) ([]byte, error) {
	token, err := c.token(b)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "GET /directions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		c.host, token), nil
}

// requests returns n booking requests; booking returns the booking with a number from 0 to n-1.
func (c *caller) requests(n int64, booking func(int64) Booking) ([][]byte, error) {
	return writeAll(n, booking, c.request)
}

// searches returns n search requests.
func (c *caller) searches(n int64, booking func(int64) Booking) ([][]byte, error) {
	return writeAll(n, booking, c.search)
}

func writeAll(n int64, booking func(int64) Booking, write func(Booking) ([]byte, error)) ([][]byte, error) {
	all := make([][]byte, n)
	for i := range all {
		var err error
		if all[i], err = write(booking(int64(i))); err != nil {
			return nil, err
		}
	}
	return all, nil
}

//go:embed wrk.lua
var wrkScript []byte

// runWrk sends the requests over the given number of connections. Each connection sends its next
// request when it has received the response to the previous one.
func runWrk(ctx context.Context, address string, connections int, requests [][]byte) (Load, error) {
	return runWrkFor(ctx, address, connections, requests, 0)
}

// runWrkFor is runWrk, but sends the requests again and again for the given time. 0 means once.
func runWrkFor(
	ctx context.Context, address string, connections int, requests [][]byte, duration time.Duration,
) (Load, error) {
	dir, err := os.MkdirTemp("", "talon-bench-")
	if err != nil {
		return Load{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	luaFile, requestsFile := filepath.Join(dir, "wrk.lua"), filepath.Join(dir, "requests")
	if err := os.WriteFile(luaFile, wrkScript, 0o600); err != nil {
		return Load{}, err
	}
	err = os.WriteFile(requestsFile, bytes.Join(requests, []byte{30}), 0o600) //nolint:gosec // in a new directory
	if err != nil {
		return Load{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	args := []string{
		"--threads=1", "--connections=" + strconv.Itoa(connections), "--timeout=60s",
		fmt.Sprintf("--duration=%.0fs", loadTimeout.Seconds()), "--script=" + luaFile, address, requestsFile,
	}
	if duration > 0 {
		args = append(args, fmt.Sprintf("%.0f", duration.Seconds()))
	}
	command := exec.CommandContext(ctx, "wrk", args...) //nolint:gosec // arguments of this program
	output, err := command.StdoutPipe()
	if err != nil {
		return Load{}, err
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return Load{}, fmt.Errorf("wrk: %w (apt-get install wrk)", err)
	}
	load, readErr := readWrk(output, func() { _ = command.Process.Signal(os.Interrupt) })
	if err := command.Wait(); err != nil {
		return Load{}, fmt.Errorf("wrk: %w", err)
	}
	load.client = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return load, readErr
}

// readWrk parses the output of wrk.lua. At the line «answered» it calls stop, which makes wrk end.
func readWrk(output io.Reader, stop func()) (Load, error) {
	load := Load{Outcomes: map[string]int64{}}
	var elapsed int64
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		number, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
		switch fields[0] {
		case "elapsed":
			elapsed = int64(number)
		case "outcome":
			load.Outcomes[fields[1]] = int64(number)
			load.Requests += int64(number)
		case "answered":
			stop()
		case "p50":
			load.P50 = number / 1000
		case "p99":
			load.P99 = number / 1000
		case "broken":
			load.Broken = int64(number)
		}
	}
	if err := lines.Err(); err != nil {
		return load, fmt.Errorf("read from wrk: %w", err)
	}
	if elapsed == 0 {
		return load, fmt.Errorf("wrk: some requests have no response; %d broke", load.Broken)
	}
	load.activeBookings = load.Outcomes[outcomeOK]
	load.Rate = float64(load.Requests) / (time.Duration(elapsed) * time.Microsecond).Seconds()
	return load, nil
}
