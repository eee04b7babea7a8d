-- name: WorkListResources :batchmany
-- Returns the resources of an institution that may have visits of the work list: those with a
-- withdrawn or absent cell that has visits and begins at @from_at or later, those that are not
-- active, those with an absence that ends later, and those with visits without an accepted receipt.
SELECT s.resource_guid AS guid
FROM slot s
WHERE s.lpu_guid = @lpu_guid AND s.closed_by <> 0 AND s.start_at >= @from_at AND s.closed_by & 6 <> 0 AND s.taken > 0
UNION
SELECT r.guid
FROM resource r
WHERE r.lpu_guid = @lpu_guid AND NOT r.active
UNION
SELECT b.resource_guid
FROM absence b
WHERE b.lpu_guid = @lpu_guid AND b.lifted_at IS NULL AND b.to_at > @from_at
UNION
SELECT a.resource_guid
FROM appointment a
WHERE a.lpu_guid = @lpu_guid AND a.start_at >= @from_at AND a.cancelled_at IS NULL
    AND (a.receipt_status = 'rejected' OR a.receipt_status IS NULL AND a.updated_at <= sqlc.narg(unconfirmed_at));

-- name: WorkListVisits :batchmany
-- Returns the active visits to the given resources that have not begun at @at and cannot take place
-- as they are booked, or are not in the institution's books although they were last changed at
-- @unconfirmed_at or before, in order of start and guid, after a position. All begin at @from_at or
-- later. A visit for a day begins when the day is over. Without @unconfirmed_at no visit needs a
-- receipt.
SELECT a.guid, a.start_at, a.end_at, a.resource_guid, a.slot_guids, a.direction_guid, a.mkab_guid, r.active AS resource_active, cells.withdrawn::boolean AS withdrawn,
    (cells.absent OR out.absent)::boolean AS absent, (a.receipt_status IS NOT DISTINCT FROM 'rejected')::boolean AS rejected
FROM appointment a
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = a.resource_guid
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(s.closed_by & 2 <> 0), false) AS withdrawn, coalesce(bool_or(s.closed_by & 4 <> 0), false) AS absent
    FROM slot s
    WHERE s.lpu_guid = @lpu_guid AND s.guid = ANY(a.slot_guids)
) cells
CROSS JOIN LATERAL (
    SELECT (a.out_of_schedule AND EXISTS (
        SELECT 1 FROM absence b
        WHERE b.lpu_guid = @lpu_guid AND b.resource_guid = a.resource_guid AND b.lifted_at IS NULL
            AND b.to_at > a.start_at AND b.to_at > @at AND (b.from_at <= a.start_at OR b.from_at < a.end_at))) AS absent
) out
WHERE a.lpu_guid = @lpu_guid AND a.resource_guid = ANY(@resource_guids::uuid[]) AND a.cancelled_at IS NULL AND a.start_at >= @from_at
    AND (a.start_at, a.guid) > (@from_at, @after_guid::uuid)
    AND (a.start_at >= @at OR a.out_of_schedule AND a.end_at > @at)
    AND (NOT r.active OR cells.withdrawn OR cells.absent OR out.absent OR a.receipt_status = 'rejected'
        OR a.receipt_status IS NULL AND a.attendance = 'none' AND a.updated_at <= sqlc.narg(unconfirmed_at))
ORDER BY a.start_at, a.guid
LIMIT @most;
