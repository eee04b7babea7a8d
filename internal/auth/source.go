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
	"sync/atomic"
	"time"
)

const (
	fetchTimeout = 5 * time.Second
	fetchEvery   = time.Hour
	maxDocument  = 1 << 20 // bytes, of a JWK set or a PEM file
)

// source is a file or a URL that keys are read from repeatedly. It is not safe for concurrent
// use, apart from readAt.
type source struct {
	name   string // for the log
	remote bool   // the JWKS URL: it may fail at the start, and is read only when it is due
	read   func(context.Context) ([]byte, error)
	parse  func([]byte) ([]key, error)

	readAt   atomic.Pointer[time.Time] // the last successful read; nil: none
	due      time.Time                 // of the next read
	document []byte                    // the keys were parsed from it; nil if no document has been parsed yet
	keys     []key
	loadErr  error // of the last read
}

// load reads the source and reports whether its keys changed. After an error the source keeps its
// old keys and is due at once.
func (s *source) load(ctx context.Context, now time.Time) (changed bool, err error) {
	s.due = now
	document, err := s.read(ctx)
	if err == nil && (s.document == nil || !bytes.Equal(document, s.document)) {
		var keys []key
		if keys, err = s.parse(document); err == nil {
			s.document, s.keys, changed = document, keys, true
		}
	}
	if err != nil {
		s.loadErr = fmt.Errorf("%s: %w", s.name, err)
		return false, s.loadErr
	}
	s.loadErr = nil
	s.readAt.Store(&now)
	if s.remote {
		s.due = now.Add(fetchEvery)
	}
	return changed, nil
}

// fileSource returns a source that reads a local file. Changes are detected by the content, because
// a file can change without a new modification time.
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

// jwksFile returns a source that reads a local JWK set. Its parse returns an error for one rejected
// key and for a set without a usable key, because the operator can correct the file.
func jwksFile(path string) *source {
	return fileSource("JWKS file", path, func(document []byte) ([]key, error) {
		keys, rejected, err := parseJWKS(document)
		if err := errors.Join(append(rejected, err)...); err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			return nil, errors.New("the JWK set has no usable key")
		}
		return keys, nil
	})
}

// pemFile returns a source that reads a local file of public keys and certificates.
func pemFile(path string) *source {
	return fileSource("PEM file", path, parsePEM)
}

// jwksURL returns a source that fetches a JWK set. The source uses the valid keys and logs the
// rejected ones. jwksURL does not connect. It returns an error if the URL is malformed or insecure.
func jwksURL(address string, log *slog.Logger) (*source, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("JWKS URL: malformed") // err quotes the URL, which may contain a password
	}
	name := "JWKS URL " + target.Redacted()
	if !IsKeyURL(address) {
		return nil, fmt.Errorf("%s: neither https nor a loopback host", name)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented by net/http
	transport.DisableKeepAlives = true                           // one request an hour needs no idle connection
	client := &http.Client{
		Transport: transport,
		Timeout:   fetchTimeout,
		// A redirect could lead to an address without https. fetch rejects its status.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &source{
		name:   name,
		remote: true,
		read: func(ctx context.Context) ([]byte, error) {
			return fetch(ctx, client, address)
		},
		parse: func(document []byte) ([]key, error) {
			keys, rejected, err := parseJWKS(document)
			if err != nil {
				return nil, err
			}
			for _, reason := range rejected {
				log.Warn("key rejected", "source", name, "error", reason)
			}
			return keys, nil
		},
	}, nil
}

// IsKeyURL reports whether keys may be fetched from the URL: over https, or over http from a
// loopback host, because a party that changes the keys can sign tokens.
func IsKeyURL(address string) bool {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" {
		return false
	}
	loopback := target.Hostname() == "localhost" || net.ParseIP(target.Hostname()).IsLoopback()
	return target.Scheme == "https" || target.Scheme == "http" && loopback
}

// fetch returns the document at an HTTP address. It returns an error for every status except 200.
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

// readBounded reads a whole document. It fails if the document is longer than maxDocument bytes.
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
