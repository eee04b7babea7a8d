package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// SystemRights implements booking.ClientStore. It does not query the database while the reference
// data are fresh.
func (s *Store) SystemRights(ctx context.Context, client uuid.UUID) (*booking.SystemRights, error) {
	reference, err := s.reference.get(ctx)
	if err != nil {
		return nil, interpretError(err)
	}
	known, active := reference.clients[client]
	if !active {
		return nil, nil //nolint:nilnil // nil means that the client application is not active
	}
	return &known.system, nil
}

// Credentials implements booking.ClientStore.
func (s *Store) Credentials(ctx context.Context, client uuid.UUID) (booking.Credentials, error) {
	row, err := retry(ctx, s.pool.Reset, func() (db.ClientCredentialsGetRow, error) {
		return db.New(s.pool).ClientCredentialsGet(ctx, client)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return booking.Credentials{}, nil
	}
	known := booking.Credentials{
		Keys:   row.PublicKeys,
		System: booking.SystemRights{Scopes: row.Scopes, Lpus: row.LpuGuids, EveryLpu: row.EveryLpu},
	}
	copy(known.Secret[:], row.SecretHash)
	copy(known.Previous[:], row.PreviousSecretHash)
	if row.PreviousSecretUntil != nil {
		known.PreviousUntil = *row.PreviousSecretUntil
	}
	return known, err
}

// AddClient implements booking.ClientStore.
func (s *Store) AddClient(ctx context.Context, client booking.Client, secret, keys []byte) error {
	return interpretError(db.New(s.pool).ClientCreate(ctx, db.ClientCreateParams{
		Guid: client.Guid, Name: client.Name,
		VisitDirection:         int32(client.Rights.SameLpu),
		VisitDirectionOtherLpu: int32(client.Rights.OtherLpu),
		OutOfSchedule:          client.Rights.OutOfSchedule,
		SecretHash:             secret, PublicKeys: keys,
		// Not nil, which would be NULL.
		Scopes:   append([]string{}, client.System.Scopes...),
		LpuGuids: append([]uuid.UUID{}, client.System.Lpus...),
		EveryLpu: client.System.EveryLpu,
	}))
}

// RotateSecret implements booking.ClientStore.
func (s *Store) RotateSecret(
	ctx context.Context, client uuid.UUID, hash [sha256.Size]byte, previousUntil time.Time,
) error {
	return oneClient(db.New(s.pool).ClientSecretRotate(ctx, previousUntil, hash[:], client))
}

// SetActive implements booking.ClientStore.
func (s *Store) SetActive(ctx context.Context, client uuid.UUID, active bool) error {
	return oneClient(db.New(s.pool).ClientActivate(ctx, active, client))
}

// oneClient returns ErrNoClient if a statement has changed no row.
func oneClient(changed int64, err error) error {
	if err == nil && changed == 0 {
		return booking.ErrNoClient
	}
	return interpretError(err)
}

// Clients implements booking.ClientStore.
func (s *Store) Clients(ctx context.Context) ([]booking.Client, error) {
	rows, err := db.New(s.pool).ClientList(ctx)
	if err != nil {
		return nil, interpretError(err)
	}
	clients := make([]booking.Client, len(rows))
	for i, row := range rows {
		clients[i] = booking.Client{
			Guid: row.Guid, Name: row.Name, Active: row.Active,
			Rights:    accessRights(row.VisitDirection, row.VisitDirectionOtherLpu, row.OutOfSchedule),
			System:    booking.SystemRights{Scopes: row.Scopes, Lpus: row.LpuGuids, EveryLpu: row.EveryLpu},
			HasSecret: row.HasSecret, HasKeys: row.HasKeys,
		}
		if row.PreviousSecretUntil != nil {
			clients[i].PreviousUntil = *row.PreviousSecretUntil
		}
	}
	return clients, nil
}

func accessRights(sameLpu, otherLpu int32, outOfSchedule bool) booking.Rights {
	return booking.Rights{
		SameLpu: booking.Access(sameLpu), OtherLpu: booking.Access(otherLpu), OutOfSchedule: outOfSchedule,
	}
}

// UseAssertion implements booking.ClientStore. It is not retried: a try whose outcome is unknown
// may have stored the use.
func (s *Store) UseAssertion(
	ctx context.Context, client uuid.UUID, id [sha256.Size]byte, until time.Time,
) (first bool, err error) {
	added, err := db.New(s.pool).ClientAssertionAdd(ctx, client, id[:], until)
	return added == 1, interpretError(err)
}

// SweepAssertions implements booking.ClientStore.
func (s *Store) SweepAssertions(ctx context.Context, now time.Time, most int) (int, error) {
	swept, err := db.New(s.pool).ClientAssertionSweep(ctx, now.Add(-booking.AssertionGrace), int32(most))
	return int(swept), interpretError(err)
}
