-- name: IdempotencyKeyTake :one
-- Takes a key that is new, that has expired, or whose request has died. A request may take its own
-- key again. Returns no row if another request has the key.
INSERT INTO idempotency_key AS k (person_guid, client_guid, key, request_hash, taken_by, taken_at, running_until)
VALUES (@person_guid, @client_guid, @key, @request_hash, @taken_by, @taken_at, @running_until)
ON CONFLICT (person_guid, client_guid, key) DO UPDATE
SET request_hash = excluded.request_hash, taken_by = excluded.taken_by, taken_at = excluded.taken_at, running_until = excluded.running_until, answer = NULL
WHERE k.taken_at <= @forgotten OR k.taken_by = excluded.taken_by OR (k.answer IS NULL AND k.running_until <= excluded.taken_at)
RETURNING k.key;

-- name: IdempotencyKeyGet :one
SELECT request_hash, answer
FROM idempotency_key
WHERE person_guid = @person_guid AND client_guid = @client_guid AND key = @key;

-- name: IdempotencyKeyAnswer :batchone
-- Stores the response under the key, in the transaction that does the work. Returns no row if
-- another request has taken the key over.
UPDATE idempotency_key
SET answer = @answer
WHERE person_guid = @person_guid AND client_guid = @client_guid AND key = @key AND taken_by = @taken_by AND answer IS NULL
RETURNING key;

-- name: IdempotencyKeyRelease :exec
-- Deletes the key of a rejected request. Rejections are not stored, because the same request may
-- succeed later.
DELETE FROM idempotency_key
WHERE person_guid = @person_guid AND client_guid = @client_guid AND key = @key AND taken_by = @taken_by AND answer IS NULL;

-- name: IdempotencyKeySweep :execrows
-- Deletes the oldest expired keys: up to @most, and any with the same time as the last of them.
DELETE FROM idempotency_key
WHERE taken_at <= (
    SELECT max(old.taken_at)
    FROM (SELECT k.taken_at FROM idempotency_key k WHERE k.taken_at <= @forgotten ORDER BY k.taken_at LIMIT @most) old
);
