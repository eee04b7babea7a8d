// Package pooler finds out whether a pooler such as PgBouncer is between the service and the
// database, and rejects settings with which the service would fail later.
package pooler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// refusedParameter is how PgBouncer refuses a start-up parameter that it does not know.
const (
	protocolViolation = "08P01"
	refusedParameter  = "unsupported startup parameter"
)

// Behind reports whether a pooler processes the connection: the process of the database that
// executes its statements is not the one that has greeted the client.
func Behind(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid int32
	row := conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol)
	if err := row.Scan(&pid); err != nil {
		return false, fmt.Errorf("look for a pooler: %w", err)
	}
	return uint32(pid) != conn.PgConn().PID(), nil
}

// Check returns an error that names the setting to change if the service cannot work with the
// address of the pool. It only reads.
func Check(ctx context.Context, pool *pgxpool.Pool) error {
	config := pool.Config().ConnConfig
	mode := config.DefaultQueryExecMode
	if mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol {
		return errors.New("DATABASE_URL: default_query_exec_mode=exec and simple_protocol cannot send " +
			"lists of guids: remove it, or set cache_describe for PgBouncer")
	}
	conn, err := pool.Acquire(ctx)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == protocolViolation &&
		strings.HasPrefix(refused.Message, refusedParameter) {
		names := strings.Join(slices.Sorted(maps.Keys(config.RuntimeParams)), ",")
		return fmt.Errorf("PgBouncer refuses start-up parameters: "+
			"set ignore_startup_parameters = %s in pgbouncer.ini: %w", names, err)
	}
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	behind, err := Behind(ctx, conn.Conn())
	if err != nil || !behind {
		return err
	}
	if mode != pgx.QueryExecModeCacheDescribe {
		return errors.New("a pooler such as PgBouncer is between the service and the database, where prepared " +
			"statements fail (42P05): add default_query_exec_mode=cache_describe to DATABASE_URL")
	}
	return checkParameters(ctx, conn.Conn(), config)
}

// isInForce compares the value of a parameter with another one, in the unit and the spelling of the
// server: 3s and 3000 are the same. It sets the parameter until its own end.
const isInForce = `WITH before AS MATERIALIZED (SELECT current_setting($1) AS value)
	SELECT value = set_config($1, $2, true) FROM before`

// checkParameters returns an error if parameters of the connection are not in force, because the
// pooler ignores them.
func checkParameters(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(config.RuntimeParams)) {
		if name == "application_name" {
			continue
		}
		wanted := config.RuntimeParams[name]
		var inForce bool
		if err := conn.QueryRow(ctx, isInForce, name, wanted).Scan(&inForce); err != nil {
			return fmt.Errorf("compare the setting %s: %w", name, err)
		}
		if !inForce {
			missing = append(missing, fmt.Sprintf("ALTER ROLE %s SET %s = '%s';", config.User, name, wanted))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the pooler ignores parameters that the service needs: "+
			"set them in the database, and let the pooler reconnect: %s", strings.Join(missing, " "))
	}
	return nil
}
