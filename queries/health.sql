-- name: HealthCheck :one
-- Whether the database answers and takes writes: a standby answers false, and a server that was made read-only.
SELECT (NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off')::boolean AS writable;
