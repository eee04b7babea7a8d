-- name: ResourceFacts :batchone
-- Returns a resource for a visit out of schedule.
SELECT guid, kind, name, speciality_code, active
FROM resource
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: ResourceWithSlots :batchone
-- Returns one resource of an institution that has cells at or after a moment. With @resource_guid
-- it is that resource. Otherwise it is any active one; with @speciality_code, one of that
-- speciality that is not equipment. With @fresh_since it is not a stale one.
SELECT r.kind, r.speciality_code, r.active
FROM resource r
-- The limit makes the planner look up the cells of each resource in their index.
CROSS JOIN LATERAL (
    SELECT 1 AS one FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = r.guid AND cell.start_at >= @from_at
    LIMIT 1
) s
WHERE r.lpu_guid = @lpu_guid
    AND NOT (sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND EXISTS (
        SELECT 1 FROM schedule_source c WHERE c.lpu_guid = @lpu_guid AND c.resource_guid = r.guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since)))
    AND (sqlc.narg(resource_guid)::uuid IS NOT NULL
        OR r.active AND (sqlc.narg(speciality_code)::text IS NULL OR r.speciality_code = sqlc.narg(speciality_code)::text AND r.kind <> 'equipment'))
    AND r.guid = ANY(CASE
        WHEN sqlc.narg(resource_guid)::uuid IS NOT NULL THEN ARRAY[sqlc.narg(resource_guid)::uuid]
        WHEN sqlc.narg(speciality_code)::text IS NOT NULL
            THEN ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid AND one.speciality_code = sqlc.narg(speciality_code)::text)
        ELSE ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid)
    END)
LIMIT 1;
