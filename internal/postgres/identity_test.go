package postgres

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// statements records the statements that a pool sends, in their order.
type statements struct {
	mu   sync.Mutex
	sent []string
}

// TraceQueryStart implements pgx.QueryTracer.
func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.add(data.SQL)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, query := range data.Batch.QueuedQueries {
		s.add(query.SQL)
	}
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (s *statements) add(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, sql)
}

// during returns the statements that a call sends.
func (s *statements) during(call func()) []string {
	before := len(s.sent)
	call()
	return slices.Clone(s.sent[before:])
}

// Promise: an identification sends the same statements in as many round trips for an unknown
// patient, wrong data and a closed card, so that its duration reveals nothing. The same holds for
// an unknown client application, one without a secret and a wrong secret.
func TestIdentificationDoesConstantWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var (
		sent    statements
		counted roundTrips
	)
	store := w.store(func(config *pgxpool.Config) {
		counted.countOn(config)
		config.ConnConfig.Tracer = &sent
	})
	closed, birth := uuid.New(), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	w.exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at, closed_at)
		VALUES ($1, $2, $2, 'Закрытый', 'Первый', $3, 'male', '00000000002', $4, $4)`, w.to, closed, birth, moment)
	w.exec(`UPDATE mkab SET snils = '00000000001', birth_date = $1, surname = 'Открытый', name = 'Первый', patronymic = '' WHERE guid = $2`, birth, w.mkabTo)
	w.exec(`INSERT INTO mkab_policy VALUES ($1, $2, '', 'open'), ($1, $3, '', 'closed')`, w.to, w.mkabTo, closed)
	w.exec(testdb.IndexRows)
	policy := func(number string, after int) booking.Evidence {
		return booking.Evidence{Policy: &booking.Policy{Number: number, BirthDate: birth.AddDate(0, 0, after)}}
	}
	snils := func(digits, surname string) booking.Evidence {
		return booking.Evidence{Snils: &booking.Snils{
			Digits: digits, Names: booking.Names{Surname: surname, Name: "Первый"},
		}}
	}
	for name, identification := range map[string]struct {
		right booking.Evidence
		wrong []booking.Evidence
	}{
		"policy": {policy("open", 0), []booking.Evidence{policy("none", 0), policy("open", 1), policy("closed", 0)}},
		"person": {
			booking.Evidence{Person: w.patient.Person}, []booking.Evidence{{Person: uuid.New()}, {Person: closed}},
		},
		"card": {booking.Evidence{Mkab: w.mkabTo}, []booking.Evidence{{Mkab: uuid.New()}, {Mkab: closed}}},
		"snils": {
			snils("00000000001", "Открытый"),
			[]booking.Evidence{
				snils("00000000003", "Открытый"), snils("00000000001", "Другой"), snils("00000000002", "Закрытый"),
			},
		},
	} {
		identify := func(evidence booking.Evidence) (person uuid.UUID, err error) {
			trips := counted.during(func() {
				person, err = store.Identify(t.Context(), w.patient.Client, evidence, moment)
			})
			require.Equal(t, 3, trips, name)
			return person, err
		}
		_, _ = store.Identify(t.Context(), w.patient.Client, identification.right, moment) // prepares the statements
		person, err := identify(identification.right)
		require.NoError(t, err, name)
		require.Equal(t, w.patient.Person, person, name)
		var first []string
		for i, evidence := range identification.wrong {
			did := sent.during(func() {
				_, err := identify(evidence)
				requireRefusal(t, err, booking.PatientNotIdentified)
			})
			if i == 0 {
				first = did
			}
			require.Len(t, did, 6, name) // begin, two counts, the institutions of the cards, the cards, commit
			require.Equal(t, first, did, name)
		}
	}

	service := booking.NewService(store.Ports(), func() time.Time { return moment })
	secretless := uuid.New()
	w.exec(`INSERT INTO client_application VALUES ($1, 'Без секрета')`, secretless)
	secret, err := service.RotateSecret(t.Context(), w.patient.Client, 0)
	require.NoError(t, err)
	require.NoError(t, service.AuthenticateClient(t.Context(), w.patient.Client, secret))
	for _, client := range []uuid.UUID{uuid.New(), secretless, w.patient.Client} {
		require.Len(t, sent.during(func() {
			requireRefusal(t, service.AuthenticateClient(t.Context(), client, "wrong"), booking.ClientUnauthenticated)
		}), 1)
	}
}
