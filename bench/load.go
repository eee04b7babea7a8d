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

// booked is the outcome of a booking, or a search, that succeeded; refusals are told by their status and rule.
const booked = "200"

// Load is what a client saw.
type Load struct {
	Requests int64            `json:"requests"`
	Outcomes map[string]int64 `json:"outcomes"`
	Rate     float64          `json:"rate"` // answers a second, of whatever kind
	P50      float64          `json:"p50_ms"`
	P99      float64          `json:"p99_ms"`
	Broken   int64            `json:"broken,omitempty"` // requests without an answer

	Steps map[string]Latency `json:"steps,omitempty"` // of a day

	client   time.Duration // the client's own processor time
	standing int64         // the appointments that must be there afterwards
}

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

// caller writes requests as they go over the wire, each with a token of its own that nobody has seen before.
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
	return c.key.Sign(auth.Caller{Person: guid(kindPerson, b.Person), Client: guid(kindClient, clientNumber)}, issuer, audience, c.now, time.Hour)
}

func (c *caller) request(b Booking) ([]byte, error) {
	token, err := c.token(b)
	if err != nil {
		return nil, err
	}
	body := fmt.Sprintf(`{"DirectionGuid":"%s","DirectionType":"consult","LpuFromGuid":"%s","LpuToGuid":"%s","SlotId":%d,"VisitComment":"","IsCito":false}`,
		guid(kindReferral, b.Referral), guid(kindLpu, b.From), guid(kindLpu, b.To), b.SlotID())
	return fmt.Appendf(nil, "POST /appointments HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		c.host, token, len(body), body), nil
}

// search asks for the cells that the booking could be made in: the first page of 14 days of the referral's speciality in its target institution.
func (c *caller) search(b Booking) ([]byte, error) {
	token, err := c.token(b)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "GET /directions/%s/slots?lpuGuid=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		guid(kindReferral, b.Referral), guid(kindLpu, b.To), c.host, token), nil
}

// requests writes n bookings, each by its number.
func (c *caller) requests(n int64, booking func(int64) Booking) ([][]byte, error) {
	return writeAll(n, booking, c.request)
}

// searches writes n searches.
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

// runWrk sends the requests over so many connections, each as soon as the one before it is answered.
func runWrk(ctx context.Context, address string, connections int, requests [][]byte) (Load, error) {
	dir, err := os.MkdirTemp("", "talon-bench-")
	if err != nil {
		return Load{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	luaFile, requestsFile := filepath.Join(dir, "wrk.lua"), filepath.Join(dir, "requests")
	if err := os.WriteFile(luaFile, wrkScript, 0o600); err != nil {
		return Load{}, err
	}
	if err := os.WriteFile(requestsFile, bytes.Join(requests, []byte{30}), 0o600); err != nil { //nolint:gosec // the path is ours
		return Load{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "wrk", "--threads=1", "--connections="+strconv.Itoa(connections), "--timeout=60s", //nolint:gosec // ours
		fmt.Sprintf("--duration=%.0fs", loadTimeout.Seconds()), "--script="+luaFile, address, requestsFile)
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

// readWrk reads what the script prints; at the line «answered», wrk is told to end.
func readWrk(output io.Reader, end func()) (Load, error) {
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
			end()
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
		return load, fmt.Errorf("wrk: not all requests were answered; %d broke", load.Broken)
	}
	load.standing = load.Outcomes[booked]
	load.Rate = float64(load.Requests) / (time.Duration(elapsed) * time.Microsecond).Seconds()
	return load, nil
}
