-- name: HealthCheck :one
-- Whether the database answers and takes writes: a standby answers false.
SELECT (NOT pg_is_in_recovery())::boolean AS writable;
