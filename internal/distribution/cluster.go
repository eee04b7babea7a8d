package distribution

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Node is a server of a distributed PostgreSQL.
type Node struct {
	Host        string
	Port        int
	Coordinator bool
}

// Nodes returns the servers that the database uses, the coordinator first.
func Nodes(ctx context.Context, conn *pgx.Conn) ([]Node, error) {
	rows, err := conn.Query(ctx, `
		SELECT nodename, nodeport, groupid = 0 FROM pg_dist_node WHERE isactive AND noderole = 'primary' ORDER BY groupid`)
	if err != nil {
		return nil, fmt.Errorf("read the nodes: %w", err)
	}
	nodes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Node])
	if err != nil {
		return nil, fmt.Errorf("read the nodes: %w", err)
	}
	return nodes, nil
}

// URL returns the URL of the database on this node that has the address on another one, for
// sessions that plan statements as Citus needs it.
func (n Node) URL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("parse the URL of a database: %w", err)
	}
	u.Host = net.JoinHostPort(n.Host, strconv.Itoa(n.Port))
	query := u.Query()
	query.Set("plan_cache_mode", "auto")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Join makes the databases of one name on all nodes one distributed database, without tables that
// are declared. The address is the one on the coordinator. Tests and benchmarks need many such
// databases; an operator has one, and makes it by hand (docs/scale.md).
func Join(ctx context.Context, nodes []Node, address string) error {
	var members []string
	for _, n := range nodes {
		own, err := n.URL(address)
		if err != nil {
			return err
		}
		if err := run(ctx, own, "CREATE EXTENSION citus"); err != nil {
			return err
		}
		add := "citus_add_node"
		if n.Coordinator {
			add = "citus_set_coordinator_host"
		}
		members = append(members, fmt.Sprintf("SELECT %s('%s', %d)", add, n.Host, n.Port))
	}
	return run(ctx, address, members...)
}

// run executes statements in a connection of its own.
func run(ctx context.Context, address string, statements ...string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("connect to a node: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
