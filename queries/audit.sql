-- name: AuditAdd :exec
-- Adds records. If it is repeated after it has succeeded, the primary key rejects all of them.
INSERT INTO audit_record (at, guid, person_guid, client_guid, request_id, acting_user, operation, status, rule, objects, compared)
SELECT unnest(@at::timestamptz[]), unnest(@guid::uuid[]), unnest(@person_guid::uuid[]), unnest(@client_guid::uuid[]), unnest(@request_id::uuid[]),
    unnest(@acting_user::text[]), unnest(@operation::text[]), unnest(@status::integer[]), unnest(@rule::text[]), unnest(@objects::json[]),
    unnest(@compared::json[]);

-- name: AuditPersons :many
-- Returns the patients of cards, referrals and cases of treatment, by institution and guid.
WITH object AS (SELECT unnest(@lpu_guid::uuid[]) AS lpu_guid, unnest(@guid::uuid[]) AS guid), card AS (
    SELECT lpu_guid, guid, guid AS mkab_guid FROM object
    UNION ALL
    SELECT o.lpu_guid, o.guid, d.mkab_guid FROM object o JOIN direction d ON d.lpu_guid = o.lpu_guid AND d.guid = o.guid WHERE d.lpu_guid = ANY(@lpu_guid::uuid[])
    UNION ALL
    SELECT o.lpu_guid, o.guid, t.mkab_guid FROM object o JOIN tap t ON t.lpu_guid = o.lpu_guid AND t.guid = o.guid WHERE t.lpu_guid = ANY(@lpu_guid::uuid[])
)
SELECT c.lpu_guid::uuid AS lpu_guid, c.guid::uuid AS guid, m.person_guid FROM card c JOIN mkab m ON m.lpu_guid = c.lpu_guid AND m.guid = c.mkab_guid
WHERE m.lpu_guid = ANY(@lpu_guid::uuid[]);

-- name: AuditPartitions :exec
-- Creates the partitions of a day's month and of the next one.
SELECT audit_partitions(@today::date);

-- name: AuditDropPartitions :exec
-- Drops the partitions that need not be kept any more.
SELECT audit_drop_partitions(@today::date, @kept_days);

-- name: AuditOfPerson :many
-- Returns records of a person from a time on, before a place, the newest first.
SELECT at, guid, person_guid, client_guid, request_id, acting_user, operation, status, rule, objects, compared
FROM audit_record
WHERE person_guid = @person_guid
    AND at >= @from_at AND at <= @before_at AND (at, guid) < (@before_at, @before_guid::uuid)
    AND (sqlc.narg(client_guid)::uuid IS NULL OR client_guid = sqlc.narg(client_guid)::uuid)
ORDER BY at DESC, guid DESC
LIMIT @most;

-- name: AuditOfClient :many
-- Returns records of a client application from a time on, before a place, the newest first.
SELECT at, guid, person_guid, client_guid, request_id, acting_user, operation, status, rule, objects, compared
FROM audit_record
WHERE client_guid = @client_guid
    AND at >= @from_at AND at <= @before_at AND (at, guid) < (@before_at, @before_guid::uuid)
ORDER BY at DESC, guid DESC
LIMIT @most;

-- name: AuditOfRequest :many
-- Returns records of a request from a time on, before a place, the newest first.
SELECT at, guid, person_guid, client_guid, request_id, acting_user, operation, status, rule, objects, compared
FROM audit_record
WHERE request_id = @request_id
    AND at >= @from_at AND at <= @before_at AND (at, guid) < (@before_at, @before_guid::uuid)
    AND (sqlc.narg(client_guid)::uuid IS NULL OR client_guid = sqlc.narg(client_guid)::uuid)
    AND (sqlc.narg(person_guid)::uuid IS NULL OR person_guid = sqlc.narg(person_guid)::uuid)
ORDER BY at DESC, guid DESC
LIMIT @most;

-- name: AuditOfPeriod :many
-- Returns records from a time on, before a place, the newest first.
SELECT at, guid, person_guid, client_guid, request_id, acting_user, operation, status, rule, objects, compared
FROM audit_record
WHERE at >= @from_at AND at <= @before_at AND (at, guid) < (@before_at, @before_guid::uuid)
ORDER BY at DESC, guid DESC
LIMIT @most;
