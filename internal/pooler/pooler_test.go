package pooler_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/pooler"
	"talon.example/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// Promise: without a pooler every mode is accepted with which statements can be sent. What happens
// behind PgBouncer is tested by make drills.
func TestWithoutPooler(t *testing.T) {
	t.Parallel()
	database := testdb.Fresh(t)
	for mode, refused := range map[string]bool{
		"cache_statement": false, "cache_describe": false, "describe_exec": false,
		"exec": true, "simple_protocol": true,
	} {
		config, err := pgxpool.ParseConfig(database + "&default_query_exec_mode=" + mode)
		require.NoError(t, err)
		config.ConnConfig.RuntimeParams["statement_timeout"] = "1234"
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		err = pooler.Check(t.Context(), pool)
		pool.Close()
		if refused {
			require.ErrorContains(t, err, "cannot send lists of guids", mode)
			continue
		}
		require.NoError(t, err, mode)
	}
}
