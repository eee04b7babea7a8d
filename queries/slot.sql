-- name: SlotFactsOne :batchone
-- A cell, by its id or else its guid, and its resource. A place that is held by another than the person is taken.
SELECT
    s.guid, s.start_at, s.end_at, s.capacity, (s.taken + coalesce(slot_held(s.holds, @at, @person_guid), 0))::integer AS taken, s.flag_access, s.blocked, s.restriction,
    slot_held_by(s.holds, @at, @person_guid)::uuid[] AS held_by_person,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code, r.active AS resource_active
FROM slot s
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = s.resource_guid
WHERE s.lpu_guid = @lpu_guid
    AND s.id = coalesce(sqlc.narg(id), (SELECT by_guid.id FROM slot by_guid WHERE by_guid.lpu_guid = @lpu_guid AND by_guid.guid = sqlc.narg(guid)));

-- name: SlotFacts :batchmany
-- What SlotFactsOne reads, and of the same resource cells that begin after that cell, so many in all, and those that begin with the last; in order of time.
SELECT
    s.guid, s.start_at, s.end_at, s.capacity, (s.taken + coalesce(slot_held(s.holds, @at, @person_guid), 0))::integer AS taken, s.flag_access, s.blocked, s.restriction,
    slot_held_by(s.holds, @at, @person_guid)::uuid[] AS held_by_person,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code, r.active AS resource_active
FROM slot chosen
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = chosen.resource_guid
CROSS JOIN LATERAL (
    SELECT cell.*
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = chosen.resource_guid AND cell.start_at >= chosen.start_at
        AND (cell.guid = chosen.guid OR cell.start_at >= chosen.end_at)
    -- In the index's order: were the guid part of it, all later cells of the resource would be read and sorted.
    ORDER BY cell.start_at
    FETCH FIRST (@most) ROWS WITH TIES
) s
WHERE chosen.lpu_guid = @lpu_guid
    AND chosen.guid = coalesce(sqlc.narg(guid), (SELECT by_id.guid FROM slot by_id WHERE by_id.lpu_guid = @lpu_guid AND by_id.id = sqlc.narg(id)))
ORDER BY s.start_at, s.guid;

-- name: SlotSearch :batchmany
-- Cells of one resource or of one speciality's in an institution that begin within a period, in order of time, at most so many; of those that begin with the
-- period only the ones after a guid, where that is given. Not all: only those that somebody with these bits may have, of these restrictions.
-- A place that is held by another than the person is taken; one in a cell of the person's own, which is to be given back, is free.
SELECT
    s.id, s.guid, s.start_at, s.end_at, s.capacity,
    (s.taken + coalesce(slot_held(s.holds, @at, @person_guid), 0) - (s.guid = ANY(@own_guids::uuid[]) IS TRUE)::integer)::integer AS taken,
    s.flag_access, s.blocked, s.restriction,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code, r.active AS resource_active
FROM resource r
CROSS JOIN LATERAL (
    SELECT cell.*
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = r.guid AND cell.start_at >= @from_at AND cell.start_at < @to_at
        AND (sqlc.narg(after_guid)::uuid IS NULL OR cell.start_at > @from_at OR cell.guid > sqlc.narg(after_guid)::uuid)
        AND (@all_of_them::boolean OR slot_bookable(cell.guid, cell.taken, cell.capacity, cell.holds, cell.busy_type, cell.blocked, cell.flag_access, cell.restriction,
            @receptions::integer[], @access::integer, (SELECT CAST(@restrictions::text[] AS slot_restriction[])), @at, @person_guid, @own_guids::uuid[]))
    -- In the index's order, so that no more is read of a resource than can be answered.
    ORDER BY cell.start_at
    FETCH FIRST (@most) ROWS WITH TIES
) s
WHERE r.lpu_guid = @lpu_guid AND (@all_of_them::boolean OR r.active)
    AND (sqlc.narg(speciality_code)::text IS NULL OR r.speciality_code = sqlc.narg(speciality_code)::text)
    -- One plan for both: whichever resources are asked for, they are found by an index.
    AND r.guid = ANY(CASE
        WHEN sqlc.narg(resource_guid)::uuid IS NOT NULL THEN ARRAY[sqlc.narg(resource_guid)::uuid]
        ELSE ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid AND one.speciality_code = sqlc.narg(speciality_code)::text)
    END)
ORDER BY s.start_at, s.guid
LIMIT @most;

-- name: SlotSearchAll :batchmany
-- SlotSearch for all resources of an institution. It reads the cells in order of time, so that the number of resources does not matter.
SELECT
    s.id, s.guid, s.start_at, s.end_at, s.capacity,
    (s.taken + coalesce(slot_held(s.holds, @at, @person_guid), 0) - (s.guid = ANY(@own_guids::uuid[]) IS TRUE)::integer)::integer AS taken,
    s.flag_access, s.blocked, s.restriction,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code, r.active AS resource_active
FROM (
    SELECT earliest.*
    FROM (
        SELECT cell.*
        FROM slot cell
        WHERE cell.lpu_guid = @lpu_guid AND cell.start_at >= @from_at AND cell.start_at < @to_at
            AND (sqlc.narg(after_guid)::uuid IS NULL OR cell.start_at > @from_at OR cell.guid > sqlc.narg(after_guid)::uuid)
            AND (@all_of_them::boolean
                OR slot_bookable(cell.guid, cell.taken, cell.capacity, cell.holds, cell.busy_type, cell.blocked, cell.flag_access, cell.restriction,
                    @receptions::integer[], @access::integer, (SELECT CAST(@restrictions::text[] AS slot_restriction[])), @at, @person_guid, @own_guids::uuid[])
                -- Resources out of use are few: they are read once, instead of the resource of each cell.
                AND cell.resource_guid <> ALL(ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid AND NOT one.active)))
        -- In the index's order, so that it stops there: to sort by the guid, too, may read all cells of the period.
        ORDER BY cell.start_at
        FETCH FIRST (@most) ROWS WITH TIES
    ) earliest
    ORDER BY earliest.start_at, earliest.guid
    LIMIT @most
) s
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = s.resource_guid
ORDER BY s.start_at, s.guid;

-- name: SlotNearest :many
-- Cells of one resource or of one speciality's in an institution that somebody with these bits may have, of these restrictions, the nearest to a moment first,
-- at most so many: those that begin before it within the period, and those that begin with it or after. Places are counted as in SlotSearch.
SELECT
    s.id, s.guid, s.start_at, s.end_at, s.capacity,
    (s.taken + coalesce(slot_held(s.holds, @at, @person_guid), 0) - (s.guid = ANY(@own_guids::uuid[]) IS TRUE)::integer)::integer AS taken,
    s.flag_access, s.restriction,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code
FROM resource r
CROSS JOIN LATERAL (
    (
        SELECT cell.*
        FROM slot cell
        WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = r.guid AND cell.start_at >= @from_at AND cell.start_at < @wanted_at
            AND slot_bookable(cell.guid, cell.taken, cell.capacity, cell.holds, cell.busy_type, cell.blocked, cell.flag_access, cell.restriction,
                @receptions::integer[], @access::integer, (SELECT CAST(@restrictions::text[] AS slot_restriction[])), @at, @person_guid, @own_guids::uuid[])
        ORDER BY cell.start_at DESC
        LIMIT @most
    )
    UNION ALL
    (
        SELECT cell.*
        FROM slot cell
        WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = r.guid AND cell.start_at >= @wanted_at AND cell.start_at < @to_at
            AND slot_bookable(cell.guid, cell.taken, cell.capacity, cell.holds, cell.busy_type, cell.blocked, cell.flag_access, cell.restriction,
                @receptions::integer[], @access::integer, (SELECT CAST(@restrictions::text[] AS slot_restriction[])), @at, @person_guid, @own_guids::uuid[])
        ORDER BY cell.start_at
        LIMIT @most
    )
) s
WHERE r.lpu_guid = @lpu_guid AND r.active
    AND r.guid = ANY(CASE
        WHEN sqlc.narg(resource_guid)::uuid IS NOT NULL THEN ARRAY[sqlc.narg(resource_guid)::uuid]
        ELSE ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid AND one.speciality_code = sqlc.narg(speciality_code)::text)
    END)
ORDER BY abs(extract(epoch FROM s.start_at - @wanted_at)), s.start_at, s.guid
LIMIT @most;

-- name: SlotFollowers :batchmany
-- What SlotFacts reads after a chosen cell, for several cells of an institution. Places are counted as in SlotSearch.
SELECT
    chosen.guid AS chosen_guid, s.guid, s.start_at, s.end_at, s.capacity,
    (s.taken + coalesce(slot_held(s.holds, @at, @person_guid), 0) - (s.guid = ANY(@own_guids::uuid[]) IS TRUE)::integer)::integer AS taken,
    s.flag_access, s.blocked, s.restriction, (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception
FROM slot chosen
CROSS JOIN LATERAL (
    SELECT cell.*
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = chosen.resource_guid AND cell.start_at >= chosen.end_at
    ORDER BY cell.start_at
    FETCH FIRST (@most) ROWS WITH TIES
) s
WHERE chosen.lpu_guid = @lpu_guid AND chosen.guid = ANY(@guids::uuid[])
ORDER BY chosen.guid, s.start_at, s.guid;

-- name: SlotLock :batchmany
-- Locks cells in the order in which a booking does.
SELECT guid
FROM slot
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[])
ORDER BY start_at, guid
FOR NO KEY UPDATE;

-- name: SlotTake :batchmany
-- Promise 1: takes a place in each cell of a visit, under the conditions that the rules checked. A place that is held is taken. The rows are the cells that
-- it got. Several cells must be locked before, by SlotLock.
UPDATE slot s
SET taken = s.taken + 1, holds = slot_holds(s.holds, @at)
WHERE s.lpu_guid = @lpu_guid AND s.guid = ANY(@guids::uuid[])
    AND s.taken + coalesce(cardinality(slot_holds(s.holds, @at)), 0) < s.capacity
    AND NOT s.blocked AND s.flag_access & @access::integer <> 0 AND s.restriction = ANY(CAST(@restrictions::text[] AS slot_restriction[]))
    AND s.start_at >= @at AND s.start_at >= @start_at AND s.start_at < @end_at AND s.end_at <= @end_at AND s.resource_guid = @resource_guid
    AND s.busy_type = ANY(@receptions::integer[])
RETURNING s.guid, s.start_at, s.end_at;

-- name: SlotHold :batchmany
-- Holds a place in each cell, under the conditions of SlotTake. A place in one of the person's own cells, which is to be given back, counts as free.
UPDATE slot s
SET holds = array_append(slot_holds(s.holds, @at), ROW(@guid::uuid, @person_guid::uuid, @until::timestamptz)::slot_hold)
WHERE s.lpu_guid = @lpu_guid AND s.guid = ANY(@guids::uuid[])
    AND s.taken - (s.guid = ANY(@own_guids::uuid[]) IS TRUE)::integer + coalesce(cardinality(slot_holds(s.holds, @at)), 0) < s.capacity
    AND NOT s.blocked AND s.flag_access & @access::integer <> 0 AND s.restriction = ANY(CAST(@restrictions::text[] AS slot_restriction[]))
    AND s.start_at >= @at AND s.start_at >= @start_at AND s.start_at < @end_at AND s.end_at <= @end_at AND s.resource_guid = @resource_guid
    AND s.busy_type = ANY(@receptions::integer[])
RETURNING s.guid, s.start_at, s.end_at;

-- name: SlotFree :batchexec
-- Gives back the places of a visit. Several cells must be locked before, by SlotLock.
UPDATE slot
SET taken = taken - 1
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[]);

-- name: SlotRelease :batchexec
-- Takes a hold off its cells, which are locked.
UPDATE slot s
SET holds = nullif(array_remove(slot_holds(s.holds, @at), ROW(@guid::uuid, @person_guid::uuid, @until::timestamptz)::slot_hold), '{}')
WHERE s.lpu_guid = @lpu_guid AND s.guid = ANY(@guids::uuid[]);
