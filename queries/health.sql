-- name: HealthCheck :one
-- Returns whether the database accepts writes. It is false on a standby and on a read-only server.
SELECT (NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off')::boolean AS writable;
