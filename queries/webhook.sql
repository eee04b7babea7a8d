-- name: WebhookLock :batchone
-- Locks a webhook and returns it.
SELECT * FROM webhook WHERE guid = @guid FOR UPDATE;

-- name: WebhookGet :one
SELECT * FROM webhook WHERE guid = @guid AND client_guid = @client_guid;

-- name: WebhookList :many
-- Returns the webhooks of a client application, the oldest first.
SELECT * FROM webhook
WHERE client_guid = @client_guid
ORDER BY created_at, guid
LIMIT @most;

-- name: WebhookAdd :batchone
-- Adds a webhook that begins at the end of the feed, unless its client application has @most.
-- Returns no row then.
INSERT INTO webhook (guid, client_guid, url, types, lpu_guid, status, created_at, updated_at, revision, recorded_at, position)
SELECT sqlc.arg(guid)::uuid, sqlc.arg(client_guid)::uuid, sqlc.arg(url)::text, sqlc.arg(types)::text[], sqlc.narg(lpu_guid)::uuid, sqlc.arg(status)::text,
    sqlc.arg(at)::timestamptz, sqlc.arg(at)::timestamptz, sqlc.arg(revision)::bigint, last.recorded_at, last.position
FROM event_recorder last
WHERE (SELECT count(*) FROM webhook w WHERE w.client_guid = sqlc.arg(client_guid)) < sqlc.arg(most)::bigint
RETURNING guid;

-- name: WebhookChange :batchexec
-- Changes a webhook and forgets its failures.
UPDATE webhook
SET url = @url, types = @types, lpu_guid = sqlc.narg(lpu_guid), status = @status, updated_at = @at, revision = revision + 1,
    failures = 0, failing_since = NULL, next_at = NULL
WHERE guid = @guid;

-- name: WebhookTouch :batchexec
-- Lets the deliverer read a webhook again.
UPDATE webhook SET revision = revision + 1 WHERE guid = @guid;

-- name: WebhookRewind :batchexec
-- Sends the events again that were recorded at a time or later.
UPDATE webhook
SET recorded_at = @recorded_at, position = 0, revision = revision + 1
WHERE guid = @guid AND recorded_at >= @recorded_at;

-- name: WebhookDelete :batchexec
DELETE FROM webhook WHERE guid = @guid;

-- name: WebhookKeysDelete :batchexec
DELETE FROM webhook_key WHERE webhook_guid = @webhook_guid;

-- name: WebhookRetriesDelete :batchexec
DELETE FROM webhook_retry WHERE webhook_guid = @webhook_guid;

-- name: WebhookAttemptsShorten :execrows
-- Deletes the oldest attempts of a webhook, at most @most.
DELETE FROM webhook_attempt d
WHERE d.webhook_guid = @webhook_guid AND d.number = ANY(ARRAY(
    SELECT a.number FROM webhook_attempt a WHERE a.webhook_guid = @webhook_guid ORDER BY a.number LIMIT @most
));

-- name: WebhookAttemptsDelete :batchexec
DELETE FROM webhook_attempt WHERE webhook_guid = @webhook_guid;

-- name: WebhookKeyList :many
-- Returns the keys of a webhook that sign at a time, the newest first.
SELECT created_at, secret, seed, expires_at
FROM webhook_key
WHERE webhook_guid = @webhook_guid AND (expires_at IS NULL OR expires_at > @at::timestamptz)
ORDER BY number DESC
LIMIT @most;

-- name: WebhookKeysExpire :batchexec
-- Lets the keys of a webhook end, those that do not end anyway.
UPDATE webhook_key SET expires_at = @expires_at WHERE webhook_guid = @webhook_guid AND expires_at IS NULL;

-- name: WebhookKeyAdd :batchexec
INSERT INTO webhook_key (webhook_guid, created_at, secret, seed) VALUES (@webhook_guid, @created_at, @secret, @seed);

-- name: WebhookKeysSweep :batchexec
-- Deletes the keys of a webhook but the newest ones, and those that have ended.
DELETE FROM webhook_key d
WHERE d.webhook_guid = @webhook_guid AND (d.expires_at <= @at OR d.number NOT IN (
    SELECT k.number FROM webhook_key k WHERE k.webhook_guid = @webhook_guid ORDER BY k.number DESC LIMIT @most
));

-- name: WebhookAttemptList :many
-- Returns attempts of a webhook before a number, the newest first.
SELECT number, at, position, type, attempt, outcome, http_status, milliseconds
FROM webhook_attempt
WHERE webhook_guid = @webhook_guid AND number < @before AND (NOT @failed::boolean OR outcome <> 'delivered')
ORDER BY number DESC
LIMIT @most;

-- name: WebhookAttemptEvents :batchmany
-- Returns the places of events that are in the log of a webhook.
SELECT DISTINCT position, recorded_at
FROM webhook_attempt
WHERE webhook_guid = @webhook_guid AND position = ANY(@positions::bigint[]);

-- name: WebhookAttemptsAdd :batchexec
-- Adds attempts to the log, but not those of webhooks that were deleted. Status 0 means none.
INSERT INTO webhook_attempt (webhook_guid, at, position, recorded_at, type, attempt, outcome, http_status, milliseconds)
SELECT a.webhook_guid, a.at, a.position, a.recorded_at, a.type, a.attempt, a.outcome, nullif(a.http_status, 0), a.milliseconds
FROM (
    SELECT unnest(@webhook_guids::uuid[]) AS webhook_guid, unnest(@at::timestamptz[]) AS at, unnest(@positions::bigint[]) AS position,
        unnest(@recorded_at::timestamptz[]) AS recorded_at, unnest(@types::text[]) AS type, unnest(@attempts::integer[]) AS attempt,
        unnest(@outcomes::text[]) AS outcome, unnest(@http_statuses::integer[]) AS http_status, unnest(@milliseconds::integer[]) AS milliseconds
) a
JOIN webhook w ON w.guid = a.webhook_guid;

-- name: WebhookAttemptSweep :execrows
-- Deletes the oldest attempts: up to @most, and any with the same time as the last of them.
DELETE FROM webhook_attempt
WHERE at <= (
    SELECT max(old.at)
    FROM (SELECT a.at FROM webhook_attempt a WHERE a.at <= @forgotten ORDER BY a.at LIMIT @most) old
);

-- name: WebhookRetryPut :batchexec
-- Lets an event be sent again, unless the webhook was deleted. A later request to send it again
-- remains as it is.
INSERT INTO webhook_retry (webhook_guid, position, recorded_at, attempts, since, next_at)
SELECT guid, sqlc.arg(position)::bigint, sqlc.arg(recorded_at)::timestamptz, sqlc.arg(attempts)::integer, sqlc.arg(since)::timestamptz,
    sqlc.arg(next_at)::timestamptz
FROM webhook
WHERE guid = @webhook_guid
ON CONFLICT (webhook_guid, position) DO UPDATE
SET attempts = excluded.attempts, since = excluded.since, next_at = excluded.next_at
WHERE webhook_retry.since <= excluded.since;

-- name: WebhookRetryDelete :batchexec
-- Lets an event not be sent again that has waited since a time, unless this was requested later.
DELETE FROM webhook_retry WHERE webhook_guid = @webhook_guid AND position = @position AND since = @since;

-- name: WebhookRetriesDue :batchexec
-- Lets all waiting events be sent at once.
UPDATE webhook_retry SET next_at = @at WHERE webhook_guid = @webhook_guid AND next_at > @at;

-- name: WebhookRetriesRestart :batchexec
-- Lets all waiting events be sent at once, and gives them three days again.
UPDATE webhook_retry SET next_at = @at, since = @at WHERE webhook_guid = @webhook_guid;

-- name: WebhookRetryList :many
-- Returns events that have to be sent again by a time, in the order of the feed.
SELECT position, recorded_at, attempts, since
FROM webhook_retry
WHERE webhook_guid = @webhook_guid AND next_at <= @at
ORDER BY position
LIMIT @most;

-- name: WebhookWaiting :batchmany
-- Returns how many events of webhooks have to be sent again, and when the next one is due. Webhooks
-- of which none has are left out.
SELECT webhook_guid, count(*) AS waiting, min(next_at)::timestamptz AS next_at
FROM webhook_retry
WHERE webhook_guid = ANY(@webhook_guids::uuid[])
GROUP BY webhook_guid;

-- name: WebhooksLock :batchmany
-- Locks webhooks.
SELECT guid FROM webhook WHERE guid = ANY(@guids::uuid[]) ORDER BY guid FOR UPDATE;

-- name: WebhookRevisions :many
-- Returns the webhooks to which events are sent.
SELECT guid, revision FROM webhook WHERE status = 'active';

-- name: WebhookFind :one
SELECT * FROM webhook WHERE guid = @guid;

-- name: WebhooksSettle :batchexec
-- Writes the failures of webhooks that were not changed meanwhile. The time 0001-01-01 means none.
UPDATE webhook w
SET failures = r.failures, failing_since = nullif(r.failing_since, '0001-01-01Z'), next_at = nullif(r.next_at, '0001-01-01Z'), status = r.status
FROM (
    SELECT unnest(@guids::uuid[]) AS guid, unnest(@revisions::bigint[]) AS revision, unnest(@failures::integer[]) AS failures, unnest(@failing_since::timestamptz[]) AS failing_since,
        unnest(@next_at::timestamptz[]) AS next_at, unnest(@statuses::text[]) AS status
) r
WHERE w.guid = r.guid AND w.revision = r.revision;

-- name: WebhookIsPlace :one
-- Returns whether the feed has an event at a place, or the place is the one of a webhook.
SELECT (EXISTS (SELECT FROM event e WHERE e.recorded_at = @recorded_at AND e.position = @position)
    OR EXISTS (SELECT FROM webhook w WHERE w.guid = @guid AND w.recorded_at = @recorded_at AND w.position = @position))::boolean;

-- name: WebhooksAdvance :batchmany
-- Writes up to where webhooks were served, and returns which. Leaves those out that were set back
-- meanwhile, and those that were served up to an event that a restored database has lost.
UPDATE webhook w
SET recorded_at = r.recorded_at, position = r.position
FROM (
    SELECT unnest(@guids::uuid[]) AS guid, unnest(@stored_at::timestamptz[]) AS stored_at, unnest(@stored_positions::bigint[]) AS stored_position,
        unnest(@recorded_at::timestamptz[]) AS recorded_at, unnest(@positions::bigint[]) AS position
) r
WHERE w.guid = r.guid AND w.recorded_at = r.stored_at AND w.position = r.stored_position
    AND (r.position = r.stored_position OR EXISTS (SELECT FROM event e WHERE e.recorded_at = r.recorded_at AND e.position = r.position))
RETURNING w.guid;

-- name: WebhookDelivererHold :one
-- Makes an instance the deliverer until a time, or prolongs it. Returns no row if another instance
-- is.
UPDATE webhook_deliverer
SET instance = @instance, until = @until
WHERE instance = @instance OR until <= @at::timestamptz
RETURNING until;

-- name: WebhookDelivererRelease :exec
UPDATE webhook_deliverer SET until = @at WHERE instance = @instance;

-- name: WebhookBacklog :one
-- Returns how many events have to be sent again, at most @most of each webhook, since when the oldest
-- of them has been tried, which is @at if there is none, and how many webhooks fail, or were
-- switched off because they did.
SELECT count(*) AS waiting, coalesce(min(r.since), @at)::timestamptz AS oldest,
    (SELECT count(*) FROM webhook w WHERE w.status = 'active' AND w.failures > 0) AS failing,
    (SELECT count(*) FROM webhook w WHERE w.status IN ('gone', 'failed')) AS disabled
FROM webhook one
CROSS JOIN LATERAL (SELECT retry.since FROM webhook_retry retry WHERE retry.webhook_guid = one.guid LIMIT @most) r;
