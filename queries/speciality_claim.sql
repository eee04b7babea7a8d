-- name: SpecialityClaimFacts :batchmany
-- The active consultations of a person at a moment, over all institutions, each with the zone that its start is told in.
SELECT c.speciality_code, c.resource_name, c.start_at, l.time_zone
FROM speciality_claim c
JOIN lpu l ON l.guid = c.lpu_guid
WHERE c.person_guid = @person_guid AND c.end_at > @at
ORDER BY c.speciality_code
LIMIT 1000;

-- name: SpecialityClaimTake :batchone
-- Promise 3: where the setting is on, a person has at most one active appointment a speciality. No row: another booking has it.
INSERT INTO speciality_claim (person_guid, speciality_code, appointment_guid, lpu_guid, resource_name, start_at, end_at)
VALUES (@person_guid, @speciality_code, @appointment_guid, @lpu_guid, @resource_name, @start_at, @end_at)
ON CONFLICT (person_guid, speciality_code) DO UPDATE
SET appointment_guid = excluded.appointment_guid, lpu_guid = excluded.lpu_guid, resource_name = excluded.resource_name,
    start_at = excluded.start_at, end_at = excluded.end_at
WHERE speciality_claim.end_at <= @at OR NOT @only_one::boolean
RETURNING appointment_guid;

-- name: SpecialityClaimGet :one
-- The claim that a booking has just lost against; the lost upsert holds its row, so it cannot change before this is read.
SELECT c.resource_name, c.start_at, l.time_zone
FROM speciality_claim c
JOIN lpu l ON l.guid = c.lpu_guid
WHERE c.person_guid = @person_guid AND c.speciality_code = @speciality_code;
