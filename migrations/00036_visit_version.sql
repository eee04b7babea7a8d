-- The version of a visit.

-- +goose Up

ALTER TABLE appointment ADD COLUMN version bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN appointment.version IS 'Counts the changes of the visit: 1 when it is booked, 1 more with each move, cancel and change of its attendance.';

-- +goose Down

ALTER TABLE appointment DROP COLUMN version;
