package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// nodeTimeout bounds the wait for a node.
const nodeTimeout = 5 * time.Second

// nodeResult is the settings of a node, or why it did not return them.
type nodeResult struct {
	name     string // host and port
	worker   bool
	settings settings
	failure  string // why there are none
}

// settings are those of a node for the sessions of the role. Times are milliseconds.
type settings struct {
	Recovery    int64  `json:"citus.recover_2pc_interval,string"`
	LockTimeout int64  `json:"lock_timeout,string"`
	Prepared    int64  `json:"max_prepared_transactions,string"`
	Connections int64  `json:"max_connections,string"`
	Commit      string `json:"synchronous_commit"`
	Fsync       string `json:"fsync"`
}

// askNodes asks every node for its settings, through the coordinator. Each has a session of its
// own, so that a silent node is named, and does not delay the others.
func askNodes(ctx context.Context, conn *pgx.Conn) ([]nodeResult, error) {
	nodes, err := Nodes(ctx, conn)
	if err != nil {
		return nil, err
	}
	results := make([]nodeResult, len(nodes))
	var together sync.WaitGroup
	for i, node := range nodes {
		together.Go(func() {
			address := net.JoinHostPort(node.Host, strconv.Itoa(node.Port))
			results[i] = nodeResult{name: address, worker: !node.Coordinator}
			found, err := ask(ctx, conn.Config(), node)
			if err != nil {
				results[i].failure = err.Error()
				return
			}
			results[i].settings = *found
		})
	}
	together.Wait()
	return results, ctx.Err()
}

// ask returns the settings of a node.
func ask(ctx context.Context, config *pgx.ConnConfig, node Node) (*settings, error) {
	silent := fmt.Errorf("it is silent for %s", nodeTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, 2*nodeTimeout, silent) // the coordinator may be silent, too
	defer cancel()
	config.RuntimeParams["statement_timeout"] = strconv.FormatInt(nodeTimeout.Milliseconds(), 10)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the coordinator: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const command = `SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN (
		'citus.recover_2pc_interval', 'lock_timeout', 'synchronous_commit', 'fsync', 'max_prepared_transactions',
		'max_connections')`
	const query = `SELECT success, coalesce(result, '') FROM master_run_on_worker(ARRAY[$1], ARRAY[$2::int], ARRAY[$3], false)`
	var success bool
	var result string
	err = conn.QueryRow(ctx, query, node.Host, node.Port, command).Scan(&success, &result)
	switch {
	case errors.Is(context.Cause(ctx), silent) || isState(err, "57014"):
		return nil, silent
	case err != nil:
		return nil, fmt.Errorf("ask: %w", err)
	case !success:
		return nil, errors.New(result)
	}
	var found settings
	if err := json.Unmarshal([]byte(result), &found); err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return &found, nil
}

// isState reports whether an error is one of the database with the SQLSTATE.
func isState(err error, state string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == state
}

// maxRecovery is the longest citus.recover_2pc_interval. What a node that has crashed between the
// two halves of a commit leaves stays locked and invisible so long.
const maxRecovery = 10 * time.Second

// maxLockWait is the longest lock_timeout of a worker, where that of the service's sessions does
// not apply: they set it on the coordinator alone.
const maxLockWait = 5 * time.Second

// commits are the values of synchronous_commit, the weakest first.
var commits = []string{"off", "local", "remote_write", "on", "remote_apply"}

// settingProblems returns what is wrong with the settings of the nodes. commit is the
// synchronous_commit of the service on the coordinator.
func settingProblems(nodes []nodeResult, commit string) []string {
	var problems []string
	durable := slices.ContainsFunc(nodes, func(n nodeResult) bool { return !n.worker && n.settings.Fsync == "on" })
	for _, node := range nodes {
		if node.failure != "" {
			continue
		}
		report := func(format string, values ...any) {
			problems = append(problems, node.name+": "+fmt.Sprintf(format, values...))
		}
		is := node.settings
		if is.Recovery <= 0 || is.Recovery > maxRecovery.Milliseconds() {
			report("citus.recover_2pc_interval is %d ms, not from 1 to %d: what a crash leaves half committed stays "+
				"locked so long, with -1 forever. Set it to 5s", is.Recovery, maxRecovery.Milliseconds())
		}
		if is.Prepared < is.Connections {
			report("max_prepared_transactions is %d, and max_connections %d: each connection may prepare a "+
				"transaction, to commit on several nodes", is.Prepared, is.Connections)
		}
		if !node.worker {
			continue
		}
		if is.LockTimeout <= 0 || is.LockTimeout > maxLockWait.Milliseconds() {
			report("lock_timeout is %d ms, not from 1 to %d: requests wait for a lock there until their deadline. "+
				"Run ALTER ROLE … SET lock_timeout = '1s' for the service's role", is.LockTimeout, maxLockWait.Milliseconds())
		}
		if slices.Index(commits, is.Commit) < slices.Index(commits, commit) {
			report("synchronous_commit is %s, and %s at the coordinator: a crash of the node may lose confirmed "+
				"bookings. Run ALTER ROLE … SET synchronous_commit = '%[2]s' for the service's role", is.Commit, commit)
		}
		if durable && is.Fsync != "on" {
			report("fsync is off, and on at the coordinator: a crash of the node may lose confirmed bookings")
		}
	}
	return problems
}
