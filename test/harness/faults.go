package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
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
	unlock := sc.LockCells()
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
	sc.WaitForBlocked()
	hangUp()
	require.ErrorIs(sc.T, <-done, context.Canceled)
	sc.Stop()
	unlock()
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
	tx := sc.Begin()
	_, err := tx.Exec(sc.T.Context(), sql, args...)
	require.NoError(sc.T, err)
	answers := make(chan Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked()
	require.NoError(sc.T, tx.Commit(sc.T.Context()))
	return <-answers
}

// LockCells locks the cells of the target institution until unlock is called or the test ends.
func (sc *Scene) LockCells() (unlock func()) {
	sc.T.Helper()
	tx := sc.Begin()
	_, err := tx.Exec(sc.T.Context(), `SELECT FROM slot WHERE lpu_guid = $1 FOR UPDATE`, sc.To)
	require.NoError(sc.T, err)
	return func() { _ = tx.Rollback(context.WithoutCancel(sc.T.Context())) }
}

// Begin begins a transaction, which ends with the test at the latest: a failed test does not keep
// its locks.
func (s *Service) Begin() pgx.Tx {
	s.T.Helper()
	tx, err := s.DB.Begin(s.T.Context())
	require.NoError(s.T, err)
	s.T.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(s.T.Context())) })
	return tx
}

// WaitForBlocked waits until a session waits for a lock.
func (sc *Scene) WaitForBlocked() {
	sc.T.Helper()
	testdb.WaitForBlocked(sc.T, sc.DB, 0)
}

// AddTrigger creates the function fault with a body in PL/pgSQL, and a trigger that calls it for
// each row: for example "TRIGGER fault BEFORE UPDATE ON slot".
func (s *Service) AddTrigger(trigger, body string) {
	s.T.Helper()
	s.Exec(`CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + body + ` END $$`)
	s.Exec(`CREATE ` + trigger + ` FOR EACH ROW EXECUTE FUNCTION fault()`)
}
