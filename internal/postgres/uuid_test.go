package postgres

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// Promise: guids, pointers to guids and lists of guids are sent and read unchanged, in binary and
// in text. Null is not read as a guid.
func TestUUID(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testdb.New(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	RegisterUUID(conn.TypeMap())
	guid, list := uuid.New(), []uuid.UUID{uuid.New(), uuid.Nil}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		var (
			got             uuid.UUID
			pointer, absent *uuid.UUID
			gotList         []uuid.UUID
		)
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT $1::uuid, $2::uuid, $3::uuid, $4::uuid[]", mode, guid, &guid, absent, list).
			Scan(&got, &pointer, &absent, &gotList))
		require.Equal(t, guid, got)
		require.Equal(t, &guid, pointer)
		require.Nil(t, absent)
		require.Equal(t, list, gotList)
	}
	require.Error(t, conn.QueryRow(t.Context(), "SELECT null::uuid").Scan(new(uuid.UUID)))
}
