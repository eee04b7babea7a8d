package pooler_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/pooler"
	"talon.example/internal/testdb"
)

// Promise: a parameter that the role has in another unit or spelling is in force. One with another
// value is not, and the error has the statement that sets it. The comparison changes nothing.
func TestParametersAreComparedByTheServer(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(testdb.Fresh(t))
	require.NoError(t, err)
	config.RuntimeParams = map[string]string{
		"statement_timeout": "3s", "synchronous_commit": "on", "random_page_cost": "1.1",
		"plan_cache_mode": "force_generic_plan",
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	wanted := config.Copy()
	wanted.RuntimeParams = map[string]string{
		"application_name": "talon", "statement_timeout": "3000", "synchronous_commit": "true",
		"random_page_cost": "1.10", "plan_cache_mode": "FORCE_GENERIC_PLAN",
	}
	require.NoError(t, pooler.CheckParameters(t.Context(), conn, wanted))
	wanted.RuntimeParams["statement_timeout"] = "3"
	wanted.RuntimeParams["random_page_cost"] = "4"
	for range 2 {
		err = pooler.CheckParameters(t.Context(), conn, wanted)
		require.ErrorContains(t, err, "SET random_page_cost = '4';")
		require.ErrorContains(t, err, "SET statement_timeout = '3';")
		require.NotContains(t, err.Error(), "synchronous_commit")
	}
}
