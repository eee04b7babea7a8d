package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Standby starts a hot standby of the cluster, which is temporary. It copies the files of the
// cluster while its server is stopped, so that it breaks all sessions: not every installation has
// pg_basebackup.
func (c *Cluster) Standby(ctx context.Context) (*Cluster, error) {
	home, err := makeHome("")
	if err != nil {
		return nil, fmt.Errorf("create a directory for the standby: %w", err)
	}
	s := &Cluster{home: home, account: c.account, binaries: c.binaries, durable: c.durable, temporary: true}
	if s.ownerLock, err = home.lockOwner(ctx); err != nil {
		return nil, err
	}
	if err = c.copyTo(ctx, s); err == nil {
		err = s.startServer(ctx)
	}
	if err != nil {
		err = fmt.Errorf("start a standby in %s: %w", home.dir, err)
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// copyTo copies the files of the cluster to a standby, which has not started.
func (c *Cluster) copyTo(ctx context.Context, s *Cluster) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.account.privateDir(s.home.socket); err != nil {
		return err
	}
	if err := s.account.privateDir(s.home.data); err != nil {
		return err
	}
	if !c.server.signalAndWait(ctx, syscall.SIGINT, fastTimeout) {
		return errors.New("the server does not stop")
	}
	err := c.account.run(ctx, s.home.log, "/bin/cp", "-R", "-p", c.home.data+"/.", s.home.data)
	err = errors.Join(err, c.startServer(ctx))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.home.data, "standby.signal"), nil, 0o600); err != nil {
		return err
	}
	settings, err := os.OpenFile(filepath.Join(s.home.data, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(settings, "primary_conninfo = '%s'\nwal_retrieve_retry_interval = 100ms\n", c.connection())
	return errors.Join(err, settings.Close())
}

// connection returns the words with which a standby connects to the cluster.
func (c *Cluster) connection() string {
	return fmt.Sprintf("host=%s port=%s user=%s", c.home.socket, socketPort, superuser)
}

// Follow makes a standby follow another primary from now on.
func (c *Cluster) Follow(ctx context.Context, primary *Cluster) error {
	conn, err := pgx.Connect(ctx, c.URL(maintenance))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, sql := range []string{
		"ALTER SYSTEM SET primary_conninfo = '" + primary.connection() + "'", "SELECT pg_reload_conf()",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("follow another primary: %w", err)
		}
	}
	return nil
}
