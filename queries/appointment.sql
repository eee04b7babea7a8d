-- name: AppointmentCreate :batchone
-- The part of a booking that lies in the target institution: takes the cells (promise 1), copies the referral, writes the appointment. All or nothing:
-- where not every cell could be taken, nothing else is written, and the caller rolls back.
WITH locked AS (
    -- In one order, so that two complex slots that overlap wait for each other instead of deadlocking.
    SELECT cell.guid
    FROM slot cell
    WHERE cell.lpu_guid = @lpu_guid AND cell.guid = ANY(@slot_guids::uuid[])
    ORDER BY cell.start_at, cell.guid
    FOR NO KEY UPDATE
), taken AS (
    UPDATE slot s
    SET taken = s.taken + 1
    FROM locked
    WHERE s.lpu_guid = @lpu_guid AND s.guid = locked.guid
        AND s.taken < s.capacity AND NOT s.blocked AND s.start_at >= @created_at AND s.flag_access & @access::integer <> 0
    RETURNING s.guid
), copied AS (
    INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, accession_number, date, date_end, created_at, doc_prvd_sender_guid,
        mkab_guid, reason, comment, urgent, flags, speciality_code, speciality_name, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid, appointment_guid)
    SELECT @lpu_guid, @direction_guid, @direction_lpu_guid::uuid, @type, @number, @accession_number, @date, @date_end, @direction_created_at,
        sqlc.narg(doc_prvd_sender_guid), @mkab_guid, @reason, @direction_comment, @urgent, @flags, @speciality_code, @speciality_name, @mkb_code,
        @mkb_name, @lpu_from_guid, @lpu_guid::uuid, @guid::uuid
    WHERE (SELECT count(*) FROM taken) = cardinality(@slot_guids)
    ON CONFLICT (lpu_guid, guid) DO UPDATE
    SET mkab_guid = excluded.mkab_guid, appointment_guid = excluded.appointment_guid, lpu_to_guid = coalesce(direction.lpu_to_guid, excluded.lpu_to_guid)
    RETURNING guid
), created AS (
    INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
        out_of_schedule, is_cito, comment, created_at)
    SELECT @lpu_guid, @guid, copied.guid, @direction_lpu_guid, @mkab_guid, @person_guid, @resource_guid, @client_guid, @start_at, @end_at,
        cardinality(@slot_guids) = 0, @is_cito, @comment, @created_at
    FROM copied
    RETURNING guid
), occupied AS (
    INSERT INTO appointment_slot (lpu_guid, slot_guid, appointment_guid)
    SELECT @lpu_guid, taken.guid, created.guid
    FROM taken CROSS JOIN created
)
SELECT
    ARRAY(SELECT taken.guid FROM taken)::uuid[] AS taken_slot_guids,
    EXISTS (SELECT FROM created) AS created;

-- name: AppointmentGet :batchone
-- An appointment, read back with its referral as its institution holds it, and whether that names the appointment.
SELECT
    a.guid, a.start_at, a.end_at, a.created_at,
    coalesce(d.appointment_guid = a.guid, false)::boolean AS linked,
    sqlc.embed(d)
FROM appointment a
JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid;
