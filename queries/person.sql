-- The institutions in which a person has cards, and the person's visits.

-- name: PersonLpuList :batchmany
SELECT lpu_guid
FROM person_lpu
WHERE person_guid = @person_guid
ORDER BY lpu_guid
LIMIT @most;

-- name: PersonLpuAdd :batchexec
INSERT INTO person_lpu (person_guid, lpu_guid)
VALUES (@person_guid, @lpu_guid)
ON CONFLICT (person_guid, lpu_guid) DO NOTHING;

-- name: PersonAppointmentList :batchmany
-- Returns the person's visits, newest first: the guids that the service generates begin with the
-- time.
SELECT guid
FROM person_appointment
WHERE person_guid = @person_guid
ORDER BY guid DESC
LIMIT @most;

-- name: PersonAppointmentAdd :batchexec
-- Inserts nothing for a moved visit, whose row exists already.
INSERT INTO person_appointment (person_guid, guid)
VALUES (@person_guid, @guid)
ON CONFLICT (person_guid, guid) DO NOTHING;
