-- name: ClientSecretGet :one
-- The hash of the secret of an active client application; null where it has none.
SELECT secret_hash
FROM client_application
WHERE guid = @guid AND active;

-- name: ClientSecretSet :execrows
UPDATE client_application
SET secret_hash = @secret_hash
WHERE guid = @guid;
