-- name: HeldCellsCount :batchone
-- Counts cells of a resource as held by a person or through a client application. The row stays
-- locked until the commit, so that concurrent holds see each other.
INSERT INTO held_cells AS h (lpu_guid, resource_guid, holder_guid, cells, since)
VALUES (@lpu_guid, @resource_guid, @holder_guid, @cells, @at)
ON CONFLICT (lpu_guid, resource_guid, holder_guid) DO UPDATE
SET cells = CASE WHEN h.since <= @forgotten THEN excluded.cells ELSE h.cells + excluded.cells END,
    since = CASE WHEN h.since <= @forgotten THEN excluded.since ELSE h.since END
RETURNING cells, since;

-- name: HeldCellsForget :batchexec
-- Deletes up to 100 old counts of a resource, except those that are in use.
DELETE FROM held_cells h
USING (
    SELECT old.holder_guid FROM held_cells old
    WHERE old.lpu_guid = @lpu_guid AND old.resource_guid = @resource_guid AND old.since <= @forgotten
    LIMIT 100
    FOR UPDATE SKIP LOCKED
) forgotten
WHERE h.lpu_guid = @lpu_guid AND h.resource_guid = @resource_guid AND h.holder_guid = forgotten.holder_guid;
