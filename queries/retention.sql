-- name: RetentionAdd :execrows
-- Lets the institutions be swept that never were.
INSERT INTO retention (lpu_guid, swept_at, free_before)
SELECT l.guid, @beginning, @beginning
FROM lpu l
WHERE NOT EXISTS (SELECT 1 FROM retention r WHERE r.lpu_guid = l.guid)
ON CONFLICT (lpu_guid) DO NOTHING;

-- name: RetentionClaim :one
-- Returns an institution that was last swept before a time and that no other instance sweeps, and
-- locks it. Returns no row if there is none.
SELECT lpu_guid, free_before
FROM retention
WHERE swept_at < @due
ORDER BY swept_at, lpu_guid
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: RetentionAdvance :exec
UPDATE retention
SET swept_at = coalesce(sqlc.narg(swept_at), swept_at), free_before = @free_before
WHERE lpu_guid = @lpu_guid;

-- name: FreeCellsDelete :many
-- Deletes the first free cells that begin in a period, and returns when they began.
DELETE FROM slot past
WHERE past.lpu_guid = @lpu_guid AND past.guid = ANY(ARRAY(
    SELECT s.guid
    FROM slot s
    WHERE s.lpu_guid = @lpu_guid AND s.start_at >= @since AND s.start_at < @until AND s.taken = 0
    ORDER BY s.start_at
    LIMIT @most
    FOR UPDATE
))
RETURNING past.start_at;

-- name: WindowsDelete :execrows
-- Deletes what is known of the messages about periods that ended before a time.
DELETE FROM schedule_window old
WHERE old.lpu_guid = @lpu_guid AND (old.resource_guid, old.from_at) IN (
    SELECT w.resource_guid, w.from_at
    FROM schedule_window w
    WHERE w.lpu_guid = @lpu_guid AND w.to_at < @until
    LIMIT @most
    FOR UPDATE
);

-- name: PastVisitList :many
-- Returns the first visits that ended before a time, and locks them.
SELECT guid, person_guid, direction_guid, slot_guids
FROM appointment
WHERE lpu_guid = @lpu_guid AND start_at < @until AND end_at < @until
ORDER BY start_at, guid
LIMIT @most
FOR UPDATE;

-- name: VisitsDelete :exec
DELETE FROM appointment
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[]);

-- name: VisitsOfPersonsDelete :exec
DELETE FROM person_appointment
WHERE person_guid = ANY(@person_guids::uuid[]) AND guid = ANY(@guids::uuid[]);

-- name: ClaimsOfVisitsDelete :exec
DELETE FROM speciality_claim
WHERE person_guid = ANY(@person_guids::uuid[]) AND appointment_guid = ANY(@guids::uuid[]);

-- name: CellsDelete :exec
DELETE FROM slot
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[]);

-- name: CopiesDelete :exec
-- Deletes those of the given referrals that are copies and have no visit any more.
DELETE FROM direction d
WHERE d.lpu_guid = @lpu_guid AND d.guid = ANY(@guids::uuid[]) AND d.copied_from_lpu_guid IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM appointment a WHERE a.lpu_guid = @lpu_guid AND a.direction_guid = d.guid);

-- name: PastReferralsDelete :many
-- Deletes the first original referrals that expired before a day and whose visit, if any, ended
-- before a time, unless the institution still has visits with them. Returns their guids.
DELETE FROM direction past
WHERE past.lpu_guid = @lpu_guid AND past.guid = ANY(ARRAY(
    SELECT d.guid
    FROM direction d
    WHERE d.lpu_guid = @lpu_guid AND d.copied_from_lpu_guid IS NULL AND d.date_end < @until_day::date
        AND (d.appointment_end_at IS NULL OR d.appointment_end_at < @until::timestamptz)
        AND NOT EXISTS (SELECT 1 FROM appointment a WHERE a.lpu_guid = @lpu_guid AND a.direction_guid = d.guid)
    ORDER BY d.date_end
    LIMIT @most
    FOR UPDATE
))
RETURNING past.guid;

-- name: ReferralVersionsDelete :exec
-- Deletes the versions of referrals.
DELETE FROM source_object
WHERE owner_guid = @lpu_guid AND kind = 'referral' AND guid = ANY(@guids::uuid[]);
