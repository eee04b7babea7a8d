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

// RequireNoSecretsInLog requires that the log contains no token, no data of the scene's patient and
// no request body.
func (sc *Scene) RequireNoSecretsInLog() {
	sc.T.Helper()
	log := sc.Logs.String()
	require.NotEmpty(sc.T, log)
	for _, secret := range []string{"eyJ", sc.Person.String(), sc.Direction.String(), "Пациент", "1234567890123456"} {
		require.NotContains(sc.T, log, secret)
	}
}

// HangUpAndStop sends the scene's booking and hangs up while the booking waits for its cell. It
// then stops the service, which waits for the request. The lock on the cells keeps the booking from
// completing before the service notices that its client is gone.
func (sc *Scene) HangUpAndStop() {
	sc.T.Helper()
	tx, err := sc.DB.Begin(sc.T.Context())
	require.NoError(sc.T, err)
	_, err = tx.Exec(sc.T.Context(), `SELECT FROM slot FOR UPDATE`)
	require.NoError(sc.T, err)
	ctx, hangUp := context.WithCancel(sc.T.Context())
	body, err := json.Marshal(sc.BookingBody())
	require.NoError(sc.T, err)
	request := sc.NewRequest(http.MethodPost, "/appointments", bytes.NewReader(body)).WithContext(ctx)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	done := make(chan error, 1)
	go func() {
		response, err := HTTPClient.Do(request)
		if err == nil {
			err = fmt.Errorf("unexpected response %s", response.Status)
			_ = response.Body.Close()
		}
		done <- err
	}()
	sc.WaitForBlocked(tx)
	hangUp()
	require.ErrorIs(sc.T, <-done, context.Canceled)
	sc.Stop()
	require.NoError(sc.T, tx.Rollback(sc.T.Context()))
}

// AllowMkabCreation deletes the card in the target institution and allows a booking to create one.
func (sc *Scene) AllowMkabCreation() {
	sc.T.Helper()
	sc.Exec(`DELETE FROM mkab WHERE lpu_guid = $1`, sc.To)
	sc.Exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', '2')`, sc.To)
}

// TryBookDuring books while another transaction changes data between the booking's checks and its
// write. The other transaction has made its change when the booking reads its facts. It commits
// when the booking waits for its locks.
func (sc *Scene) TryBookDuring(sql string, args ...any) Answer {
	sc.T.Helper()
	tx, err := sc.DB.Begin(sc.T.Context())
	require.NoError(sc.T, err)
	defer func() { _ = tx.Rollback(sc.T.Context()) }()
	_, err = tx.Exec(sc.T.Context(), sql, args...)
	require.NoError(sc.T, err)
	answers := make(chan Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked(tx)
	require.NoError(sc.T, tx.Commit(sc.T.Context()))
	return <-answers
}

// WaitForBlocked waits until a session waits for a lock of the transaction.
func (sc *Scene) WaitForBlocked(tx pgx.Tx) {
	sc.T.Helper()
	pid := tx.Conn().PgConn().PID()
	require.Eventually(sc.T, func() bool {
		return sc.Count(`SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))`, pid) > 0
	}, 20*time.Second, 5*time.Millisecond, "no session waits for the lock")
}
