-- Where a person's rows are: in which institutions there are cards, and in which one a visit is.

-- name: PersonLpuList :batchmany
SELECT lpu_guid
FROM person_lpu
WHERE person_guid = @person_guid
ORDER BY lpu_guid
LIMIT @most;

-- name: PersonLpuAdd :exec
INSERT INTO person_lpu (person_guid, lpu_guid)
VALUES (@person_guid, @lpu_guid)
ON CONFLICT (person_guid, lpu_guid) DO NOTHING;

-- name: PersonAppointmentGet :batchone
SELECT lpu_guid
FROM person_appointment
WHERE person_guid = @person_guid AND guid = @guid;

-- name: PersonAppointmentSet :batchexec
INSERT INTO person_appointment (person_guid, guid, lpu_guid)
VALUES (@person_guid, @guid, @lpu_guid)
ON CONFLICT (person_guid, guid) DO UPDATE
SET lpu_guid = excluded.lpu_guid;
