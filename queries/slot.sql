-- name: SlotFacts :batchmany
-- A cell, by its id or else its guid, and cells of the same resource that begin after it, so many in all, and those that begin with the last; in order
-- of time.
SELECT
    s.guid, s.start_at, s.end_at, s.capacity, s.taken, s.flag_access, s.blocked, s.restriction,
    b.reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code, r.active AS resource_active
FROM slot chosen
JOIN resource r ON r.lpu_guid = chosen.lpu_guid AND r.guid = chosen.resource_guid
CROSS JOIN LATERAL (
    SELECT cell.*
    FROM slot cell
    WHERE cell.lpu_guid = chosen.lpu_guid AND cell.resource_guid = chosen.resource_guid AND cell.start_at >= chosen.start_at
        AND (cell.guid = chosen.guid OR cell.start_at >= chosen.end_at)
    -- In the index's order: were the guid part of it, all later cells of the resource would be read and sorted.
    ORDER BY cell.start_at
    FETCH FIRST (@most) ROWS WITH TIES
) s
JOIN busy_type b ON b.code = s.busy_type
WHERE chosen.lpu_guid = @lpu_guid
    AND chosen.guid = coalesce(sqlc.narg(guid), (SELECT by_id.guid FROM slot by_id WHERE by_id.lpu_guid = @lpu_guid AND by_id.id = sqlc.narg(id)))
ORDER BY s.start_at, s.guid;
