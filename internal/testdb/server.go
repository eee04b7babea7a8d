package testdb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"talon.example/internal/localpg"
	"talon.example/migrations"
)

// The prefixes of database names. testPrefix is followed by the day, in UTC, so that the databases
// of dead runs can be recognised.
const (
	templatePrefix = "talon_tpl_"
	testPrefix     = "talon_test_"
	dayLayout      = "20060102"
)

// dropTries bounds how often a database is dropped that has connections.
const dropTries = 4

// templateLock is the key of the advisory lock that processes sharing a server hold while they
// create the template.
const templateLock = 0x7a10_7e57

// server is the PostgreSQL server with the tests' databases. It is safe for concurrent use.
type server struct {
	address string           // URL of the server to use, or empty for a private one
	now     func() time.Time // for the day in database names

	mu       sync.Mutex
	opened   bool
	prepared bool
	err      error            // of the preparation
	cluster  *localpg.Cluster // nil unless the server is private
	base     *url.URL         // URL of the database that connections for CREATE DATABASE use
	template string           // name of the database that is cloned
	strategy string           // clause of CREATE DATABASE to copy files; empty if not supported
	filled   []string         // names of the databases of templates

	distributed bool // whether the databases are distributed over several nodes

	idleMu sync.Mutex
	idle   []*pgx.Conn // connections to base
}

// open permits the preparation of the server. The caller must call close afterwards.
func (s *server) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
}

// close closes all connections and stops a private server.
func (s *server) close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = false
	if s.cluster != nil {
		return errors.Join(s.closeIdle(ctx), s.cluster.Stop(ctx))
	}
	var errs []error
	for _, name := range s.filled {
		errs = append(errs, s.drop(ctx, name))
	}
	return errors.Join(append(errs, s.closeIdle(ctx))...)
}

// ensurePrepared prepares the server on the first call. Further calls return the result of the
// first call. It returns an error unless the server is open.
func (s *server) ensurePrepared() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		return errors.New("the package's TestMain does not call testdb.Main, or Main has returned")
	}
	if !s.prepared {
		// The context of a test would be cancelled before the other tests have used the server.
		ctx, cancel := context.WithTimeout(context.Background(), prepareTimeout)
		defer cancel()
		s.prepared, s.err = true, s.prepare(ctx)
	}
	return s.err
}

// prepare starts a private server unless an address is set, and creates the template of the current
// schema unless it exists.
func (s *server) prepare(ctx context.Context) error {
	address := s.address
	if address == "" {
		var err error
		if s.cluster, err = localpg.Start(ctx, localpg.Options{}); err != nil {
			return err
		}
		address = s.cluster.URL("postgres")
	}
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "postgres" && base.Scheme != "postgresql" {
		return fmt.Errorf("%s is not a postgres:// URL", URLVariable) // without the value, which may contain a password
	}
	s.base = base
	if s.template, err = templateName(); err != nil {
		return err
	}
	if s.distributed {
		s.template += spreadSuffix()
	}
	return s.withBaseConn(ctx, func(conn *pgx.Conn) error {
		var version int
		if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
			return fmt.Errorf("read the version of the server: %w", err)
		}
		if version >= 150000 {
			s.strategy = " STRATEGY = FILE_COPY" // the default writes to the WAL, which is slower
		}
		// Closing the connection releases the lock.
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
			return fmt.Errorf("wait for other processes that create the template: %w", err)
		}
		if err := s.dropLeftovers(ctx, conn); err != nil {
			return err
		}
		return s.createTemplate(ctx, conn)
	})
}

// createTemplate creates the template unless it exists. It creates the database under another name
// and renames it at the end, so that a database with the template's name is always complete.
func (s *server) createTemplate(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	row := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.template)
	if err := row.Scan(&exists); err != nil {
		return fmt.Errorf("look up the template: %w", err)
	}
	if exists {
		return nil
	}
	unfinished := s.template + "_new"
	err := s.everywhere(ctx, conn, "DROP DATABASE IF EXISTS "+unfinished+" WITH (FORCE)")
	if err == nil {
		err = s.everywhere(ctx, conn, "CREATE DATABASE "+unfinished+" TEMPLATE template0"+s.strategy)
	}
	switch {
	case err != nil:
	case s.distributed:
		err = s.distribute(ctx, conn, unfinished)
	default:
		err = migrations.Up(ctx, s.url(unfinished))
	}
	if err == nil {
		err = s.seal(ctx, conn, unfinished) // PostgreSQL cannot clone a database that has connections
	}
	if err == nil {
		err = s.everywhere(ctx, conn, "ALTER DATABASE "+unfinished+" RENAME TO "+s.template)
	}
	if err != nil {
		return fmt.Errorf("create the template database: %w", err)
	}
	return nil
}

// createForAll creates a database that close drops, and returns its name.
func (s *server) createForAll(ctx context.Context) (string, error) {
	name, err := s.create(ctx, s.template)
	if err == nil {
		s.mu.Lock()
		s.filled = append(s.filled, name)
		s.mu.Unlock()
	}
	return name, err
}

// create clones a database from a template and returns the name of the new database.
func (s *server) create(ctx context.Context, template string) (string, error) {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	name := fmt.Sprintf("%s%s_%d_%x", testPrefix, s.now().UTC().Format(dayLayout), os.Getpid(), random)
	return name, s.withIdleConn(ctx, func(conn *pgx.Conn) error {
		return s.everywhere(ctx, conn, "CREATE DATABASE "+name+" TEMPLATE "+template+s.strategy)
	})
}

// drop drops a database and terminates its connections. A connection that rolls back may need
// longer than the five seconds for which PostgreSQL waits.
func (s *server) drop(ctx context.Context, name string) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, s.withIdleConn(ctx, func(conn *pgx.Conn) error {
			if s.distributed {
				if err := errors.Join(awaitCommits(ctx, conn, name), s.seal(ctx, conn, name)); err != nil {
					return err
				}
			}
			return s.everywhere(ctx, conn, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		})
	}, backoff.WithBackOff(backoff.NewConstantBackOff(100*time.Millisecond)), backoff.WithMaxTries(dropTries))
	return err
}

// url returns the URL of a database of the server.
func (s *server) url(name string) string {
	address := *s.base
	address.Path, address.RawPath = "/"+name, ""
	if s.distributed {
		query := address.Query()
		query.Set("plan_cache_mode", "auto") // as talon distribute requires
		address.RawQuery = query.Encode()
	}
	return address.String()
}

// withBaseConn calls do with a new connection to the base database.
func (s *server) withBaseConn(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// withIdleConn calls do with an idle connection to the base database, and keeps the connection for
// later calls. A new connection costs PostgreSQL more than cloning the template. An idle connection
// has no goroutine, so it does not disturb tests for leaked goroutines.
func (s *server) withIdleConn(ctx context.Context, do func(*pgx.Conn) error) error {
	conn := s.takeIdle()
	if conn == nil {
		var err error
		if conn, err = s.connect(ctx); err != nil {
			return err
		}
	}
	if err := do(conn); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	s.idle = append(s.idle, conn)
	return nil
}

// takeIdle removes an idle connection from s.idle and returns it, or nil if s.idle is empty.
func (s *server) takeIdle() *pgx.Conn {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	last := len(s.idle) - 1
	conn := s.idle[last]
	s.idle = s.idle[:last]
	return conn
}

// closeIdle closes the idle connections.
func (s *server) closeIdle(ctx context.Context) error {
	var errs []error
	for conn := s.takeIdle(); conn != nil; conn = s.takeIdle() {
		errs = append(errs, conn.Close(ctx))
	}
	return errors.Join(errs...)
}

func (s *server) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.base.String())
	if err != nil {
		return nil, fmt.Errorf("connect to the test server: %w", err)
	}
	return conn, nil
}

// dropLeftovers drops the databases of dead runs, from the day before yesterday and earlier, in
// UTC. Only a configured server can have such databases, because a private server is temporary.
func (s *server) dropLeftovers(ctx context.Context, conn *pgx.Conn) error {
	yesterday := s.now().UTC().AddDate(0, 0, -1).Format(dayLayout)
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1) AND datname < $2",
		testPrefix, testPrefix+yesterday)
	if err != nil {
		return fmt.Errorf("list the databases of dead runs: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the databases of dead runs: %w", err)
	}
	for _, name := range names {
		drop := "DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)"
		if err := s.everywhere(ctx, conn, drop); err != nil {
			return err
		}
	}
	return nil
}

// execute runs a statement without parameters.
func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// templateName returns the name of the template of the current schema. The name contains a hash of
// the migrations, so that every schema has its own template.
func templateName() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations.FS, path)
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content) // writing to a hash never fails
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	return fmt.Sprintf("%s%x", templatePrefix, sum.Sum(nil)[:8]), nil
}
