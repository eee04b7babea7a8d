-- name: ClientCredentialsGet :one
-- Returns the credentials and the rights of an active client application.
SELECT secret_hash, previous_secret_hash, previous_secret_until, public_keys, scopes, lpu_guids, every_lpu
FROM client_application
WHERE guid = @guid AND active;

-- name: ClientLock :batchexec
-- Lets no other transaction that locks the client application run at the same time.
SELECT FROM client_application WHERE guid = @guid FOR NO KEY UPDATE;

-- name: ClientCreate :exec
INSERT INTO client_application (guid, name, visit_direction, visit_direction_other_lpu, out_of_schedule, secret_hash, public_keys, scopes, lpu_guids, every_lpu)
VALUES (@guid, @name, @visit_direction, @visit_direction_other_lpu, @out_of_schedule, sqlc.narg(secret_hash), sqlc.narg(public_keys), @scopes, @lpu_guids, @every_lpu);

-- name: ClientSecretRotate :execrows
-- Replaces the secret. The old one, if there is one, is accepted until @previous_until.
UPDATE client_application
SET previous_secret_hash = secret_hash,
    previous_secret_until = CASE WHEN secret_hash IS NULL THEN NULL ELSE @previous_until::timestamptz END,
    secret_hash = @secret_hash
WHERE guid = @guid;

-- name: ClientActivate :execrows
UPDATE client_application
SET active = @active
WHERE guid = @guid;

-- name: ClientList :many
SELECT guid, name, active, visit_direction, visit_direction_other_lpu, out_of_schedule, scopes, lpu_guids, every_lpu,
    (secret_hash IS NOT NULL)::boolean AS has_secret, (public_keys IS NOT NULL)::boolean AS has_keys, previous_secret_until
FROM client_application
ORDER BY name, guid;

-- name: ClientAssertionAdd :execrows
-- Adds no row if the client application has used the assertion before.
INSERT INTO client_assertion (client_guid, jti_hash, kept_until)
VALUES (@client_guid, @jti_hash, @kept_until)
ON CONFLICT (client_guid, jti_hash) DO NOTHING;

-- name: ClientAssertionSweep :execrows
-- Deletes the oldest assertions that have expired: up to @most, and any that ended with the last of them.
DELETE FROM client_assertion
WHERE kept_until <= (
    SELECT max(old.kept_until)
    FROM (
        SELECT a.kept_until FROM client_assertion a WHERE a.kept_until <= @forgotten ORDER BY a.kept_until LIMIT @most
    ) old
);
