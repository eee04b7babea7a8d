-- A day of a small region: the cells of the day, and visits in one of fourteen, each with a referral
-- from another institution, its copy, and two events. :day is replaced by the beginning of the day.
INSERT INTO slot (lpu_guid, guid, resource_guid, start_at, end_at, flag_access, busy_type)
SELECT lpu_guid, gen_random_uuid(), guid, :day + n * interval '20 minutes', :day + (n + 1) * interval '20 minutes', 12, 1
FROM resource, generate_series(1, 12) n;

INSERT INTO schedule_window (lpu_guid, resource_guid, from_at, to_at, version, content, settled)
SELECT lpu_guid, guid, :day, :day + interval '1 day', 1, sha256(''), true
FROM resource;

CREATE TEMPORARY TABLE visit ON COMMIT DROP AS
SELECT s.lpu_guid, s.guid AS slot_guid, s.resource_guid, s.start_at, s.end_at, gen_random_uuid() AS guid, gen_random_uuid() AS direction_guid,
    target.guid AS mkab_guid, target.person_guid, source.lpu_guid AS source_guid, source.guid AS source_mkab_guid
FROM (SELECT *, row_number() OVER () AS n FROM slot WHERE start_at >= :day) s
JOIN (SELECT *, row_number() OVER (PARTITION BY lpu_guid ORDER BY person_guid) AS n FROM mkab) target
    ON target.lpu_guid = s.lpu_guid AND target.n = 1 + (s.n + extract(epoch FROM :day)::bigint / 86400) % 500
JOIN mkab source ON source.person_guid = target.person_guid
    AND source.lpu_guid = (SELECT l.guid FROM lpu l WHERE l.guid <> s.lpu_guid ORDER BY l.guid LIMIT 1)
WHERE s.n % 14 = 0;

UPDATE slot s
SET taken = 1
FROM visit v
WHERE s.lpu_guid = v.lpu_guid AND s.guid = v.slot_guid;

INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, speciality_code,
    lpu_from_guid, lpu_to_guid, appointment_guid, appointment_lpu_guid, appointment_start_at, appointment_end_at)
SELECT d.lpu_guid, v.direction_guid, d.copied_from, 'Consult', 'Н-1', :day, :day + interval '30 days', :day, d.mkab_guid, '92',
    v.source_guid, v.lpu_guid, v.guid, v.lpu_guid, v.start_at, v.end_at
FROM visit v
CROSS JOIN LATERAL (VALUES (v.source_guid, NULL, v.source_mkab_guid), (v.lpu_guid, v.source_guid, v.mkab_guid)) d (lpu_guid, copied_from, mkab_guid);

INSERT INTO source_object (owner_guid, kind, guid, version, content, deleted)
SELECT source_guid, 'referral', direction_guid, 1, sha256(''), false
FROM visit;

INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
    out_of_schedule, is_cito, comment, created_at, updated_at, slot_guids)
SELECT lpu_guid, guid, direction_guid, source_guid, mkab_guid, person_guid, resource_guid, mkab_guid, start_at, end_at,
    false, false, '', :day, :day, ARRAY[slot_guid]
FROM visit;

INSERT INTO person_appointment (person_guid, guid)
SELECT person_guid, guid
FROM visit;

INSERT INTO speciality_claim (person_guid, speciality_code, appointment_guid, lpu_guid, resource_name, start_at, end_at)
SELECT DISTINCT ON (person_guid) person_guid, '92', guid, lpu_guid, 'Врач', start_at, end_at
FROM visit
ON CONFLICT (person_guid, speciality_code) DO UPDATE
SET appointment_guid = excluded.appointment_guid, lpu_guid = excluded.lpu_guid, start_at = excluded.start_at, end_at = excluded.end_at;

INSERT INTO event_outbox (lpu_guid, type, at, appointment_guid, direction_guid, resource_guid, version)
SELECT e.lpu_guid, e.type, :day, v.guid, v.direction_guid, v.resource_guid, 1
FROM visit v
CROSS JOIN LATERAL (VALUES (v.lpu_guid, 'appointment.booked'), (v.source_guid, 'referral.booked')) e (lpu_guid, type);
