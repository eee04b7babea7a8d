-- Objects of the region and of institutions, as sources write them.

-- name: LegalEntityWrite :batchexec
INSERT INTO legal_entity (guid, name)
VALUES (@guid, @name)
ON CONFLICT (guid) DO UPDATE SET name = excluded.name;

-- name: LegalEntityGet :batchone
SELECT name FROM legal_entity WHERE guid = @guid;

-- name: LegalEntityDelete :batchexec
DELETE FROM legal_entity WHERE guid = @guid;

-- name: LpuWrite :batchexec
INSERT INTO lpu (guid, legal_entity_guid, code, name, time_zone, address, phone)
VALUES (@guid, @legal_entity_guid, @code, @name, @time_zone, @address, @phone)
ON CONFLICT (guid) DO UPDATE
SET legal_entity_guid = excluded.legal_entity_guid, code = excluded.code, name = excluded.name, time_zone = excluded.time_zone, address = excluded.address,
    phone = excluded.phone;

-- name: LpuGet :batchone
SELECT legal_entity_guid, code, name, time_zone, address, phone FROM lpu WHERE guid = @guid;

-- name: LpuOfCode :batchone
SELECT guid FROM lpu WHERE code = @code;

-- name: LpuDelete :batchexec
DELETE FROM lpu WHERE guid = @guid;

-- name: ClientRightsWrite :batchone
-- Returns no row if there is no such client application.
UPDATE client_application
SET visit_direction = @visit_direction, visit_direction_other_lpu = @visit_direction_other_lpu, out_of_schedule = @out_of_schedule
WHERE guid = @guid
RETURNING guid;

-- name: ClientRightsGet :batchone
SELECT visit_direction, visit_direction_other_lpu, out_of_schedule FROM client_application WHERE guid = @guid;

-- name: SettingsDelete :batchexec
DELETE FROM setting WHERE owner_guid = @owner_guid AND of_client = @of_client;

-- name: SettingsAdd :batchexec
-- Adds settings of an owner. The elements of the arrays belong together.
INSERT INTO setting (owner_guid, of_client, code, value)
SELECT @owner_guid, @of_client, unnest(@codes::text[]), unnest(@settings::text[]);

-- name: SettingsOfOwner :batchmany
SELECT code, value FROM setting
WHERE owner_guid = @owner_guid AND of_client = @of_client
ORDER BY code
LIMIT @most;

-- name: ResourceWrite :batchexec
INSERT INTO resource (lpu_guid, guid, kind, name, speciality_code, room, preparation, active)
VALUES (@lpu_guid, @guid, @kind, @name, @speciality_code, @room, @preparation, @active)
ON CONFLICT (lpu_guid, guid) DO UPDATE
SET kind = excluded.kind, name = excluded.name, speciality_code = excluded.speciality_code, room = excluded.room, preparation = excluded.preparation,
    active = excluded.active;

-- name: ResourceDeactivate :batchexec
UPDATE resource SET active = false WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: ResourceGet :batchone
-- Returns a resource that its source has not deleted, with the version of its newest write.
SELECT r.kind, r.name, r.speciality_code, r.room, r.preparation, r.active, o.version
FROM resource r
LEFT JOIN source_object o ON o.owner_guid = @lpu_guid AND o.kind = 'resource' AND o.guid = r.guid
WHERE r.lpu_guid = @lpu_guid AND r.guid = @guid AND NOT coalesce(o.deleted, false);

-- name: ResourceList :batchmany
-- Returns the resources after a guid that their source has not deleted, with their versions.
SELECT r.guid, r.kind, r.name, r.speciality_code, r.room, r.preparation, r.active, o.version
FROM resource r
LEFT JOIN source_object o ON o.owner_guid = @lpu_guid AND o.kind = 'resource' AND o.guid = r.guid
WHERE r.lpu_guid = @lpu_guid AND r.guid > @after_guid AND NOT coalesce(o.deleted, false)
ORDER BY r.guid
LIMIT @most;
