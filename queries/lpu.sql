-- Reference data of the region. Every instance caches them in memory.

-- name: LpuAll :batchmany
SELECT guid, legal_entity_guid, code, name, time_zone, address, phone
FROM lpu
ORDER BY guid
LIMIT @most;

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

-- name: BusyTypeList :many
SELECT code, name, reception
FROM busy_type
ORDER BY code
LIMIT @most;

-- name: BusyTypePut :exec
-- Adds a kind of cells, or replaces it.
INSERT INTO busy_type (code, name, reception)
VALUES (@code, @name, @reception)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, reception = excluded.reception;
