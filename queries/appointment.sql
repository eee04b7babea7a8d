-- name: AppointmentCreate :batchone
-- The part of a booking that lies in the target institution: takes the cells (promise 1), copies the referral, writes the appointment. All or nothing:
-- where the cells, the resource or the card are not as they were when the rules allowed the booking, nothing is written but the cells' counters, and the
-- caller rolls back.
WITH locked AS (
    -- In one order, so that two complex slots that overlap wait for each other instead of deadlocking.
    SELECT cell.guid
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.guid = ANY(@slot_guids::uuid[])
    ORDER BY cell.start_at, cell.guid
    FOR NO KEY UPDATE
), taken AS (
    UPDATE slot s
    SET taken = s.taken + 1, holds = slot_holds(s.holds, @created_at)
    FROM locked
    WHERE s.lpu_guid = @lpu_guid AND s.guid = locked.guid
        -- A place that is held is taken. A hold of the patient's own that was known has been given back before.
        AND s.taken + coalesce(cardinality(slot_holds(s.holds, @created_at)), 0) < s.capacity AND NOT s.blocked AND s.flag_access & @access::integer <> 0
        AND s.start_at >= @created_at AND s.start_at >= @start_at AND s.end_at <= @end_at
        -- A cell that ends in time begins in time. It is said for the index: without a bound all later cells of the resource would be read.
        AND s.start_at < @end_at
        AND s.resource_guid = @resource_guid AND s.restriction::text = ANY(@restrictions::text[])
        AND EXISTS (SELECT FROM busy_type b WHERE b.code = s.busy_type AND b.reception)
    RETURNING s.guid, s.start_at, s.end_at
), visited AS (
    SELECT r.guid FROM resource r WHERE r.lpu_guid = @lpu_guid AND r.guid = @resource_guid AND r.active FOR SHARE
), card AS (
    SELECT m.guid FROM mkab m WHERE m.lpu_guid = @lpu_guid AND m.guid = @mkab_guid AND m.closed_at IS NULL FOR SHARE
), target AS (
    SELECT
        EXISTS (SELECT FROM visited) AS resource_active,
        EXISTS (SELECT FROM card) AS mkab_open,
        cardinality(@slot_guids) = 0 OR (SELECT count(*) = cardinality(@slot_guids) AND min(taken.start_at) = @start_at AND max(taken.end_at) = @end_at FROM taken) AS slots_taken
), allowed AS (
    SELECT FROM target WHERE resource_active AND mkab_open AND slots_taken
), copied AS (
    -- Where the referral is held by the target itself there is nothing to copy: its claim has linked it. A copy left by an earlier booking is used
    -- again, with its id. Another original of the same guid is left alone.
    INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, accession_number, date, date_end, created_at, doc_prvd_sender_guid,
        mkab_guid, reason, comment, urgent, flags, speciality_code, speciality_name, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid, appointment_guid,
        appointment_lpu_guid, appointment_start_at, appointment_end_at)
    SELECT @lpu_guid, @direction_guid, @direction_lpu_guid::uuid, @type, @number, @accession_number, @date, @date_end, @direction_created_at,
        sqlc.narg(doc_prvd_sender_guid), @mkab_guid, @reason, @direction_comment, @urgent, @flags, @speciality_code, @speciality_name, @mkb_code,
        @mkb_name, @lpu_from_guid, @lpu_guid::uuid, @guid::uuid, @lpu_guid::uuid, @start_at, @end_at
    FROM allowed
    WHERE @lpu_guid::uuid <> @direction_lpu_guid::uuid
    ON CONFLICT (lpu_guid, guid) DO UPDATE
    SET type = excluded.type, number = excluded.number, accession_number = excluded.accession_number, date = excluded.date,
        date_end = excluded.date_end, created_at = excluded.created_at, doc_prvd_sender_guid = excluded.doc_prvd_sender_guid,
        mkab_guid = excluded.mkab_guid, reason = excluded.reason, comment = excluded.comment, urgent = excluded.urgent, flags = excluded.flags,
        speciality_code = excluded.speciality_code, speciality_name = excluded.speciality_name, mkb_code = excluded.mkb_code,
        mkb_name = excluded.mkb_name, lpu_from_guid = excluded.lpu_from_guid, lpu_to_guid = excluded.lpu_to_guid,
        appointment_guid = excluded.appointment_guid, appointment_lpu_guid = excluded.appointment_lpu_guid,
        appointment_start_at = excluded.appointment_start_at, appointment_end_at = excluded.appointment_end_at
    WHERE direction.copied_from_lpu_guid = excluded.copied_from_lpu_guid
    RETURNING guid
), held AS (
    SELECT guid FROM copied
    UNION ALL
    SELECT @direction_guid FROM allowed WHERE @lpu_guid::uuid = @direction_lpu_guid::uuid
), created AS (
    INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
        out_of_schedule, is_cito, comment, created_at, updated_at)
    SELECT @lpu_guid, @guid, held.guid, @direction_lpu_guid, @mkab_guid, @person_guid, @resource_guid, @client_guid, @start_at, @end_at,
        cardinality(@slot_guids) = 0, @is_cito, @comment, @created_at, @created_at
    FROM held
    RETURNING guid
), occupied AS (
    INSERT INTO appointment_slot (lpu_guid, slot_guid, appointment_guid)
    SELECT @lpu_guid, taken.guid, created.guid
    FROM taken CROSS JOIN created
    RETURNING slot_guid
)
SELECT
    target.resource_active, target.mkab_open, target.slots_taken::boolean AS slots_taken,
    ARRAY(SELECT taken.guid FROM taken)::uuid[] AS taken_slot_guids,
    (EXISTS (SELECT FROM created) AND (SELECT count(*) FROM occupied) = cardinality(@slot_guids))::boolean AS created
FROM target;

-- name: AppointmentGet :batchone
-- An appointment, read back with its referral as its institution holds it, and whether that names the appointment.
SELECT
    a.guid, a.mkab_guid, a.start_at, a.end_at, a.created_at,
    coalesce(d.appointment_guid = a.guid, false)::boolean AS linked,
    sqlc.embed(d)
FROM appointment a
JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid;

-- name: AppointmentFind :batchone
-- An appointment of a person, in whatever institution, and what decides whether it can be cancelled or moved.
SELECT
    a.guid, a.lpu_guid, a.direction_guid, a.direction_lpu_guid, a.start_at, a.end_at, a.out_of_schedule, a.is_cito, a.comment, a.created_at,
    ARRAY(
        SELECT cell.guid
        FROM appointment_slot o
        JOIN slot cell ON cell.lpu_guid = o.lpu_guid AND cell.guid = o.slot_guid
        WHERE o.lpu_guid = a.lpu_guid AND o.appointment_guid = a.guid
        ORDER BY cell.start_at, cell.guid
    )::uuid[] AS slot_guids,
    (a.cancelled_at IS NOT NULL)::boolean AS cancelled,
    d.type, d.speciality_code,
    (coalesce(own.value, region.value, 'false') = 'true')::boolean AS after_start
FROM appointment a
JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
LEFT JOIN setting own ON own.owner_guid = a.lpu_guid AND own.code = 'DeleteOldTime'
LEFT JOIN setting region ON region.owner_guid = '00000000-0000-0000-0000-000000000000' AND region.code = 'DeleteOldTime'
WHERE a.person_guid = @person_guid AND a.guid = @guid;

-- name: AppointmentHeir :batchone
-- Of the other active consultations of a person in a speciality at a moment, over all institutions, the one that ends last: the claim is its next.
SELECT a.guid, a.lpu_guid, d.speciality_code, r.name AS resource_name, a.start_at, a.end_at, l.time_zone
FROM appointment a
JOIN lpu l ON l.guid = a.lpu_guid
JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
JOIN resource r ON r.lpu_guid = a.lpu_guid AND r.guid = a.resource_guid
WHERE a.person_guid = @person_guid AND a.guid <> @guid AND a.cancelled_at IS NULL AND a.end_at > @at
    AND d.type = 'Consult' AND d.speciality_code = @speciality_code
ORDER BY a.end_at DESC, a.guid
LIMIT 1;

-- name: AppointmentCancel :batchone
-- The part of a cancel that lies in the institution of the visit: gives its cells back and marks the appointment. No row: it was not active.
WITH cancelled AS (
    UPDATE appointment a
    SET cancelled_at = @cancelled_at::timestamptz, updated_at = @cancelled_at::timestamptz, cancel_reason_code = sqlc.narg(reason_code), cancel_reason = sqlc.narg(reason)
    WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid AND a.cancelled_at IS NULL
    RETURNING a.guid
), locked AS (
    -- In the order in which a booking locks them.
    SELECT cell.guid
    FROM cancelled
    JOIN appointment_slot o ON o.lpu_guid = @lpu_guid AND o.appointment_guid = cancelled.guid
    JOIN slot cell ON cell.lpu_guid = @lpu_guid AND cell.guid = o.slot_guid
    ORDER BY cell.start_at, cell.guid
    FOR NO KEY UPDATE OF cell
), freed AS (
    UPDATE slot s
    SET taken = s.taken - 1
    FROM locked
    WHERE s.lpu_guid = @lpu_guid AND s.guid = locked.guid
    RETURNING s.guid
)
SELECT cancelled.guid, (SELECT count(*) FROM freed) AS freed
FROM cancelled;

-- name: AppointmentList :many
-- The appointments of a person over all institutions, the newest start first. The status is that of a moment. Rows of one institution are joined, wherever
-- it is: the resource, and the referral as it is held there.
SELECT
    a.lpu_guid, a.guid, a.direction_lpu_guid, a.start_at, a.end_at, a.out_of_schedule, a.is_cito, a.comment, a.created_at, a.updated_at, a.cancelled_at,
    a.cancel_reason_code, a.cancel_reason,
    l.name AS lpu_name, l.time_zone,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.speciality_code AS resource_speciality_code,
    d.guid AS direction_guid, d.type AS direction_type, d.number AS direction_number, d.speciality_code, d.speciality_name,
    state.status
FROM appointment a
JOIN lpu l ON l.guid = a.lpu_guid
JOIN resource r ON r.lpu_guid = a.lpu_guid AND r.guid = a.resource_guid
JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
CROSS JOIN LATERAL (
    SELECT (CASE
        WHEN a.cancelled_at IS NOT NULL THEN 'Cancelled'
        WHEN a.end_at <= sqlc.arg(at)::timestamptz THEN 'Completed'
        ELSE 'Booked'
    END)::text AS status
) state
WHERE a.person_guid = @person_guid
    AND (sqlc.narg(guid)::uuid IS NULL OR a.guid = sqlc.narg(guid))
    AND (sqlc.narg(direction_guid)::uuid IS NULL OR a.direction_guid = sqlc.narg(direction_guid))
    AND (cardinality(@statuses::text[]) = 0 OR state.status = ANY(@statuses))
    AND (sqlc.narg(updated_since)::timestamptz IS NULL OR a.updated_at >= sqlc.narg(updated_since))
    AND (sqlc.narg(after_at)::timestamptz IS NULL
        OR (a.start_at, a.guid, a.lpu_guid) < (sqlc.narg(after_at), sqlc.narg(after_guid)::uuid, sqlc.narg(after_lpu_guid)::uuid))
ORDER BY a.start_at DESC, a.guid DESC, a.lpu_guid DESC
LIMIT @most;

-- name: AppointmentRemove :batchone
-- The part of a move that lies where the visit was: gives its cells back and takes the appointment out, which is written anew where the visit will be. No
-- row: it was not there. The cells are locked.
WITH vacated AS (
    DELETE FROM appointment_slot o
    WHERE o.lpu_guid = @lpu_guid AND o.appointment_guid = @guid
    RETURNING o.slot_guid
), freed AS (
    UPDATE slot s
    SET taken = s.taken - 1
    FROM vacated
    WHERE s.lpu_guid = @lpu_guid AND s.guid = vacated.slot_guid
)
DELETE FROM appointment a
WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid
RETURNING a.guid;

-- name: AppointmentDate :batchexec
-- A visit that was moved was booked when it was.
UPDATE appointment
SET created_at = @created_at
WHERE lpu_guid = @lpu_guid AND guid = @guid;
