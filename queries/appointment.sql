-- name: AppointmentCreate :batchone
-- Inserts a visit. Returns no row unless the resource is active, the card is open and the referral
-- names the visit. FOR SHARE keeps the resource and the card in that state until the transaction
-- ends.
INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
    out_of_schedule, is_cito, comment, created_at, updated_at, slot_guids, version, booked_by, booked_client_guid, moved_at, moved_by, move_cause, move_reason)
SELECT d.lpu_guid, @guid, d.guid, @direction_lpu_guid, m.guid, @person_guid, r.guid, @client_guid, @start_at, @end_at,
    cardinality(@slot_guids::uuid[]) = 0, @is_cito, @comment, @created_at, @updated_at, @slot_guids::uuid[], @version,
    @booked_by::text, @booked_client_guid::uuid, sqlc.narg(moved_at)::timestamptz, sqlc.narg(moved_by)::text, sqlc.narg(move_cause)::text, sqlc.narg(move_reason)::text
FROM direction d, resource r, mkab m
WHERE d.lpu_guid = @lpu_guid AND d.guid = @direction_guid AND d.appointment_guid = @guid
    AND r.lpu_guid = @lpu_guid AND r.guid = @resource_guid AND r.active
    AND m.lpu_guid = @lpu_guid AND m.guid = @mkab_guid AND m.closed_at IS NULL
FOR SHARE OF r, m
RETURNING guid;

-- name: AppointmentTarget :batchone
-- Returns whether the resource is active and whether the card is open. It explains why
-- AppointmentCreate returned no row.
SELECT
    EXISTS (SELECT 1 FROM resource r WHERE r.lpu_guid = @lpu_guid AND r.guid = @resource_guid AND r.active)::boolean AS resource_active,
    EXISTS (SELECT 1 FROM mkab m WHERE m.lpu_guid = @lpu_guid AND m.guid = @mkab_guid AND m.closed_at IS NULL)::boolean AS mkab_open;

-- name: AppointmentWritten :batchone
-- Reads back a visit that the transaction has just inserted. Returns the number of its referral in
-- the institution's list, and whether that referral names the visit.
SELECT d.id, coalesce(d.appointment_guid = a.guid, false)::boolean AS linked
FROM appointment a
JOIN direction d ON d.lpu_guid = @lpu_guid AND d.guid = a.direction_guid
WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid;

-- name: AppointmentGet :batchone
-- Returns a visit, its referral as the visit's institution stores it, and whether that referral
-- names the visit.
SELECT
    a.guid, a.mkab_guid, a.start_at, a.end_at, a.created_at,
    coalesce(d.appointment_guid = a.guid, false)::boolean AS linked,
    sqlc.embed(d)
FROM appointment a
JOIN direction d ON d.lpu_guid = @lpu_guid AND d.guid = a.direction_guid
WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid;

-- name: AppointmentFind :batchone
-- Returns a person's visit in any of the given institutions, with the columns that decide whether
-- it can be cancelled or moved.
SELECT
    a.guid, a.lpu_guid, a.direction_guid, a.direction_lpu_guid, a.start_at, a.end_at, a.out_of_schedule, a.is_cito, a.comment, a.created_at, a.slot_guids, a.version,
    a.attendance, a.attendance_since, a.booked_by, coalesce(a.booked_client_guid, a.client_guid)::uuid AS booked_client_guid,
    (a.cancelled_at IS NOT NULL)::boolean AS cancelled,
    d.type, d.speciality_code
FROM appointment a
JOIN direction d ON d.lpu_guid = ANY(@lpu_guids::uuid[]) AND d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
WHERE a.lpu_guid = ANY(@lpu_guids::uuid[]) AND a.guid = @guid AND a.person_guid = @person_guid
ORDER BY a.updated_at DESC
LIMIT 1;

-- name: AppointmentHeir :batchone
-- Returns the visit that inherits a speciality claim: among the person's other active consultations
-- in the speciality, limited to the given visits, the one that ends last.
SELECT a.guid, a.lpu_guid, d.speciality_code, r.name AS resource_name, a.start_at, a.end_at
FROM appointment a
JOIN direction d ON d.lpu_guid = ANY(@lpu_guids::uuid[]) AND d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
JOIN resource r ON r.lpu_guid = ANY(@lpu_guids::uuid[]) AND r.lpu_guid = a.lpu_guid AND r.guid = a.resource_guid
WHERE a.lpu_guid = ANY(@lpu_guids::uuid[]) AND a.guid = ANY(@visits::uuid[]) AND a.guid <> @guid AND a.person_guid = @person_guid AND a.cancelled_at IS NULL AND a.attendance <> 'no_show' AND a.end_at > @at
    AND d.type = 'Consult' AND d.speciality_code = @speciality_code
ORDER BY a.end_at DESC, a.guid
LIMIT 1;

-- name: AppointmentCancel :batchone
-- Cancels a visit. Returns no row if the visit was not active, or has another version.
UPDATE appointment
SET cancelled_at = @cancelled_at::timestamptz, updated_at = @cancelled_at::timestamptz, cancel_reason_code = sqlc.narg(reason_code), cancel_reason = sqlc.narg(reason),
    cancel_initiator = @initiator::text, cancel_cause = sqlc.narg(cause)::text, cancel_client_guid = @client_guid::uuid, version = version + 1
WHERE lpu_guid = @lpu_guid AND guid = @guid AND version = @version AND cancelled_at IS NULL
RETURNING guid;

-- name: AppointmentDelete :batchone
-- Deletes a visit that is being moved. The move inserts it again in the target institution, under
-- the same guid. Returns no row if the visit has another version.
DELETE FROM appointment
WHERE lpu_guid = @lpu_guid AND guid = @guid AND version = @version
RETURNING guid;

-- name: AppointmentList :many
-- Returns the given visits of a person in the given institutions, latest start first. The status is
-- computed for the moment @at, and the day of a visit in the zone of its institution. The resource
-- and the referral are those of the visit's institution.
SELECT
    a.lpu_guid, a.guid, a.direction_lpu_guid, a.start_at, a.end_at, a.out_of_schedule, a.is_cito, a.comment, a.created_at, a.updated_at, a.cancelled_at,
    a.cancel_reason_code, a.cancel_reason, a.cancel_initiator, a.cancel_cause, a.moved_at, a.moved_by, a.move_cause, a.move_reason,
    r.guid AS resource_guid, r.kind AS resource_kind, r.name AS resource_name, r.room AS resource_room, r.speciality_code AS resource_speciality_code,
    r.preparation,
    d.guid AS direction_guid, d.type AS direction_type, d.number AS direction_number, d.speciality_code, d.speciality_name,
    state.status
FROM appointment a
JOIN lpu l ON l.guid = a.lpu_guid
JOIN resource r ON r.lpu_guid = ANY(@lpu_guids::uuid[]) AND r.lpu_guid = a.lpu_guid AND r.guid = a.resource_guid
JOIN direction d ON d.lpu_guid = ANY(@lpu_guids::uuid[]) AND d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
CROSS JOIN LATERAL (SELECT appointment_status(a.cancelled_at, a.end_at, a.attendance, sqlc.arg(at)::timestamptz)::text AS status) state
WHERE a.lpu_guid = ANY(@lpu_guids::uuid[]) AND a.guid = ANY(@visits::uuid[]) AND a.person_guid = @person_guid
    AND (sqlc.narg(guid)::uuid IS NULL OR a.guid = sqlc.narg(guid))
    AND (sqlc.narg(direction_guid)::uuid IS NULL OR a.direction_guid = sqlc.narg(direction_guid))
    AND (cardinality(@statuses::text[]) = 0 OR state.status = ANY(@statuses))
    AND (sqlc.narg(updated_since)::timestamptz IS NULL OR a.updated_at >= sqlc.narg(updated_since))
    AND (sqlc.narg(lpu_guid)::uuid IS NULL OR a.lpu_guid = sqlc.narg(lpu_guid))
    AND (sqlc.narg(date_from)::date IS NULL OR (a.start_at AT TIME ZONE l.time_zone)::date >= sqlc.narg(date_from))
    AND (sqlc.narg(date_to)::date IS NULL OR (a.start_at AT TIME ZONE l.time_zone)::date <= sqlc.narg(date_to))
    AND (sqlc.narg(after_at)::timestamptz IS NULL
        OR (a.start_at, a.guid, a.lpu_guid) < (sqlc.narg(after_at), sqlc.narg(after_guid)::uuid, sqlc.narg(after_lpu_guid)::uuid))
ORDER BY a.start_at DESC, a.guid DESC, a.lpu_guid DESC
LIMIT @most;

-- name: AppointmentsOfCard :batchmany
-- Returns those of the given visits that belong to a card, cancelled ones too, with their referrals.
SELECT guid, direction_guid, direction_lpu_guid
FROM appointment
WHERE lpu_guid = @lpu_guid AND guid = ANY(@visits::uuid[]) AND mkab_guid = @mkab_guid
ORDER BY guid
LIMIT @most;

-- name: AppointmentTransfer :batchmany
-- Transfers visits of a card to another one, and returns them with their versions. Their referrals
-- must be locked.
UPDATE appointment
SET mkab_guid = @into_guid, version = version + 1
WHERE lpu_guid = @lpu_guid AND guid = ANY(@visits::uuid[]) AND mkab_guid = @mkab_guid
RETURNING guid, direction_guid, resource_guid, version;
