-- name: DirectionFacts :batchone
-- Returns the original of a referral, the patient for whom it was issued, and the day on which the
-- patient's newest open case of treatment was opened (0001-01-01 if there is none). All rows belong
-- to the source institution.
SELECT
    sqlc.embed(d), m.person_guid, m.birth_date, m.disabled, m.pregnant,
    coalesce((
        SELECT max(t.opened_on)
        FROM mkab c
        JOIN tap t ON t.lpu_guid = @lpu_guid AND t.mkab_guid = c.guid AND t.closed_on IS NULL
        WHERE c.lpu_guid = @lpu_guid AND c.person_guid = m.person_guid
    ), '0001-01-01')::date AS tap_opened_on
FROM direction d
JOIN mkab m ON m.lpu_guid = @lpu_guid AND m.guid = d.mkab_guid
WHERE d.lpu_guid = @lpu_guid AND d.guid = @guid AND d.type = @type::direction_type AND d.copied_from_lpu_guid IS NULL AND d.cancelled_at IS NULL;

-- name: DirectionFind :batchone
-- Returns the columns of DirectionFacts for a person's referral in any of the given institutions.
-- Returns a withdrawn referral only if there is no other.
SELECT
    sqlc.embed(d), m.person_guid, m.birth_date, m.disabled, m.pregnant,
    coalesce((
        SELECT max(t.opened_on)
        FROM mkab c
        JOIN tap t ON t.lpu_guid = ANY(@lpu_guids::uuid[]) AND t.lpu_guid = c.lpu_guid AND t.mkab_guid = c.guid AND t.closed_on IS NULL
        WHERE c.lpu_guid = ANY(@lpu_guids::uuid[]) AND c.lpu_guid = d.lpu_guid AND c.person_guid = m.person_guid
    ), '0001-01-01')::date AS tap_opened_on
FROM direction d
JOIN mkab m ON m.lpu_guid = ANY(@lpu_guids::uuid[]) AND m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
WHERE d.lpu_guid = ANY(@lpu_guids::uuid[]) AND d.guid = @guid AND d.copied_from_lpu_guid IS NULL AND m.person_guid = @person_guid
ORDER BY d.cancelled_at IS NOT NULL, d.created_at DESC, d.lpu_guid
LIMIT 1;

-- name: DirectionClaim :batchone
-- Guarantee 2: a referral has at most one active appointment. Returns the referral, no row if another
-- booking has claimed it, or if it was withdrawn after the rules were checked.
UPDATE direction
SET appointment_guid = @appointment_guid::uuid, appointment_lpu_guid = @appointment_lpu_guid::uuid,
    appointment_start_at = @appointment_start_at::timestamptz, appointment_end_at = @appointment_end_at::timestamptz
WHERE lpu_guid = @lpu_guid AND guid = @guid AND appointment_guid IS NULL AND cancelled_at IS NULL
RETURNING *;

-- name: DirectionCopy :batchone
-- Copies a referral, with its visit, into the institution that serves it. Reuses the copy of an
-- earlier booking, with its id. Returns no row if the institution has a referral with that guid
-- that is not a copy of this one, or a copy that names another visit.
INSERT INTO direction AS d (lpu_guid, guid, copied_from_lpu_guid, type, number, accession_number, date, date_end, created_at, doc_prvd_sender_guid,
    mkab_guid, reason, comment, urgent, flags, speciality_code, speciality_name, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid, appointment_guid,
    appointment_lpu_guid, appointment_start_at, appointment_end_at)
VALUES (@lpu_guid, @guid, @copied_from_lpu_guid::uuid, @type, @number, @accession_number, @date, @date_end, @created_at,
    sqlc.narg(doc_prvd_sender_guid), @mkab_guid, @reason, @comment, @urgent, @flags, @speciality_code, @speciality_name, @mkb_code,
    @mkb_name, @lpu_from_guid, @lpu_guid::uuid, @appointment_guid::uuid, @lpu_guid::uuid, @start_at::timestamptz, @end_at::timestamptz)
ON CONFLICT (lpu_guid, guid) DO UPDATE
SET type = excluded.type, number = excluded.number, accession_number = excluded.accession_number, date = excluded.date,
    date_end = excluded.date_end, created_at = excluded.created_at, doc_prvd_sender_guid = excluded.doc_prvd_sender_guid,
    mkab_guid = excluded.mkab_guid, reason = excluded.reason, comment = excluded.comment, urgent = excluded.urgent, flags = excluded.flags,
    speciality_code = excluded.speciality_code, speciality_name = excluded.speciality_name, mkb_code = excluded.mkb_code,
    mkb_name = excluded.mkb_name, lpu_from_guid = excluded.lpu_from_guid, lpu_to_guid = excluded.lpu_to_guid,
    appointment_guid = excluded.appointment_guid, appointment_lpu_guid = excluded.appointment_lpu_guid,
    appointment_start_at = excluded.appointment_start_at, appointment_end_at = excluded.appointment_end_at
WHERE d.copied_from_lpu_guid = excluded.copied_from_lpu_guid AND d.appointment_guid IS NULL
RETURNING appointment_guid;

-- name: DirectionList :many
-- Returns a person's referrals in the given institutions, newest first. Only originals are listed,
-- from all of the person's cards. The status is computed for the moment @at. The visit's
-- institution and times come from the claim.
SELECT
    d.lpu_guid, d.guid, d.type, d.number, d.date, d.date_end, d.created_at, d.urgent, d.speciality_code, d.speciality_name, d.mkb_code, d.mkb_name,
    d.lpu_from_guid, coalesce(source.name, '')::text AS lpu_from_name, d.lpu_to_guid, target.name AS lpu_to_name,
    d.appointment_guid, d.appointment_lpu_guid, d.appointment_start_at, d.appointment_end_at,
    state.status
FROM mkab m
JOIN direction d ON d.lpu_guid = ANY(@lpu_guids::uuid[]) AND d.lpu_guid = m.lpu_guid AND d.mkab_guid = m.guid AND d.copied_from_lpu_guid IS NULL
JOIN lpu holder ON holder.guid = d.lpu_guid
LEFT JOIN lpu source ON source.guid = d.lpu_from_guid
LEFT JOIN lpu target ON target.guid = d.lpu_to_guid
CROSS JOIN LATERAL (
    SELECT (CASE
        WHEN d.appointment_end_at <= sqlc.arg(at)::timestamptz OR d.completed_by_guid = d.appointment_guid THEN 'Completed'
        WHEN d.appointment_guid IS NOT NULL THEN 'Booked'
        WHEN d.cancelled_at IS NOT NULL THEN 'Cancelled'
        WHEN d.date_end < (sqlc.arg(at)::timestamptz AT TIME ZONE holder.time_zone)::date THEN 'Expired'
        ELSE 'NotBooked'
    END)::text AS status
) state
WHERE m.lpu_guid = ANY(@lpu_guids::uuid[]) AND m.person_guid = @person_guid
    AND (sqlc.narg(guid)::uuid IS NULL OR d.guid = sqlc.narg(guid))
    AND (sqlc.narg(number)::text IS NULL OR d.number = sqlc.narg(number))
    AND (sqlc.narg(type)::direction_type IS NULL OR d.type = sqlc.narg(type)::direction_type)
    AND (cardinality(@statuses::text[]) = 0 OR state.status = ANY(@statuses))
    AND (sqlc.narg(date_from)::date IS NULL OR d.date >= sqlc.narg(date_from))
    AND (sqlc.narg(date_to)::date IS NULL OR d.date <= sqlc.narg(date_to))
    AND (sqlc.narg(after_at)::timestamptz IS NULL
        OR (d.created_at, d.guid, d.lpu_guid) < (sqlc.narg(after_at), sqlc.narg(after_guid)::uuid, sqlc.narg(after_lpu_guid)::uuid))
ORDER BY d.created_at DESC, d.guid DESC, d.lpu_guid DESC
LIMIT @most;

-- name: DirectionLock :batchone
-- Locks a referral against all other bookings, cancels and moves of it. Returns the appointment
-- that claims it.
SELECT appointment_guid, appointment_lpu_guid
FROM direction
WHERE lpu_guid = @lpu_guid AND guid = @guid
FOR NO KEY UPDATE;

-- name: DirectionRelease :batchexec
-- Clears the appointment of a referral, an original or a copy, if it is the given one.
UPDATE direction
SET appointment_guid = NULL, appointment_lpu_guid = NULL, appointment_start_at = NULL, appointment_end_at = NULL
WHERE lpu_guid = @lpu_guid AND guid = @guid AND appointment_guid = @appointment_guid::uuid;

-- name: DirectionComplete :batchexec
-- Marks a referral, an original or a copy, as completed by its appointment, or ends that.
UPDATE direction
SET completed_by_guid = sqlc.narg(completed_by_guid)
WHERE lpu_guid = @lpu_guid AND guid = @guid AND appointment_guid = @appointment_guid::uuid;

-- name: DirectionReclaim :batchone
-- Gives a referral, an original or a copy, back to the visit that was booked with it. Returns no row
-- if it has another appointment, or if it is not the one any more that the visit was checked by.
UPDATE direction
SET appointment_guid = @appointment_guid::uuid, appointment_lpu_guid = @appointment_lpu_guid::uuid,
    appointment_start_at = @appointment_start_at::timestamptz, appointment_end_at = @appointment_end_at::timestamptz
WHERE lpu_guid = @lpu_guid AND guid = @guid AND (appointment_guid IS NULL OR appointment_guid = @appointment_guid::uuid)
    AND type = @type AND speciality_code = @speciality_code
RETURNING guid;

-- name: DirectionState :batchone
-- Returns why DirectionClaim returned no row: whether the referral has an appointment, or was
-- withdrawn.
SELECT (appointment_guid IS NOT NULL)::boolean AS booked, (cancelled_at IS NOT NULL)::boolean AS withdrawn
FROM direction
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: ReferralLock :batchone
-- Locks a referral of an institution, an original or a copy, against bookings, cancels, moves and
-- other writes of it.
SELECT *
FROM direction
WHERE lpu_guid = @lpu_guid AND guid = @guid
FOR NO KEY UPDATE;

-- name: ReferralWithNumber :batchone
-- Returns another referral of the institution, an original or a copy, that has a number.
SELECT guid
FROM direction
WHERE lpu_guid = @lpu_guid AND id = @id AND guid <> @guid;

-- name: ReferralWrite :batchone
-- Inserts or overwrites an original, and ends its withdrawal. With the id 0 it keeps its number, or
-- gets one. Returns no row if the guid is that of a copy. Fails with direction_id if a booking has
-- just written a copy with the number.
INSERT INTO direction AS d (lpu_guid, guid, id, type, number, accession_number, date, date_end, created_at, doc_prvd_sender_guid, mkab_guid, reason,
    comment, urgent, flags, speciality_code, speciality_name, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid)
VALUES (@lpu_guid, @guid, CASE WHEN @id::bigint <> 0 THEN @id::bigint ELSE nextval('direction_id_seq') END, @type, @number, @accession_number, @date,
    @date_end, @created_at, sqlc.narg(doc_prvd_sender_guid), @mkab_guid, @reason, @comment, @urgent, @flags, @speciality_code, @speciality_name, @mkb_code,
    @mkb_name, @lpu_guid, sqlc.narg(lpu_to_guid))
ON CONFLICT (lpu_guid, guid) DO UPDATE
SET id = CASE WHEN @id::bigint <> 0 THEN excluded.id ELSE d.id END, type = excluded.type, number = excluded.number,
    accession_number = excluded.accession_number, date = excluded.date, date_end = excluded.date_end, created_at = excluded.created_at,
    doc_prvd_sender_guid = excluded.doc_prvd_sender_guid, mkab_guid = excluded.mkab_guid, reason = excluded.reason, comment = excluded.comment,
    urgent = excluded.urgent, flags = excluded.flags, speciality_code = excluded.speciality_code, speciality_name = excluded.speciality_name,
    mkb_code = excluded.mkb_code, mkb_name = excluded.mkb_name, lpu_from_guid = excluded.lpu_from_guid, lpu_to_guid = excluded.lpu_to_guid,
    cancelled_at = NULL
WHERE d.copied_from_lpu_guid IS NULL
RETURNING guid;

-- name: ReferralChangeCopy :batchexec
-- Overwrites the copy of a referral that names the given visit. The original must be locked.
UPDATE direction
SET number = @number, accession_number = @accession_number, date = @date, date_end = @date_end, created_at = @created_at,
    doc_prvd_sender_guid = sqlc.narg(doc_prvd_sender_guid), reason = @reason, comment = @comment, urgent = @urgent, flags = @flags,
    speciality_name = @speciality_name, mkb_code = @mkb_code, mkb_name = @mkb_name, lpu_from_guid = @copied_from_lpu_guid
WHERE lpu_guid = @lpu_guid AND guid = @guid AND copied_from_lpu_guid = @copied_from_lpu_guid::uuid AND appointment_guid = @appointment_guid::uuid;

-- name: ReferralWithdraw :batchexec
UPDATE direction
SET cancelled_at = @at::timestamptz
WHERE lpu_guid = @lpu_guid AND guid = @guid AND cancelled_at IS NULL;

-- name: ReferralGet :batchone
-- Returns an original of an institution.
SELECT *
FROM direction
WHERE lpu_guid = @lpu_guid AND guid = @guid AND copied_from_lpu_guid IS NULL;

-- name: ReferralsOfCard :batchmany
-- Returns the originals that were issued for a card.
SELECT guid
FROM direction
WHERE lpu_guid = @lpu_guid AND mkab_guid = @mkab_guid AND copied_from_lpu_guid IS NULL
ORDER BY guid
LIMIT @most;

-- name: ReferralsLock :batchmany
-- Locks referrals, originals and copies, as a booking locks one.
SELECT guid
FROM direction
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[])
ORDER BY guid
FOR NO KEY UPDATE;

-- name: ReferralTransfer :batchexec
-- Transfers referrals of a card, which must be locked, to another one.
UPDATE direction
SET mkab_guid = @into_guid
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[]) AND mkab_guid = @mkab_guid;
