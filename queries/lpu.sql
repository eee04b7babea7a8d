-- Reference data of the region. Every instance caches them in memory.

-- name: LpuAll :batchmany
SELECT guid, legal_entity_guid, code, name, time_zone, address, phone
FROM lpu
ORDER BY guid
LIMIT @most;

-- name: LpuExists :batchone
SELECT EXISTS (SELECT 1 FROM lpu WHERE guid = @guid)::boolean;

-- name: ClientApplicationAll :batchmany
SELECT guid, visit_direction, visit_direction_other_lpu, out_of_schedule, scopes, lpu_guids, every_lpu
FROM client_application
WHERE active
LIMIT @most;

-- name: SettingAll :batchmany
SELECT owner_guid, code, value
FROM setting
LIMIT @most;

-- name: BusyTypeAll :batchmany
SELECT code, reception
FROM busy_type
LIMIT @most;
