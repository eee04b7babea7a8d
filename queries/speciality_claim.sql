-- name: SpecialityClaimFacts :batchmany
-- Returns the active consultations of a person at a moment, in all institutions.
SELECT c.speciality_code, c.appointment_guid, c.lpu_guid, c.resource_name, c.start_at, c.end_at
FROM speciality_claim c
WHERE c.person_guid = @person_guid AND c.end_at > @at
ORDER BY c.speciality_code
LIMIT 1000;

-- name: SpecialityClaimTake :batchone
-- Guarantee 3: if the setting is on, a person has at most one active appointment per speciality.
-- Replaces a claim that has ended. If the setting is off, it also replaces a claim that ends
-- earlier, so that the claim is always the one that ends last. Returns no row if another
-- appointment keeps the claim; the claim is locked in that case.
INSERT INTO speciality_claim AS c (person_guid, speciality_code, appointment_guid, lpu_guid, resource_name, start_at, end_at)
VALUES (@person_guid, @speciality_code, @appointment_guid, @lpu_guid, @resource_name, @start_at, @end_at)
ON CONFLICT (person_guid, speciality_code) DO UPDATE
SET appointment_guid = excluded.appointment_guid, lpu_guid = excluded.lpu_guid, resource_name = excluded.resource_name,
    start_at = excluded.start_at, end_at = excluded.end_at
WHERE c.end_at <= @at OR NOT @only_one::boolean AND c.end_at < excluded.end_at
RETURNING appointment_guid;

-- name: SpecialityClaimGet :batchone
SELECT c.appointment_guid, c.lpu_guid, c.resource_name, c.start_at, c.end_at
FROM speciality_claim c
WHERE c.person_guid = @person_guid AND c.speciality_code = @speciality_code;

-- name: SpecialityClaimLock :batchone
-- Locks a person's claim on a speciality against all other bookings, cancels and moves. On a
-- distributed database it may return no row after it has waited for a move, which replaces the claim.
SELECT appointment_guid
FROM speciality_claim
WHERE person_guid = @person_guid AND speciality_code = @speciality_code
FOR UPDATE;

-- name: SpecialityClaimRelease :batchexec
DELETE FROM speciality_claim
WHERE person_guid = @person_guid AND speciality_code = @speciality_code AND appointment_guid = @appointment_guid;

-- name: SpecialityClaimGive :batchexec
-- Transfers the claim of an appointment to another one of the same person and speciality.
UPDATE speciality_claim
SET appointment_guid = @appointment_guid, lpu_guid = @lpu_guid, resource_name = @resource_name, start_at = @start_at, end_at = @end_at
WHERE person_guid = @person_guid AND speciality_code = @speciality_code AND appointment_guid = @holder_guid;

-- name: SpecialityClaimsLock :batchmany
-- Locks all claims of a person as SpecialityClaimLock locks one.
SELECT speciality_code
FROM speciality_claim
WHERE person_guid = @person_guid
ORDER BY speciality_code
FOR UPDATE;
