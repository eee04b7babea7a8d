-- name: ScheduleLock :batchone
-- Locks the schedule of a resource against other writers, and records until when its source has
-- confirmed it. Returns no row if there is no such resource.
INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at)
SELECT r.lpu_guid, r.guid, @version, @at
FROM resource r
WHERE r.lpu_guid = @lpu_guid AND r.guid = @resource_guid
ON CONFLICT (lpu_guid, resource_guid) DO UPDATE
SET version = greatest(schedule_source.version, excluded.version), confirmed_at = greatest(schedule_source.confirmed_at, excluded.confirmed_at)
RETURNING resource_guid;

-- name: ScheduleWindows :batchmany
-- Returns the windows of a resource that overlap a period, in order of time.
SELECT from_at, to_at, version, content, settled
FROM schedule_window
WHERE lpu_guid = @lpu_guid AND resource_guid = @resource_guid AND from_at < @to_at AND to_at > @from_at
ORDER BY from_at;

-- name: ScheduleWindowsDelete :batchexec
-- Deletes the windows of a resource that begin at the given moments.
DELETE FROM schedule_window
WHERE lpu_guid = @lpu_guid AND resource_guid = @resource_guid AND from_at = ANY(@from_at::timestamptz[]);

-- name: ScheduleWindowAdd :batchexec
INSERT INTO schedule_window (lpu_guid, resource_guid, from_at, to_at, version, content, settled)
VALUES (@lpu_guid, @resource_guid, @from_at, @to_at, @version, @content, @settled);

-- name: ScheduleSlots :batchmany
-- Returns the cells of a resource that begin within a period.
SELECT guid, id, start_at, end_at, capacity, taken, coalesce(cardinality(slot_holds(holds, @at)), 0)::integer AS held, flag_access, busy_type, blocked, closed_by, restriction
FROM slot
WHERE lpu_guid = @lpu_guid AND resource_guid = @resource_guid AND start_at >= @from_at AND start_at < @to_at
ORDER BY start_at, guid;

-- name: ScheduleSlotsLock :batchmany
-- Returns and locks the cells of a resource that overlap a period and begin at @earliest_at or
-- later, in the order of SlotLock.
SELECT guid, id, start_at, end_at, capacity, taken, coalesce(cardinality(slot_holds(holds, @at)), 0)::integer AS held, flag_access, busy_type, blocked, closed_by, restriction
FROM slot
WHERE lpu_guid = @lpu_guid AND resource_guid = @resource_guid AND start_at >= @earliest_at AND start_at < @to_at AND end_at > @from_at
ORDER BY guid
FOR NO KEY UPDATE;

-- name: ScheduleSlotsDelete :batchexec
-- Deletes cells, which must be locked and have neither visits nor holds in force.
DELETE FROM slot
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[]) AND taken = 0;

-- name: ScheduleSlotsRenumber :batchexec
-- Gives cells, which must be locked, numbers that no cell has until ScheduleSlotsChange gives them
-- theirs. Other cells can then get the old ones.
UPDATE slot
SET id = id + (1::bigint << 62)
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[]);

-- name: ScheduleSlotsChange :batchexec
-- Overwrites cells, which must be locked. The elements of the arrays belong together.
UPDATE slot s
SET id = coalesce(nullif(new.id, 0), s.id), start_at = new.start_at, end_at = new.end_at, capacity = new.capacity, flag_access = new.flag_access,
    busy_type = new.busy_type, closed_by = new.closed_by, blocked = new.closed_by <> 0, restriction = new.restriction
FROM (
    SELECT unnest(@guids::uuid[]) AS guid, unnest(@ids::bigint[]) AS id, unnest(@starts::timestamptz[]) AS start_at, unnest(@ends::timestamptz[]) AS end_at,
        unnest(@capacities::integer[]) AS capacity, unnest(@flags_access::integer[]) AS flag_access, unnest(@busy_types::integer[]) AS busy_type,
        unnest(@closed_by::smallint[]) AS closed_by, unnest(CAST(@restrictions::text[] AS slot_restriction[])) AS restriction
) new
WHERE s.lpu_guid = @lpu_guid AND s.resource_guid = @resource_guid AND s.guid = new.guid;

-- name: ScheduleSlotsAdd :batchexec
-- Inserts cells of a resource. The elements of the arrays belong together. A cell with the id 0 gets
-- a number. Fails with slot_pkey or slot_id if a guid or a number belongs to another cell.
INSERT INTO slot (lpu_guid, resource_guid, guid, id, start_at, end_at, capacity, flag_access, busy_type, closed_by, blocked, restriction)
SELECT @lpu_guid, @resource_guid, new.guid, CASE WHEN new.id <> 0 THEN new.id ELSE nextval('slot_number') END, new.start_at, new.end_at, new.capacity,
    new.flag_access, new.busy_type, new.closed_by, new.closed_by <> 0, new.restriction
FROM (
    SELECT unnest(@guids::uuid[]) AS guid, unnest(@ids::bigint[]) AS id, unnest(@starts::timestamptz[]) AS start_at, unnest(@ends::timestamptz[]) AS end_at,
        unnest(@capacities::integer[]) AS capacity, unnest(@flags_access::integer[]) AS flag_access, unnest(@busy_types::integer[]) AS busy_type,
        unnest(@closed_by::smallint[]) AS closed_by, unnest(CAST(@restrictions::text[] AS slot_restriction[])) AS restriction
) new;

-- name: ScheduleVisits :batchmany
-- Returns the active visits in any of the given cells of a resource, in order of time.
SELECT guid, start_at, slot_guids
FROM appointment
WHERE lpu_guid = @lpu_guid AND resource_guid = @resource_guid AND cancelled_at IS NULL AND start_at >= @from_at AND slot_guids && @guids::uuid[]
ORDER BY start_at, guid
LIMIT @most;

-- name: AbsencesOfPeriod :batchmany
-- Returns the absences of a resource that overlap a period and are not lifted, in order of time.
SELECT guid, from_at, to_at, reason
FROM absence
WHERE lpu_guid = @lpu_guid AND resource_guid = @resource_guid AND lifted_at IS NULL AND from_at < @to_at AND to_at > @from_at
ORDER BY from_at, guid
LIMIT @most;

-- name: AbsenceGet :batchone
SELECT resource_guid, from_at, to_at, reason, lifted_at
FROM absence
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: AbsenceAdd :batchexec
INSERT INTO absence (lpu_guid, guid, resource_guid, from_at, to_at, reason)
VALUES (@lpu_guid, @guid, @resource_guid, @from_at, @to_at, @reason);

-- name: AbsenceLift :batchexec
UPDATE absence
SET lifted_at = @at
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: SlotResource :batchone
-- Returns the resource and the start of a cell.
SELECT resource_guid, start_at
FROM slot
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: ScheduleWindowsFind :batchmany
-- Returns the settled windows of several resources that begin at the given moments. The elements of
-- the arrays belong together.
SELECT w.resource_guid, w.from_at, w.to_at, w.version, w.content
FROM schedule_window w
WHERE w.lpu_guid = @lpu_guid AND w.settled
    AND (w.resource_guid, w.from_at) IN (SELECT unnest(@resource_guids::uuid[]), unnest(@from_at::timestamptz[]));

-- name: ScheduleSourcesConfirm :batchexec
-- Records that sources have confirmed their schedules, where that is not recorded since @since.
UPDATE schedule_source
SET confirmed_at = @at
WHERE lpu_guid = @lpu_guid AND resource_guid = ANY(@resource_guids::uuid[]) AND confirmed_at < @since;

-- name: ScheduleRejectionAdd :batchexec
-- Records that a message for the schedule of a resource was rejected, if the resource has a source:
-- that of the cell where @slot_guid is given.
UPDATE schedule_source c
SET last_error_at = @at::timestamptz, last_error_rule = @rule::text
WHERE c.lpu_guid = @lpu_guid
    AND c.resource_guid = coalesce((SELECT s.resource_guid FROM slot s WHERE s.lpu_guid = @lpu_guid AND s.guid = sqlc.narg(slot_guid)), @resource_guid);

-- name: ScheduleSourceList :batchmany
-- Returns the resources of an institution after a guid whose schedule a message has stated.
SELECT resource_guid, version, confirmed_at, last_error_at, last_error_rule
FROM schedule_source
WHERE lpu_guid = @lpu_guid AND version > 0 AND resource_guid > @after_guid
ORDER BY resource_guid
LIMIT @most;

-- name: ScheduleSourceSummary :batchone
-- Returns how many there are of all, and the moment at which the oldest of them was confirmed, which
-- is @at if there are none.
SELECT count(*)::integer AS resources, coalesce(min(confirmed_at), @at)::timestamptz AS oldest_confirmed_at
FROM schedule_source
WHERE lpu_guid = @lpu_guid AND version > 0;

-- name: ScheduleSourceConfirmed :batchone
-- Returns how many schedules an institution has, and when they were confirmed: the one that has
-- waited for it longest, and the last one. Both are @at if there are none.
SELECT count(*) AS schedules, coalesce(min(confirmed_at), @at)::timestamptz AS oldest, coalesce(max(confirmed_at), @at)::timestamptz AS newest
FROM schedule_source
WHERE lpu_guid = @lpu_guid AND version > 0;

-- name: ScheduleConflictCounts :batchmany
-- Returns for each resource how many of its cells have visits although they are withdrawn or the
-- resource is absent. It counts among the closed cells of the institution that begin at @at or
-- later, at most the first @most.
SELECT s.resource_guid, count(*)::integer AS conflicts
FROM (
    SELECT cell.resource_guid, cell.closed_by, cell.taken
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.closed_by <> 0 AND cell.start_at >= @at
    ORDER BY cell.start_at
    LIMIT @most
) s
WHERE s.closed_by & 6 <> 0 AND s.taken > 0
GROUP BY s.resource_guid;
