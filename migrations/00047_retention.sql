-- How long the past is kept: how far the sweep of each institution has come, and what it reads by.

-- +goose NO TRANSACTION
-- +goose Up

-- The statements can be repeated: an index whose creation was interrupted is invalid, and is created anew.
CREATE TABLE IF NOT EXISTS retention (
    lpu_guid    uuid PRIMARY KEY,
    swept_at    timestamptz NOT NULL,
    free_before timestamptz NOT NULL
);
COMMENT ON TABLE retention IS 'How far the sweep of the past (очистка) has come in each institution.';
COMMENT ON COLUMN retention.swept_at IS 'When nothing was left to be deleted. The instance that has locked the row sweeps the institution.';
COMMENT ON COLUMN retention.free_before IS 'Free cells that began before were deleted. The sweep does not read the booked ones among them again.';

-- Without it the foreign key would read all visits of the institution for each referral that is deleted.
DROP INDEX CONCURRENTLY IF EXISTS appointment_of_direction;
CREATE INDEX CONCURRENTLY appointment_of_direction ON appointment (lpu_guid, direction_guid);
DROP INDEX CONCURRENTLY IF EXISTS direction_by_end;
CREATE INDEX CONCURRENTLY direction_by_end ON direction (lpu_guid, date_end) WHERE copied_from_lpu_guid IS NULL;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS direction_by_end;
DROP INDEX CONCURRENTLY IF EXISTS appointment_of_direction;
DROP TABLE IF EXISTS retention;
