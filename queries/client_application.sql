-- name: ClientSecretGet :one
-- Returns the hash of an active client application's secret, or NULL if it has no secret.
SELECT secret_hash
FROM client_application
WHERE guid = @guid AND active;

-- name: ClientSecretSet :execrows
UPDATE client_application
SET secret_hash = @secret_hash
WHERE guid = @guid;
