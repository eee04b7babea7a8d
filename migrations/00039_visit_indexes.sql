-- How an institution lists its visits. A no-show does not keep its referral from another visit.

-- +goose NO TRANSACTION
-- +goose Up

-- The statements can be repeated: an index whose creation was interrupted is invalid, and is created anew.
DROP INDEX CONCURRENTLY IF EXISTS appointment_by_start;
CREATE INDEX CONCURRENTLY appointment_by_start ON appointment (lpu_guid, start_at, guid);
DROP INDEX CONCURRENTLY IF EXISTS appointment_by_update;
CREATE INDEX CONCURRENTLY appointment_by_update ON appointment (lpu_guid, updated_at, guid);

DROP INDEX CONCURRENTLY IF EXISTS appointment_one_in_force;
CREATE UNIQUE INDEX CONCURRENTLY appointment_one_in_force ON appointment (lpu_guid, direction_guid) WHERE cancelled_at IS NULL AND attendance <> 'no_show';
DROP INDEX CONCURRENTLY IF EXISTS appointment_one_active;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS appointment_one_active;
CREATE UNIQUE INDEX CONCURRENTLY appointment_one_active ON appointment (lpu_guid, direction_guid) WHERE cancelled_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS appointment_one_in_force;
DROP INDEX CONCURRENTLY IF EXISTS appointment_by_update;
DROP INDEX CONCURRENTLY IF EXISTS appointment_by_start;
