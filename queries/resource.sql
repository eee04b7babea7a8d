-- name: ResourceFacts :batchone
-- A resource to visit out of schedule.
SELECT guid, kind, name, speciality_code, active
FROM resource
WHERE lpu_guid = @lpu_guid AND guid = @guid;
