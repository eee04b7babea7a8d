package postgres

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/telemetry"
	"talon.example/migrations"
)

// Promise: the backlog shows waiting events with the age of the oldest, what waits for webhooks,
// webhooks that fail or were switched off, and institutions whose systems are silent. Schedules
// that only absences have made have no source. If nothing waits, all ages are exactly zero.
func TestBacklog(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	schema, err := migrations.Latest()
	require.NoError(t, err)
	backlog, err := d.store.Backlog(t.Context(), moment.Add(999*time.Nanosecond))
	require.NoError(t, err)
	require.Equal(t, &telemetry.Backlog{Schema: schema}, backlog)

	for _, age := range []time.Duration{time.Minute, time.Second} {
		d.exec(addEvent, d.to, moment.Add(-age), uuid.New(), 1)
	}
	d.exec(`UPDATE webhook SET failures = 3`)
	d.exec(`INSERT INTO webhook_retry (webhook_guid, position, recorded_at, attempts, since, next_at)
		VALUES ($1, 1, $2, 1, $3, $2), ($1, 2, $2, 1, $4, $2)`,
		d.webhook.Guid, moment, moment.Add(-time.Hour), moment.Add(-time.Minute))
	d.exec(`INSERT INTO webhook (guid, client_guid, url, types, status, created_at, updated_at, recorded_at, position)
		SELECT gen_random_uuid(), client_guid, url, types, s, created_at, updated_at, recorded_at, position
		FROM webhook, unnest('{gone,failed,paused}'::text[]) s`)
	for lpu, age := range map[uuid.UUID]time.Duration{d.to: 25 * time.Hour, d.from: 30 * time.Hour} {
		for version := range 2 { // with version 0 there were only absences
			resource := uuid.New()
			d.exec(`INSERT INTO resource (lpu_guid, guid, kind, name, speciality_code) VALUES ($1, $2, 'doctor', 'Врач', '92')`,
				lpu, resource)
			d.exec(`INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at) VALUES ($1, $2, $3, $4)`,
				lpu, resource, version, moment.Add(-age*time.Duration(2-version)))
		}
	}
	recent := uuid.New()
	d.exec(`INSERT INTO resource (lpu_guid, guid, kind, name, speciality_code) VALUES ($1, $2, 'doctor', 'Врач', '92')`,
		d.to, recent)
	d.exec(`INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at) VALUES ($1, $2, 1, $3)`,
		d.to, recent, moment)
	backlog, err = d.store.Backlog(t.Context(), moment)
	require.NoError(t, err)
	require.Equal(t, &telemetry.Backlog{
		Events: 2, OldestEvent: time.Minute, Deliveries: 2, OldestDelayed: time.Hour, Failing: 1, Disabled: 2,
		Institutions: 2, Silent: 1, ScheduleLag: 30 * time.Hour, Schema: schema,
	}, backlog)
}
