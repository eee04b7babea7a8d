-- name: SlotFactsOne :batchone
-- Returns a cell and its resource. @id takes precedence over @guid. A place that another person
-- holds counts as taken. The resource is stale if its source has not confirmed its schedule since
-- @fresh_since; without that moment, the source is not read.
SELECT
    s.guid, s.start_at, s.end_at, s.capacity, slot_taken(s.guid, s.taken, s.holds, @at, @person_guid, NULL)::integer AS taken, s.flag_access, s.blocked, s.restriction,
    slot_held_by(s.holds, @at, @person_guid)::uuid[] AS held_by_person,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code, r.active AS resource_active,
    (sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND EXISTS (
        SELECT 1 FROM schedule_source c WHERE c.lpu_guid = @lpu_guid AND c.resource_guid = r.guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since)))::boolean AS resource_stale
FROM slot s
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = s.resource_guid
WHERE s.lpu_guid = @lpu_guid
    AND s.id = coalesce(sqlc.narg(id), (SELECT by_guid.id FROM slot by_guid WHERE by_guid.lpu_guid = @lpu_guid AND by_guid.guid = sqlc.narg(guid)));

-- name: SlotFacts :batchmany
-- Returns the columns of SlotFactsOne for a cell and for the cells of the same resource that begin
-- at or after its end, in order of time: @most rows, and any that begin with the last of them.
SELECT
    s.guid, s.start_at, s.end_at, s.capacity, slot_taken(s.guid, s.taken, s.holds, @at, @person_guid, NULL)::integer AS taken, s.flag_access, s.blocked, s.restriction,
    slot_held_by(s.holds, @at, @person_guid)::uuid[] AS held_by_person,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code, r.active AS resource_active,
    (sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND EXISTS (
        SELECT 1 FROM schedule_source c WHERE c.lpu_guid = @lpu_guid AND c.resource_guid = r.guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since)))::boolean AS resource_stale
FROM slot chosen
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = chosen.resource_guid
CROSS JOIN LATERAL (
    SELECT cell.*
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = chosen.resource_guid AND cell.start_at >= chosen.start_at
        AND (cell.guid = chosen.guid OR cell.start_at >= chosen.end_at)
    -- The order of the index. Sorting by the guid too would read all later cells of the resource.
    ORDER BY cell.start_at
    FETCH FIRST (@most) ROWS WITH TIES
) s
WHERE chosen.lpu_guid = @lpu_guid
    AND chosen.guid = coalesce(sqlc.narg(guid), (SELECT by_id.guid FROM slot by_id WHERE by_id.lpu_guid = @lpu_guid AND by_id.id = sqlc.narg(id)))
ORDER BY s.start_at, s.guid;

-- name: SlotSearch :batchmany
-- Returns the cells of one resource, or of one speciality, in an institution that begin within a
-- period, in order of time, at most @most. With @after_guid, cells that begin exactly at @from_at
-- are returned only if their guid is greater. Unless @all_of_them, only cells bookable with these
-- access bits and restrictions are returned, and none of a stale resource. A place that another person holds counts as taken. A
-- place of the person's own visit that is being moved counts as free.
SELECT
    s.id, s.guid, s.start_at, s.end_at, s.capacity,
    slot_taken(s.guid, s.taken, s.holds, @at, @person_guid, @own_guids::uuid[])::integer AS taken,
    s.flag_access, s.blocked, s.restriction,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.room AS resource_room, r.speciality_code AS resource_speciality_code,
    r.active AS resource_active,
    (sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND EXISTS (
        SELECT 1 FROM schedule_source c WHERE c.lpu_guid = @lpu_guid AND c.resource_guid = r.guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since)))::boolean AS resource_stale
FROM resource r
CROSS JOIN LATERAL (
    SELECT cell.*
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.resource_guid = r.guid AND cell.start_at >= @from_at AND cell.start_at < @to_at
        AND (sqlc.narg(after_guid)::uuid IS NULL OR cell.start_at > @from_at OR cell.guid > sqlc.narg(after_guid)::uuid)
        AND (@all_of_them::boolean OR slot_bookable(cell.guid, cell.taken, cell.capacity, cell.holds, cell.busy_type, cell.blocked, cell.flag_access, cell.restriction,
            @receptions::integer[], @access::integer, (SELECT CAST(@restrictions::text[] AS slot_restriction[])), @at, @person_guid, @own_guids::uuid[]))
    -- The order of the index, so that no more cells of a resource are read than can be returned.
    ORDER BY cell.start_at
    FETCH FIRST (@most) ROWS WITH TIES
) s
WHERE r.lpu_guid = @lpu_guid AND (@all_of_them::boolean OR r.active)
    AND (@all_of_them::boolean OR NOT (sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND EXISTS (
        SELECT 1 FROM schedule_source c WHERE c.lpu_guid = @lpu_guid AND c.resource_guid = r.guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since))))
    AND (sqlc.narg(speciality_code)::text IS NULL OR r.speciality_code = sqlc.narg(speciality_code)::text)
    -- One plan serves both cases: an index finds the resources in either.
    AND r.guid = ANY(CASE
        WHEN sqlc.narg(resource_guid)::uuid IS NOT NULL THEN ARRAY[sqlc.narg(resource_guid)::uuid]
        ELSE ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid AND one.speciality_code = sqlc.narg(speciality_code)::text)
    END)
ORDER BY s.start_at, s.guid
LIMIT @most;

-- name: SlotSearchAll :batchmany
-- Is SlotSearch for all resources of an institution. It reads the cells in order of time, so that
-- its cost does not depend on the number of resources.
SELECT
    s.id, s.guid, s.start_at, s.end_at, s.capacity,
    slot_taken(s.guid, s.taken, s.holds, @at, @person_guid, @own_guids::uuid[])::integer AS taken,
    s.flag_access, s.blocked, s.restriction,
    (s.busy_type = ANY(@receptions::integer[]))::boolean AS reception,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.room AS resource_room, r.speciality_code AS resource_speciality_code,
    r.active AS resource_active,
    (sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND EXISTS (
        SELECT 1 FROM schedule_source c WHERE c.lpu_guid = @lpu_guid AND c.resource_guid = r.guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since)))::boolean AS resource_stale
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
                -- Inactive and stale resources are few, so that they are read once, not per cell.
                AND cell.resource_guid <> ALL(ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid AND NOT one.active))
                AND cell.resource_guid <> ALL(ARRAY(SELECT c.resource_guid FROM schedule_source c
                    WHERE sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND c.lpu_guid = @lpu_guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since))))
        -- The order of the index. Sorting by the guid too could read all cells of the period.
        ORDER BY cell.start_at
        FETCH FIRST (@most) ROWS WITH TIES
    ) earliest
    ORDER BY earliest.start_at, earliest.guid
    LIMIT @most
) s
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = s.resource_guid
ORDER BY s.start_at, s.guid;

-- name: SlotNearest :many
-- Returns the cells of one resource, or of one speciality, in an institution that are bookable with
-- these access bits and restrictions, nearest to @wanted_at first, at most @most. The cells begin
-- within the period, before or after that moment. Places are counted as in SlotSearch.
SELECT
    s.id, s.guid, s.start_at, s.end_at, s.capacity,
    slot_taken(s.guid, s.taken, s.holds, @at, @person_guid, @own_guids::uuid[])::integer AS taken,
    s.flag_access, s.restriction,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.room AS resource_room, r.speciality_code AS resource_speciality_code
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
    AND NOT (sqlc.narg(fresh_since)::timestamptz IS NOT NULL AND EXISTS (
        SELECT 1 FROM schedule_source c WHERE c.lpu_guid = @lpu_guid AND c.resource_guid = r.guid AND c.version > 0 AND c.confirmed_at < sqlc.narg(fresh_since)))
    AND r.guid = ANY(CASE
        WHEN sqlc.narg(resource_guid)::uuid IS NOT NULL THEN ARRAY[sqlc.narg(resource_guid)::uuid]
        ELSE ARRAY(SELECT one.guid FROM resource one WHERE one.lpu_guid = @lpu_guid AND one.speciality_code = sqlc.narg(speciality_code)::text)
    END)
ORDER BY abs(extract(epoch FROM s.start_at - @wanted_at)), s.start_at, s.guid
LIMIT @most;

-- name: SlotFollowers :batchmany
-- Returns, for several cells of an institution, the following cells that SlotFacts would return.
-- Places are counted as in SlotSearch.
SELECT
    chosen.guid AS chosen_guid, s.guid, s.start_at, s.end_at, s.capacity,
    slot_taken(s.guid, s.taken, s.holds, @at, @person_guid, @own_guids::uuid[])::integer AS taken,
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
-- Locks cells in the order of their guids, as every transaction does. A message may change the time
-- of a cell, so that transactions would not agree on the order of time.
SELECT guid
FROM slot
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[])
ORDER BY guid
FOR NO KEY UPDATE;

-- name: SlotTake :batchmany
-- Guarantee 1: a cell has no more visits than places. Takes a place in each cell of a visit, under
-- the conditions that the rules checked. A held place counts as taken. Returns the cells in which
-- it took a place. Several cells must be locked by SlotLock first.
UPDATE slot s
SET taken = s.taken + 1, holds = slot_holds(s.holds, @at)
WHERE s.lpu_guid = @lpu_guid AND s.guid = ANY(@guids::uuid[])
    AND s.taken + coalesce(cardinality(slot_holds(s.holds, @at)), 0) < s.capacity
    AND slot_open_to(s.busy_type, s.blocked, s.flag_access, s.restriction,
        @receptions::integer[], @access::integer, CAST(@restrictions::text[] AS slot_restriction[]))
    AND s.start_at >= @at AND s.start_at >= @start_at AND s.start_at < @end_at AND s.end_at <= @end_at AND s.resource_guid = @resource_guid
RETURNING s.guid, s.start_at, s.end_at;

-- name: SlotHold :batchmany
-- Holds a place in each cell, under the conditions of SlotTake. A place of the person's own visit
-- that is being moved counts as free.
UPDATE slot s
SET holds = array_append(slot_holds(s.holds, @at), ROW(@guid::uuid, @person_guid::uuid, @until::timestamptz)::slot_hold)
WHERE s.lpu_guid = @lpu_guid AND s.guid = ANY(@guids::uuid[])
    AND s.taken - (s.guid = ANY(@own_guids::uuid[]) IS TRUE)::integer + coalesce(cardinality(slot_holds(s.holds, @at)), 0) < s.capacity
    AND slot_open_to(s.busy_type, s.blocked, s.flag_access, s.restriction,
        @receptions::integer[], @access::integer, CAST(@restrictions::text[] AS slot_restriction[]))
    AND s.start_at >= @at AND s.start_at >= @start_at AND s.start_at < @end_at AND s.end_at <= @end_at AND s.resource_guid = @resource_guid
RETURNING s.guid, s.start_at, s.end_at;

-- name: SlotFree :batchexec
-- Frees the places of a visit. Several cells must be locked by SlotLock first.
UPDATE slot
SET taken = taken - 1
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[]);

-- name: SlotRelease :batchexec
-- Removes a hold from its cells, which must be locked.
UPDATE slot s
SET holds = nullif(array_remove(slot_holds(s.holds, @at), ROW(@guid::uuid, @person_guid::uuid, @until::timestamptz)::slot_hold), '{}')
WHERE s.lpu_guid = @lpu_guid AND s.guid = ANY(@guids::uuid[]);
