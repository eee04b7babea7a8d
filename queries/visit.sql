-- The visits of an institution, as its own system sees them.

-- name: VisitsByStart :batchmany
-- Returns the visits of an institution that begin in a period, in order of start and guid, after a
-- position. The status is computed for the moment @at.
SELECT
    a.lpu_guid, a.guid, a.version, a.person_guid, a.mkab_guid, a.direction_guid, a.direction_lpu_guid, d.type AS direction_type, d.number AS direction_number,
    a.resource_guid, r.name AS resource_name, a.start_at, a.end_at, a.slot_guids, a.out_of_schedule, a.is_cito, a.comment, a.client_guid,
    a.created_at, a.updated_at, a.cancelled_at, a.cancel_reason_code, a.cancel_reason, a.cancel_initiator, a.cancel_cause, a.cancel_client_guid,
    a.receipt_status, a.receipt_version, a.receipt_reason, a.receipt_number, a.receipt_at, a.attendance, a.attendance_at,
    a.booked_by, coalesce(a.booked_client_guid, a.client_guid)::uuid AS booked_client_guid, a.moved_at, a.moved_by, a.move_cause, a.move_reason, state.status
FROM appointment a
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = a.resource_guid
JOIN direction d ON d.lpu_guid = @lpu_guid AND d.guid = a.direction_guid
CROSS JOIN LATERAL (SELECT appointment_status(a.cancelled_at, a.end_at, a.attendance, sqlc.arg(at)::timestamptz)::text AS status) state
WHERE a.lpu_guid = @lpu_guid AND a.start_at >= @from_at AND a.start_at < @to_at AND (a.start_at, a.guid) > (@from_at, @after_guid::uuid)
    AND (sqlc.narg(resource_guid)::uuid IS NULL OR a.resource_guid = sqlc.narg(resource_guid))
    AND (cardinality(@statuses::text[]) = 0 OR state.status = ANY(@statuses))
ORDER BY a.start_at, a.guid
LIMIT @most;

-- name: VisitsByUpdate :batchmany
-- Returns the columns of VisitsByStart for the visits of an institution that were changed at
-- @since_at or later and begin in a period, in order of change and guid, after a position.
SELECT
    a.lpu_guid, a.guid, a.version, a.person_guid, a.mkab_guid, a.direction_guid, a.direction_lpu_guid, d.type AS direction_type, d.number AS direction_number,
    a.resource_guid, r.name AS resource_name, a.start_at, a.end_at, a.slot_guids, a.out_of_schedule, a.is_cito, a.comment, a.client_guid,
    a.created_at, a.updated_at, a.cancelled_at, a.cancel_reason_code, a.cancel_reason, a.cancel_initiator, a.cancel_cause, a.cancel_client_guid,
    a.receipt_status, a.receipt_version, a.receipt_reason, a.receipt_number, a.receipt_at, a.attendance, a.attendance_at,
    a.booked_by, coalesce(a.booked_client_guid, a.client_guid)::uuid AS booked_client_guid, a.moved_at, a.moved_by, a.move_cause, a.move_reason, state.status
FROM appointment a
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = a.resource_guid
JOIN direction d ON d.lpu_guid = @lpu_guid AND d.guid = a.direction_guid
CROSS JOIN LATERAL (SELECT appointment_status(a.cancelled_at, a.end_at, a.attendance, sqlc.arg(at)::timestamptz)::text AS status) state
WHERE a.lpu_guid = @lpu_guid AND a.updated_at >= @since_at AND (a.updated_at, a.guid) > (@since_at, @after_guid::uuid)
    AND a.start_at >= @from_at AND a.start_at < @to_at
    AND (sqlc.narg(resource_guid)::uuid IS NULL OR a.resource_guid = sqlc.narg(resource_guid))
    AND (cardinality(@statuses::text[]) = 0 OR state.status = ANY(@statuses))
ORDER BY a.updated_at, a.guid
LIMIT @most;

-- name: VisitGet :batchone
-- Returns the columns of VisitsByStart for one visit of an institution.
SELECT
    a.lpu_guid, a.guid, a.version, a.person_guid, a.mkab_guid, a.direction_guid, a.direction_lpu_guid, d.type AS direction_type, d.number AS direction_number,
    a.resource_guid, r.name AS resource_name, a.start_at, a.end_at, a.slot_guids, a.out_of_schedule, a.is_cito, a.comment, a.client_guid,
    a.created_at, a.updated_at, a.cancelled_at, a.cancel_reason_code, a.cancel_reason, a.cancel_initiator, a.cancel_cause, a.cancel_client_guid,
    a.receipt_status, a.receipt_version, a.receipt_reason, a.receipt_number, a.receipt_at, a.attendance, a.attendance_at,
    a.booked_by, coalesce(a.booked_client_guid, a.client_guid)::uuid AS booked_client_guid, a.moved_at, a.moved_by, a.move_cause, a.move_reason,
    appointment_status(a.cancelled_at, a.end_at, a.attendance, sqlc.arg(at)::timestamptz)::text AS status
FROM appointment a
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = a.resource_guid
JOIN direction d ON d.lpu_guid = @lpu_guid AND d.guid = a.direction_guid
WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid;

-- name: VisitLock :batchone
-- Locks a visit of an institution against its moves and cancels, and against other receipts. Also
-- returns no row if it has waited for a move, which inserts the visit again.
SELECT version, (cancelled_at IS NOT NULL)::boolean AS cancelled, receipt_status, receipt_version, receipt_reason, receipt_number
FROM appointment
WHERE lpu_guid = @lpu_guid AND guid = @guid
FOR NO KEY UPDATE;

-- name: VisitConfirm :batchexec
-- Stores the receipt of a locked visit.
UPDATE appointment
SET receipt_status = @status::text, receipt_version = @version::bigint, receipt_reason = @reason, receipt_number = @number, receipt_at = @at::timestamptz
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: VisitPerson :batchone
-- Returns the person of a visit of an institution, and the name of its resource.
SELECT a.person_guid, r.name AS resource_name
FROM appointment a
JOIN resource r ON r.lpu_guid = @lpu_guid AND r.guid = a.resource_guid
WHERE a.lpu_guid = @lpu_guid AND a.guid = @guid;

-- name: VisitAttend :batchone
-- Stores what became of a visit. Returns no row if the visit is not active, or has another version.
UPDATE appointment
SET version = version + 1, updated_at = @updated_at, attendance = @attendance::text, attendance_at = sqlc.narg(attendance_at)::timestamptz,
    attendance_since = sqlc.narg(attendance_since)::timestamptz
WHERE lpu_guid = @lpu_guid AND guid = @guid AND version = @version AND cancelled_at IS NULL
RETURNING guid;
