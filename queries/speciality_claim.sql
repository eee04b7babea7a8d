-- name: SpecialityClaimFacts :batchmany
-- The active consultations of a person at a moment, over all institutions.
SELECT c.speciality_code, c.appointment_guid, c.lpu_guid, c.resource_name, c.start_at, c.end_at
FROM speciality_claim c
WHERE c.person_guid = @person_guid AND c.end_at > @at
ORDER BY c.speciality_code
LIMIT 1000;

-- name: SpecialityClaimTake :batchone
-- Promise 3: where the setting is on, a person has at most one active appointment a speciality. A claim that has ended is taken over; where the setting is
-- off, also one that ends sooner, so that the claim is always the last. No row: the claim stays another appointment's, and is locked.
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
-- Holds a person's speciality against all other bookings, cancels and moves, and tells whose it is.
SELECT appointment_guid
FROM speciality_claim
WHERE person_guid = @person_guid AND speciality_code = @speciality_code
FOR UPDATE;

-- name: SpecialityClaimRelease :batchexec
DELETE FROM speciality_claim
WHERE person_guid = @person_guid AND speciality_code = @speciality_code AND appointment_guid = @appointment_guid;

-- name: SpecialityClaimGive :batchexec
-- Gives the claim to another appointment of the same person and speciality.
UPDATE speciality_claim
SET appointment_guid = @appointment_guid, lpu_guid = @lpu_guid, resource_name = @resource_name, start_at = @start_at, end_at = @end_at
WHERE person_guid = @person_guid AND speciality_code = @speciality_code;
