-- What an institution looks up: its visits by resource and time, and its closed cells.

-- +goose NO TRANSACTION
-- +goose Up

-- Each statement can be repeated: an index whose creation was interrupted is invalid, and is created anew.
ALTER TABLE slot VALIDATE CONSTRAINT slot_closed;
DROP INDEX CONCURRENTLY IF EXISTS appointment_of_resource;
CREATE INDEX CONCURRENTLY appointment_of_resource ON appointment (lpu_guid, resource_guid, start_at) WHERE cancelled_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS slot_closed_cells;
CREATE INDEX CONCURRENTLY slot_closed_cells ON slot (lpu_guid, start_at) WHERE closed_by <> 0;

-- +goose Down

DROP INDEX CONCURRENTLY slot_closed_cells;
DROP INDEX CONCURRENTLY appointment_of_resource;
