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

	"github.com/jackc/pgx/v5"

	"talon.example/internal/localpg"
	"talon.example/migrations"
)

// Names of databases begin with these; a test's goes on with the day, so that what dead runs leave can be told.
const (
	templatePrefix = "talon_tpl_"
	testPrefix     = "talon_test_"
	dayLayout      = "20060102"
)

// templateLock is the number of the advisory lock under which processes that share a server make the template.
const templateLock = 0x7a10_7e57

// server is the PostgreSQL where the tests' databases are made.
type server struct {
	given string           // its URL, or empty for a private one
	now   func() time.Time // the clock that names of databases are made by

	mu       sync.Mutex
	opened   bool
	prepared bool
	err      error // why it could not be prepared
	cluster  *localpg.Cluster
	base     *url.URL // of the database that others are created from
	template string
	fileCopy string // the clause that has CREATE DATABASE copy files, where there is one

	idleMu sync.Mutex
	idle   []*pgx.Conn // to base, for the next databases that are made or dropped
}

// open allows the server to be prepared: somebody will close it.
func (s *server) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
}

// close stops the server if it is a private one.
func (s *server) close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = false
	err := s.closeIdle(ctx)
	if s.cluster == nil {
		return err
	}
	return errors.Join(err, s.cluster.Stop(ctx))
}

// ready prepares the server at the first call. If that fails it fails for all, without another try.
func (s *server) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		return errors.New("the package's TestMain does not call testdb.Main, or it has ended")
	}
	if !s.prepared {
		// The server outlives the test that happens to be the first: its context will not do.
		ctx, cancel := context.WithTimeout(context.Background(), prepareTimeout)
		defer cancel()
		s.prepared, s.err = true, s.prepare(ctx)
	}
	return s.err
}

// prepare starts the server where none is given, and makes the template where there is none of this schema.
func (s *server) prepare(ctx context.Context) error {
	address := s.given
	if address == "" {
		var err error
		if s.cluster, err = localpg.Start(ctx, localpg.Options{}); err != nil {
			return err
		}
		address = s.cluster.URL("postgres")
	}
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "postgres" && base.Scheme != "postgresql" {
		return fmt.Errorf("%s is not a postgres:// URL", URLVariable) // it may hold a password: it is not shown
	}
	s.base = base
	if s.template, err = templateName(); err != nil {
		return err
	}
	return s.onBase(ctx, func(conn *pgx.Conn) error {
		var version int
		if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
			return fmt.Errorf("ask the version of the server: %w", err)
		}
		if version >= 150000 {
			s.fileCopy = " STRATEGY = FILE_COPY" // the default goes through the log, which is more work
		}
		// Closing the connection frees the lock.
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
			return fmt.Errorf("wait for others who make the template: %w", err)
		}
		if err := s.dropLeftovers(ctx, conn); err != nil {
			return err
		}
		return s.makeTemplate(ctx, conn)
	})
}

// makeTemplate makes the template under another name first: one that bears the right name is complete.
func (s *server) makeTemplate(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	row := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.template)
	if err := row.Scan(&exists); err != nil {
		return fmt.Errorf("look for the template: %w", err)
	}
	if exists {
		return nil
	}
	unfinished := s.template + "_new"
	statement := func(sql string) func() error {
		return func() error { return execute(ctx, conn, sql) }
	}
	for _, step := range []func() error{
		statement("DROP DATABASE IF EXISTS " + unfinished + " WITH (FORCE)"),
		statement("CREATE DATABASE " + unfinished + " TEMPLATE template0" + s.fileCopy),
		func() error { return migrations.Up(ctx, s.url(unfinished)) },
		// A database that somebody is connected to cannot be cloned: nobody shall be.
		statement("ALTER DATABASE " + unfinished + " ALLOW_CONNECTIONS false"),
		statement("ALTER DATABASE " + unfinished + " RENAME TO " + s.template),
	} {
		if err := step(); err != nil {
			return fmt.Errorf("make the template database: %w", err)
		}
	}
	return nil
}

// create makes a database from a template and returns its name.
func (s *server) create(ctx context.Context, template string) (string, error) {
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	name := fmt.Sprintf("%s%s_%d_%x", testPrefix, s.now().UTC().Format(dayLayout), os.Getpid(), random)
	return name, s.onIdle(ctx, func(conn *pgx.Conn) error {
		return execute(ctx, conn, "CREATE DATABASE "+name+" TEMPLATE "+template+s.fileCopy)
	})
}

// drop removes a database, whoever is still connected.
func (s *server) drop(ctx context.Context, name string) error {
	return s.onIdle(ctx, func(conn *pgx.Conn) error {
		return execute(ctx, conn, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
}

// url is the address of a database of the server.
func (s *server) url(name string) string {
	address := *s.base
	address.Path, address.RawPath = "/"+name, ""
	return address.String()
}

// onBase lends a connection of its own from which databases can be made.
func (s *server) onBase(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// onIdle lends a connection that others have used and will use: a new one costs PostgreSQL more than a clone of the
// template. An idle connection has no goroutine, so that tests which look for leaks see none of ours.
func (s *server) onIdle(ctx context.Context, do func(*pgx.Conn) error) error {
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

// takeIdle returns a connection that is not in use, or nil.
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

// closeIdle closes the connections that are not in use.
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

// dropLeftovers removes what runs that died have left on a server that lasts.
func (s *server) dropLeftovers(ctx context.Context, conn *pgx.Conn) error {
	yesterday := s.now().UTC().AddDate(0, 0, -1).Format(dayLayout)
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1) AND datname < $2",
		testPrefix, testPrefix+yesterday)
	if err != nil {
		return fmt.Errorf("look for databases of dead runs: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for databases of dead runs: %w", err)
	}
	for _, name := range names {
		if err := execute(ctx, conn, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

// execute runs a statement that takes no parameters, as those about databases are.
func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// templateName tells schemas apart: another set of migrations is another template.
func templateName() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations.FS, path)
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content) // a hash takes everything
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	return fmt.Sprintf("%s%x", templatePrefix, sum.Sum(nil)[:8]), nil
}
