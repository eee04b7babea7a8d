-- Where a person's rows are: in which institutions there are cards, and which visits there are.

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

-- name: PersonAppointmentList :batchmany
-- The newest first: the service's guids begin with the time.
SELECT guid
FROM person_appointment
WHERE person_guid = @person_guid
ORDER BY guid DESC
LIMIT @most;

-- name: PersonAppointmentAdd :batchexec
-- A moved visit already has its row.
INSERT INTO person_appointment (person_guid, guid)
VALUES (@person_guid, @guid)
ON CONFLICT (person_guid, guid) DO NOTHING;
