package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"talon.example/internal/auth"
)

// readyTimeout bounds the start of the service.
const readyTimeout = 30 * time.Second

// service is a running Talon process.
type service struct {
	address string
	key     *auth.SigningKey
	command *exec.Cmd
	started time.Duration // from the start of the process until it was ready
}

// build builds the service and returns the path of the program.
func build(ctx context.Context) (program string, err error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	program = filepath.Join(dir, "talon")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	args := []string{"build", "-o", program, "talon.example/cmd/talon"}
	output, err := exec.CommandContext(ctx, "go", args...).CombinedOutput() //nolint:gosec // constant arguments
	if err != nil {
		return "", fmt.Errorf("build the service: %w\n%s", err, output)
	}
	return program, nil
}

// settings returns the environment variables of the service, and the key that signs its tokens. All
// other settings keep their defaults.
func settings(database string) (environment map[string]string, key *auth.SigningKey, err error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, nil, err
	}
	keyFile := filepath.Join(dir, "key.pem")
	if key, err = auth.EnsureSigningKey(keyFile); err != nil {
		return nil, nil, fmt.Errorf("load the signing key: %w", err)
	}
	return map[string]string{
		"DATABASE_URL":            database,
		"TALON_TOKEN_ISSUER":      issuer,
		"TALON_TOKEN_AUDIENCE":    audience,
		"TALON_AUTH_KEY_FILE":     keyFile,
		"TALON_SHUTDOWN_DELAY":    "0s",
		"TALON_WEBHOOK_ADDRESSES": "loopback",
		// The load has fewer patients and client applications than a region.
		"TALON_PERSON_RATE":          "0",
		"TALON_PERSON_MAX_IN_FLIGHT": "0",
		"TALON_CLIENT_RATE":          "0",
	}, key, nil
}

// startService starts the service and waits until it is ready. The service writes its log to a
// file, so that the cost of logging is measured too. limits are settings instead of those of
// settings.
func startService(ctx context.Context, program, database string, limits ...string) (*service, error) {
	environment, key, err := settings(database)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(program + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()                         // the process has its own copy
	command := exec.Command(program, "serve") //nolint:noctx // stop ends it
	s := &service{address: "http://" + address, key: key, command: command}
	s.command.Stderr = log
	s.command.Env = append(os.Environ(), "TALON_ADDR="+address)
	for name, value := range environment {
		s.command.Env = append(s.command.Env, name+"="+value)
	}
	s.command.Env = append(s.command.Env, limits...)
	start := time.Now()
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start the service: %w", err)
	}
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop(), fmt.Errorf("the log is %s", log.Name()))
	}
	s.started = time.Since(start)
	return s, nil
}

// freeAddress returns a loopback address with a free port.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *service) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"/health/ready", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the service is not ready: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *service) process() process { return process(s.command.Process.Pid) }

// stop shuts the service down, and kills it if that takes longer than readyTimeout.
func (s *service) stop() error {
	_ = s.command.Process.Signal(os.Interrupt) // fails only if the process has exited
	kill := time.AfterFunc(readyTimeout, func() { _ = s.command.Process.Kill() })
	defer kill.Stop()
	if err := s.command.Wait(); err != nil {
		return fmt.Errorf("the service failed: %w", err)
	}
	return nil
}

func (s *service) caller() *caller {
	return &caller{key: s.key, host: strings.TrimPrefix(s.address, "http://"), now: time.Now()}
}
