// Package webhook sends events to the addresses of webhooks, as Standard Webhooks 1.0 says.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"code.dny.dev/ssrf"

	"talon.example/internal/events"
)

// Limits of an attempt.
const (
	connectTimeout = 5 * time.Second
	maxHeaderBytes = 64 << 10
	maxBodyBytes   = 64 << 10 // that are read so that the connection can be used again
	maxIdle        = 8        // connections to one receiver
	idleTimeout    = 90 * time.Second
)

// Addresses says to which addresses events are sent.
type Addresses string

// The kinds of addresses.
const (
	Public   Addresses = "public"   // public ones, by https only
	Any      Addresses = "any"      // also those of the installation's own network, and by http
	Loopback Addresses = "loopback" // only this machine, also by http; other names are not even looked up
)

// Config is how events are sent.
type Config struct {
	Addresses Addresses
	// Encode returns an event as CloudEvents JSON.
	Encode func(*events.Event) ([]byte, error)
}

// Sender sends events. It is safe for concurrent use.
type Sender struct {
	config Config
	guard  *ssrf.Guardian // nil unless only public addresses are allowed
	http   *http.Client
}

// NewSender returns a sender. The caller must call Close.
func NewSender(config Config) *Sender {
	s := &Sender{config: config}
	dialer := &net.Dialer{Timeout: connectTimeout}
	dial := dialer.DialContext
	switch config.Addresses {
	case Public:
		// It judges the address after its name was resolved, so that a name cannot hide it.
		s.guard = ssrf.New(ssrf.WithAnyPort())
		dialer.Control = s.guard.Safe
	case Loopback:
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if !isLoopback(address) {
				return nil, errNotLoopback
			}
			return dialer.DialContext(ctx, network, address)
		}
	case Any:
	}
	s.http = &http.Client{
		Transport: &http.Transport{
			DialContext:            dial,
			TLSHandshakeTimeout:    connectTimeout,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

var errNotLoopback = errors.New("not an address of this machine")

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Close closes idle connections.
func (s *Sender) Close() { s.http.CloseIdleConnections() }

// Acceptable reports whether events may be sent to an address, as far as can be told without
// resolving its name.
func (s *Sender) Acceptable(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil || strings.ContainsFunc(address, unicode.IsSpace) || parsed.Hostname() == "" ||
		parsed.User != nil || parsed.Fragment != "" || parsed.Opaque != "" {
		return false
	}
	if parsed.Scheme != "https" && (parsed.Scheme != "http" || s.config.Addresses == Public) {
		return false
	}
	port := uint64(0)
	if text := parsed.Port(); text != "" {
		if port, err = strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
			return false
		}
	}
	ip, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return true // a name
	}
	if s.guard == nil {
		return s.config.Addresses == Any || ip.Unmap().IsLoopback()
	}
	network := "tcp4"
	if ip.Unmap().Is6() {
		network = "tcp6"
	}
	return s.guard.Safe(network, netip.AddrPortFrom(ip.Unmap(), uint16(port)).String(), nil) == nil
}

// Send implements events.Sender.
func (s *Sender) Send(
	ctx context.Context, address string, event *events.Event, keys []events.SigningKey,
) (events.Outcome, int, error) {
	body, err := s.config.Encode(event)
	if err != nil {
		return "", 0, fmt.Errorf("encode an event: %w", err)
	}
	request, err := NewRequest(ctx, address, strconv.FormatInt(event.Position, 10), body, keys...)
	if err != nil {
		return "", 0, fmt.Errorf("send an event: %w", err)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return outcome(err), 0, nil
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxBodyBytes)) // the status says it all
	if response.StatusCode/100 == 2 {
		return events.Delivered, response.StatusCode, nil
	}
	return events.Rejected, response.StatusCode, nil
}

// NewRequest returns the request that sends an event with the id, as CloudEvents JSON, to an
// address. The keys sign it now.
func NewRequest(
	ctx context.Context, address, id string, body []byte, keys ...events.SigningKey,
) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	request.Header.Set("User-Agent", "Talon")
	request.Header.Set("Content-Type", "application/cloudevents+json")
	request.Header.Set(events.WebhookID, id)
	request.Header.Set(events.WebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(events.WebhookSignature, events.Sign(id, now, body, keys...))
	return request, nil
}

// outcome returns what an error of a request means.
func outcome(err error) events.Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork),
		errors.Is(err, errNotLoopback):
		return events.Forbidden
	case errors.As(err, &timeout) && timeout.Timeout():
		return events.TimedOut
	default:
		return events.Unreachable
	}
}
