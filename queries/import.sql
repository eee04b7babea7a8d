-- name: ImportCountUnfinished :one
-- Returns the number of unfinished imports of a client application, of at most @most.
SELECT count(*) FROM (
    SELECT 1 FROM import
    WHERE client_guid = @client_guid AND finished_at IS NULL
    LIMIT @most
) unfinished;

-- name: ImportAdd :exec
INSERT INTO import (guid, client_guid, scopes, lpu_guids, every_lpu, dry_run, on_error, state, created_at, reserved_until)
VALUES (@guid, @client_guid, @scopes, @lpu_guids, @every_lpu, @dry_run, @on_error, @state, @created_at, @reserved_until);

-- name: ImportUploaded :batchone
-- Counts a stored chunk. Returns no row if the import has ended.
UPDATE import
SET total = total + @messages, chunks = @number + 1, reserved_until = @reserved_until
WHERE guid = @guid AND state = 'uploading'
RETURNING guid;

-- name: ImportChunkAdd :batchexec
INSERT INTO import_chunk (import_guid, number, content)
VALUES (@import_guid, @number, @content);

-- name: ImportSetState :batchone
-- Changes the state of an import that has not ended. Returns no row if it has, or if it is not the
-- worker's. Without a worker, it does not matter whose it is.
UPDATE import
SET state = @state, problem = @problem, finished_at = sqlc.narg(finished_at)::timestamptz, reserved_until = @at
WHERE guid = @guid AND finished_at IS NULL AND (sqlc.narg(worker)::uuid IS NULL OR worker = sqlc.narg(worker))
RETURNING guid;

-- name: ImportChunksDelete :batchexec
DELETE FROM import_chunk WHERE import_guid = @import_guid;

-- name: ImportGet :one
SELECT * FROM import WHERE guid = @guid AND client_guid = @client_guid;

-- name: ImportsWaiting :many
-- Returns the oldest import of each client application that no worker works on, the oldest first.
SELECT i.guid, i.client_guid, i.state, i.dry_run, i.on_error, i.chunks
FROM (
    SELECT DISTINCT ON (client_guid) guid, client_guid, state, dry_run, on_error, chunks, created_at
    FROM import
    WHERE finished_at IS NULL AND state <> 'uploading' AND reserved_until <= @at
    ORDER BY client_guid, created_at
) i
ORDER BY i.created_at
LIMIT @most;

-- name: ImportBacklog :one
-- Returns how many imports no worker works on, at most @most, and since when the one that has
-- waited longest does, which is @at if there is none.
SELECT count(*) AS waiting, coalesce(min(i.reserved_until), @at)::timestamptz AS oldest
FROM (
    SELECT reserved_until FROM import
    WHERE finished_at IS NULL AND state <> 'uploading' AND reserved_until <= @at
    ORDER BY reserved_until
    LIMIT @most
) i;

-- name: ImportsCutOff :many
-- Returns imports whose file has stopped arriving, the oldest first.
SELECT guid FROM import
WHERE finished_at IS NULL AND state = 'uploading' AND reserved_until <= @at
ORDER BY created_at
LIMIT @most;

-- name: ImportClaim :one
-- Reserves an import for a worker. Returns no row if another one has been faster.
UPDATE import
SET worker = @worker, reserved_until = @reserved_until
WHERE guid = @guid AND finished_at IS NULL AND state <> 'uploading' AND reserved_until <= @at
RETURNING *;

-- name: ImportRenew :exec
-- Extends the reservation of an import of a worker.
UPDATE import
SET reserved_until = @reserved_until
WHERE guid = @guid AND worker = @worker AND finished_at IS NULL;

-- name: ImportChunkGet :one
-- Returns a chunk, and the last recovery of the database.
SELECT content, pg_stat_get_bgwriter_stat_reset_time()::timestamptz AS recovered_at
FROM import_chunk
WHERE import_guid = @import_guid AND number = @number;

-- name: ImportSaveProgress :batchexec
-- Stores the results of an import so far.
UPDATE import
SET state = @state, next_chunk = @next_chunk, done = @done, changed = @changed, failed = @failed, cells_added = @cells_added, cells_changed = @cells_changed,
    cells_withdrawn = @cells_withdrawn, cells_unchanged = @cells_unchanged, cells_superseded = @cells_superseded, conflicts = @conflicts,
    reserved_until = @reserved_until
WHERE guid = @guid;

-- name: ImportLock :batchone
-- Locks an import of a worker, and returns the last recovery of the database: PostgreSQL resets its
-- statistics when it starts after a crash, and a standby has its own. Returns no row if the import
-- has ended, or is another worker's.
SELECT pg_stat_get_bgwriter_stat_reset_time()::timestamptz AS recovered_at
FROM import
WHERE guid = @guid AND worker = @worker AND finished_at IS NULL
FOR UPDATE;

-- name: ImportErrorsAdd :batchexec
-- Adds errors. One of a line that has an error is not added: the progress was stored before.
INSERT INTO import_error (import_guid, line, error)
SELECT @import_guid, unnest(@lines::bigint[]), unnest(@errors::jsonb[])
ON CONFLICT DO NOTHING;

-- name: ImportErrorsDelete :batchexec
DELETE FROM import_error WHERE import_guid = @import_guid;

-- name: ImportErrorList :many
SELECT line, error FROM import_error
WHERE import_guid = @import_guid AND line > @after
ORDER BY line
LIMIT @most;

-- name: ImportsEnded :many
-- Returns imports that ended before a time, the oldest first.
SELECT guid FROM import
WHERE finished_at < @before::timestamptz
ORDER BY finished_at
LIMIT @most;

-- name: ImportDelete :batchexec
DELETE FROM import WHERE guid = @guid;
