package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// steadyConnections is the maximum number of concurrent requests at a steady rate.
const steadyConnections = 64

// runSteady sends the requests at a steady rate, in requests per second, independently of earlier
// responses. A latency begins when the request is due, so it includes the wait for a free
// connection.
func runSteady(ctx context.Context, host string, rate float64, requests [][]byte) (Load, error) {
	var (
		mu         sync.Mutex
		load       = Load{Outcomes: map[string]int64{}, Requests: int64(len(requests))}
		latencies  = make([]time.Duration, 0, len(requests))
		start      = time.Now()
		usedBefore = ownTime()
	)
	work := func(ctx context.Context, next <-chan int, due func(int) time.Time) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		reader := bufio.NewReader(conn)
		for i := range next {
			outcome, err := exchange(conn, reader, requests[i])
			if err != nil {
				return err
			}
			latency := time.Since(due(i))
			mu.Lock()
			load.Outcomes[outcome]++
			latencies = append(latencies, latency)
			mu.Unlock()
		}
		return nil
	}
	if err := runAtRate(ctx, len(requests), rate, work); err != nil {
		return Load{}, fmt.Errorf("send at a steady rate: %w", err)
	}
	load.Rate = float64(len(requests)) / time.Since(start).Seconds()
	load.client = ownTime() - usedBefore
	load.activeBookings = load.Outcomes[outcomeOK]
	load.setPercentiles(latencies)
	return load, nil
}

// runAtRate sends the numbers from 0 to n-1 to steadyConnections workers at a rate per second, each
// when it is due or as soon as a worker is free. It returns when all workers have returned.
func runAtRate(
	ctx context.Context, n int, rate float64,
	work func(ctx context.Context, next <-chan int, due func(int) time.Time) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	next := make(chan int)
	start := time.Now()
	due := func(i int) time.Time { return start.Add(time.Duration(float64(i) / rate * float64(time.Second))) }
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(next)
		for i := range n {
			time.Sleep(time.Until(due(i)))
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range steadyConnections {
		group.Go(func() error { return work(ctx, next, due) })
	}
	return group.Wait()
}

// ownTime returns the CPU time of this process so far.
func ownTime() time.Duration {
	used, _ := process(os.Getpid()).usage()
	return used.own
}

var rulePattern = regexp.MustCompile(`"rule":"([^"]*)"`)

// exchange sends a request, reads the response and returns its outcome.
func exchange(conn net.Conn, reader *bufio.Reader, request []byte) (outcome string, err error) {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	return outcomeOf(response.StatusCode, body), nil
}

// outcomeOf returns the outcome of a response: its status, and for a refusal also the rule.
func outcomeOf(status int, body []byte) string {
	outcome := strconv.Itoa(status)
	if status == http.StatusOK {
		return outcome
	}
	rule := rulePattern.FindSubmatch(body)
	if rule == nil {
		return outcome + " without a rule"
	}
	return outcome + " " + string(rule[1])
}
