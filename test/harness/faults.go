package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// RequireDiscreetLog looks for what must never be in the log: tokens, the person, the body.
func (sc *Scene) RequireDiscreetLog() {
	sc.T.Helper()
	log := sc.Logs.String()
	require.NotEmpty(sc.T, log)
	for _, secret := range []string{"eyJ", sc.Person.String(), sc.Direction.String(), "Пациент", "1234567890123456"} {
		require.NotContains(sc.T, log, secret)
	}
}

// GoAway sends the booking that the scene allows, hangs up while it waits for its cell, and stops the service, which waits for the request. The lock keeps
// the booking from being done before its client is missed.
func (sc *Scene) GoAway() {
	sc.T.Helper()
	tx, err := sc.DB.Begin(sc.T.Context())
	require.NoError(sc.T, err)
	_, err = tx.Exec(sc.T.Context(), `SELECT FROM slot FOR UPDATE`)
	require.NoError(sc.T, err)
	ctx, hangUp := context.WithCancel(sc.T.Context())
	body, err := json.Marshal(sc.Request())
	require.NoError(sc.T, err)
	request := sc.Service.Request(http.MethodPost, "/appointments", bytes.NewReader(body)).WithContext(ctx)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	gone := make(chan error, 1)
	go func() {
		response, err := HTTPClient.Do(request)
		if err == nil {
			err = fmt.Errorf("answered %s", response.Status)
			_ = response.Body.Close()
		}
		gone <- err
	}()
	sc.WaitForBlocked(tx)
	hangUp()
	require.ErrorIs(sc.T, <-gone, context.Canceled)
	sc.Stop()
	require.NoError(sc.T, tx.Rollback(sc.T.Context()))
}

// AllowMkab takes the card in the target institution away and lets it be made by booking.
func (sc *Scene) AllowMkab() {
	sc.T.Helper()
	sc.Exec(`DELETE FROM mkab WHERE lpu_guid = $1`, sc.To)
	sc.Exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', '2')`, sc.To)
}

// Run runs several statements.
func (sc *Scene) Run(sql string) {
	sc.T.Helper()
	conn, err := sc.DB.Acquire(sc.T.Context())
	require.NoError(sc.T, err)
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(sc.T.Context(), sql).ReadAll()
	require.NoError(sc.T, err)
}

// AttemptWhile books while somebody else changes the world, between the check and the write: the other's change is made but not committed when the
// booking reads its facts, and committed when the booking waits for its rows.
func (sc *Scene) AttemptWhile(sql string, args ...any) Answer {
	sc.T.Helper()
	tx, err := sc.DB.Begin(sc.T.Context())
	require.NoError(sc.T, err)
	defer func() { _ = tx.Rollback(sc.T.Context()) }()
	_, err = tx.Exec(sc.T.Context(), sql, args...)
	require.NoError(sc.T, err)
	answers := make(chan Answer, 1)
	go func() { answers <- sc.Attempt() }()
	sc.WaitForBlocked(tx)
	require.NoError(sc.T, tx.Commit(sc.T.Context()))
	return <-answers
}

// WaitForBlocked returns when somebody waits for a lock of the transaction.
func (sc *Scene) WaitForBlocked(tx pgx.Tx) {
	sc.T.Helper()
	pid := tx.Conn().PgConn().PID()
	require.Eventually(sc.T, func() bool {
		return sc.Count(`SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))`, pid) > 0
	}, 20*time.Second, 5*time.Millisecond, "nobody waits for the lock")
}
