-- name: ClientSecretGet :one
-- The hash of the secret of a client application; null where it has none.
SELECT secret_hash
FROM client_application
WHERE guid = @guid;

-- name: ClientSecretSet :execrows
UPDATE client_application
SET secret_hash = @secret_hash
WHERE guid = @guid;
