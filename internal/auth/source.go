package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	fetchTimeout = 5 * time.Second
	fetchEvery   = time.Hour
	maxDocument  = 1 << 20 // bytes, of a JWK set or a PEM file
)

// source is one place that keys are read from, again and again. It belongs to one goroutine at a time.
type source struct {
	name   string // for the log
	remote bool   // in other hands: we start without it if need be, and read it no more often than it is due
	read   func(context.Context) ([]byte, error)
	parse  func([]byte) ([]key, error)

	due      time.Time // for the next reading
	document []byte    // which gave the keys; nil: none has so far
	keys     []key
	absent   error // why none has so far
}

// load reads the source; changed says whether it gave other keys than before. After an error the old keys stay, and the
// source is due at once.
func (s *source) load(ctx context.Context, now time.Time) (changed bool, err error) {
	s.due = now
	document, err := s.read(ctx)
	if err == nil && (s.document == nil || !bytes.Equal(document, s.document)) {
		var keys []key
		if keys, err = s.parse(document); err == nil {
			s.document, s.keys, s.absent, changed = document, keys, nil, true
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", s.name, err)
		if s.document == nil {
			s.absent = err
		}
		return false, err
	}
	if s.remote {
		s.due = now.Add(fetchEvery)
	}
	return changed, nil
}

// fileSource reads a local file. Comparing its content, small as it is, sees every change; its date would not.
func fileSource(name, path string, parse func([]byte) ([]key, error)) *source {
	return &source{
		name: fmt.Sprintf("%s %s", name, path),
		read: func(context.Context) ([]byte, error) {
			file, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			return readBounded(file)
		},
		parse: parse,
	}
}

// jwksFile is a local JWK set. Whoever wrote the file can mend it, so one refused key is an error, and so is a set without
// any key for us.
func jwksFile(path string) *source {
	return fileSource("JWKS file", path, func(document []byte) ([]key, error) {
		keys, refused, err := parseJWKS(document)
		if err := errors.Join(append(refused, err)...); err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			return nil, errors.New("no key in it that we can use")
		}
		return keys, nil
	})
}

// pemFile is a local file of public keys.
func pemFile(path string) *source {
	return fileSource("PEM file", path, parsePEM)
}

// jwksURL is a JWK set that somebody else publishes: we take the keys that are good and log the others. The error says what
// is wrong with the address; whether it can be reached is seen by load.
func jwksURL(address string, log *slog.Logger) (*source, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("JWKS URL: malformed") // err quotes the address, and that may hold a password
	}
	name := "JWKS URL " + target.Redacted()
	if target.Host == "" || (target.Scheme != "https" && (target.Scheme != "http" || !isLoopback(target.Hostname()))) {
		return nil, fmt.Errorf("%s: neither https nor a loopback host", name)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library says so
	transport.DisableKeepAlives = true                           // once an hour: an idle connection would only be one more thing to close
	client := &http.Client{
		Transport: transport,
		Timeout:   fetchTimeout,
		// A redirect could lead from https to anywhere. It fails as an unexpected status.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &source{
		name:   name,
		remote: true,
		read: func(ctx context.Context) ([]byte, error) {
			return fetch(ctx, client, address)
		},
		parse: func(document []byte) ([]key, error) {
			keys, refused, err := parseJWKS(document)
			if err != nil {
				return nil, err
			}
			for _, reason := range refused {
				log.Warn("key refused", "source", name, "error", reason)
			}
			return keys, nil
		},
	}, nil
}

// isLoopback tells whether a host name means this machine.
func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// fetch gets a document by HTTP.
func fetch(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("unexpected status %s", response.Status)
	}
	return readBounded(response.Body)
}

// readBounded reads all of a document, or fails where it has more than maxDocument bytes.
func readBounded(from io.Reader) ([]byte, error) {
	document, err := io.ReadAll(io.LimitReader(from, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(document) > maxDocument {
		return nil, fmt.Errorf("longer than %d bytes", maxDocument)
	}
	return document, nil
}
