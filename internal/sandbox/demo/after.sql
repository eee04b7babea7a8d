-- Inserts what the registry does not bring in, after the region: visits, holds, and what the
-- scenarios need. All times are relative to the setting talon.demo_now of the transaction. Guids
-- have the form that demoFiles describes.

CREATE FUNCTION pg_temp.demo_guid(kind text, number bigint) RETURNS uuid LANGUAGE sql STABLE AS
    $$ SELECT format('de300000-%s-4000-8000-%s', kind, lpad(number::text, 12, '0'))::uuid $$;

CREATE FUNCTION pg_temp.demo_today(zone text) RETURNS date LANGUAGE sql STABLE AS
    $$ SELECT (current_setting('talon.demo_now')::timestamptz AT TIME ZONE zone)::date $$;

-- The master patient index knows nothing about person 15 but the guid.
INSERT INTO mip_person (guid) VALUES (pg_temp.demo_guid('0005', 15));

-- The cards are older than the visits.
UPDATE mkab m
SET created_at = (pg_temp.demo_today(l.time_zone) - 60 + time '09:00') AT TIME ZONE l.time_zone
FROM lpu l
WHERE l.guid = m.lpu_guid;

-- Referral 6 of patient 1 is from another legal entity than the institution that holds it.
UPDATE direction SET lpu_from_guid = pg_temp.demo_guid('0002', 1005) WHERE guid = pg_temp.demo_guid('0007', 100000006);

-- What the scenarios of the registry meet, far ahead: a message for a month, and an absence.
UPDATE schedule_source SET version = 5 WHERE resource_guid = pg_temp.demo_guid('0004', 3);
INSERT INTO schedule_window (lpu_guid, resource_guid, from_at, to_at, version, content, settled)
SELECT lpu_guid, resource_guid, '2100-02-01Z', '2100-03-01Z', version, sha256('another message'), true
FROM schedule_source
WHERE resource_guid = pg_temp.demo_guid('0004', 3);
INSERT INTO absence (lpu_guid, guid, resource_guid, from_at, to_at, reason)
SELECT lpu_guid, pg_temp.demo_guid('000d', 1), resource_guid, '2100-01-01Z', '2100-01-02Z', 'Отпуск'
FROM schedule_source
WHERE resource_guid = pg_temp.demo_guid('0004', 3);
-- A schedule that its source does not confirm any more.
UPDATE schedule_source
SET version = 7, confirmed_at = now.at - interval '31 days', last_error_at = now.at - interval '2 days', last_error_rule = 'version_stale'
FROM (SELECT current_setting('talon.demo_now')::timestamptz) now (at)
WHERE resource_guid = pg_temp.demo_guid('0004', 16);

-- Imports: one that has ended with a bad line, and those of the application that may not send more.
INSERT INTO import (guid, client_guid, scopes, lpu_guids, every_lpu, dry_run, on_error, state, created_at, finished_at, reserved_until, total, chunks, next_chunk,
    done, changed, failed, cells_added)
SELECT pg_temp.demo_guid('000f', i.number), c.guid, c.scopes, c.lpu_guids, c.every_lpu, false, 'skip', i.state, now, i.finished_at, now + interval '100 years',
    3, 1, i.chunks, 3 * i.chunks, 2 * i.chunks, i.chunks, 64 * i.chunks
FROM (SELECT current_setting('talon.demo_now')::timestamptz AS now) demo
CROSS JOIN LATERAL (VALUES
    (1, 12, 'completed', now, 1),
    (2, 12, 'cancelled', now, 0),
    (3, 20, 'completed', now, 1)
) i (number, client, state, finished_at, chunks)
JOIN client_application c ON c.guid = pg_temp.demo_guid('0003', i.client);
INSERT INTO import (guid, client_guid, scopes, lpu_guids, every_lpu, dry_run, on_error, state, created_at, reserved_until)
SELECT pg_temp.demo_guid('000f', 10 + n), c.guid, c.scopes, c.lpu_guids, c.every_lpu, false, 'skip', 'uploading', now, now + interval '100 years'
FROM (SELECT current_setting('talon.demo_now')::timestamptz AS now) demo
JOIN client_application c ON c.guid = pg_temp.demo_guid('0003', 13)
CROSS JOIN generate_series(1, 10) n;
INSERT INTO import_error (import_guid, line, error)
SELECT guid, 3, jsonb_build_object('code', 404, 'message', 'Ресурс не найден', 'message_code', '4044', 'type', 'Error', 'rule', 'resource_absent', 'request_id', guid)
FROM import WHERE failed > 0;

-- Webhooks that are paused, so that nothing is sent: two with a log, and those of the application
-- that may not have more.
INSERT INTO webhook (guid, client_guid, url, types, status, created_at, updated_at, recorded_at, position)
SELECT pg_temp.demo_guid('0010', w.number), pg_temp.demo_guid('0003', w.client), 'https://clinic.example/talon', '{}', 'paused', now, now, now, 0
FROM (SELECT current_setting('talon.demo_now')::timestamptz AS now) demo
CROSS JOIN LATERAL (
    SELECT 1, 12
    UNION ALL SELECT 2, 20
    UNION ALL SELECT 100 + n, 13 FROM generate_series(1, 20) n
) w (number, client);
INSERT INTO webhook_key (webhook_guid, number, created_at, secret, seed) OVERRIDING SYSTEM VALUE
SELECT guid, -1, created_at, sha256(guid::text::bytea), sha256(url::bytea) FROM webhook WHERE guid < pg_temp.demo_guid('0010', 100);
INSERT INTO webhook_attempt (webhook_guid, number, at, position, recorded_at, type, attempt, outcome, http_status, milliseconds) OVERRIDING SYSTEM VALUE
SELECT w.guid, a.number - 3, now - a.ago, 1566291600087416, now, 'appointment.booked', a.number, a.outcome, a.status, a.milliseconds
FROM (SELECT current_setting('talon.demo_now')::timestamptz AS now) demo
CROSS JOIN LATERAL (VALUES
    (1, 'timeout', NULL, 10000, interval '15 seconds'),
    (2, 'delivered', 204, 12, interval '0')
) a (number, outcome, status, milliseconds, ago)
JOIN webhook w ON w.guid < pg_temp.demo_guid('0010', 100);

-- Appointments ------------------------------------------------------------------------------------

-- The active future ones are after the cell of example 1, so their claims are valid until the data
-- are outdated. Visit 4 is in the past; it was out of schedule. The patient of visit 6 is there
-- already, so that it cannot be cancelled. The institution has moved visit 7 and cancelled visit 8.
CREATE TEMPORARY TABLE demo_visit (number int, direction_guid uuid, copy_id bigint, slot_id bigint, resource_guid uuid, cancelled boolean);
INSERT INTO demo_visit VALUES
    (1, 'e714e964-d8a0-4776-b163-c708371c39a5',   58384, 10604, NULL, true), -- its copy of the referral is in the response of example 1
    (2, pg_temp.demo_guid('0007', 200000001),     58383, 20914, NULL, false),
    (3, pg_temp.demo_guid('0007', 1700000001),    58382, 20913, NULL, false),
    (4, pg_temp.demo_guid('0007', 100000007),     58381, NULL, pg_temp.demo_guid('0004', 5), false),
    (5, pg_temp.demo_guid('0007', 2000000001),    58380, 11203, NULL, false),
    (6, pg_temp.demo_guid('0007', 2900000001),    58379, 11206, NULL, false),
    (7, pg_temp.demo_guid('0007', 2900000004),    58378, 51206, NULL, false),
    (8, pg_temp.demo_guid('0007', 1700000003),    58377, 51203, NULL, true);

CREATE TEMPORARY TABLE demo_time AS
SELECT v.number, d.lpu_to_guid AS lpu_guid, coalesce(s.resource_guid, v.resource_guid) AS resource_guid,
    coalesce(s.start_at, day.past + interval '9 hours') AS start_at, coalesce(s.end_at, day.past + interval '9 hours') AS end_at
FROM demo_visit v
JOIN direction d ON d.guid = v.direction_guid
LEFT JOIN slot s ON s.lpu_guid = d.lpu_to_guid AND s.id = v.slot_id
CROSS JOIN LATERAL (SELECT (pg_temp.demo_today('Europe/Moscow') - 3)::timestamp AT TIME ZONE 'Europe/Moscow' AS past) day;

UPDATE direction d
SET appointment_guid = pg_temp.demo_guid('000a', v.number), appointment_lpu_guid = t.lpu_guid, appointment_start_at = t.start_at, appointment_end_at = t.end_at
FROM demo_visit v
JOIN demo_time t ON t.number = v.number
WHERE d.guid = v.direction_guid AND NOT v.cancelled;

INSERT INTO direction (lpu_guid, guid, id, copied_from_lpu_guid, type, number, accession_number, date, date_end, created_at, doc_prvd_sender_guid,
    mkab_guid, reason, comment, urgent, flags, speciality_code, speciality_name, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid, appointment_guid,
    appointment_lpu_guid, appointment_start_at, appointment_end_at)
SELECT d.lpu_to_guid, d.guid, v.copy_id, d.lpu_guid, d.type, d.number, d.accession_number, d.date, d.date_end, d.created_at, d.doc_prvd_sender_guid,
    there.guid, d.reason, d.comment, d.urgent, d.flags, d.speciality_code, d.speciality_name, d.mkb_code, d.mkb_name, d.lpu_from_guid, d.lpu_to_guid,
    d.appointment_guid, d.appointment_lpu_guid, d.appointment_start_at, d.appointment_end_at
FROM demo_visit v
JOIN direction d ON d.guid = v.direction_guid
JOIN mkab here ON here.lpu_guid = d.lpu_guid AND here.guid = d.mkab_guid
JOIN mkab there ON there.lpu_guid = d.lpu_to_guid AND there.person_guid = here.person_guid;

-- Booked yesterday morning; the visit out of schedule was booked the day before it.
INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
    out_of_schedule, is_cito, comment, created_at, updated_at, cancelled_at, cancel_reason_code, cancel_reason, cancel_initiator, cancel_cause, cancel_client_guid,
    slot_guids, version)
SELECT d.lpu_guid, pg_temp.demo_guid('000a', v.number), d.guid, d.copied_from_lpu_guid, m.guid, m.person_guid, t.resource_guid,
    pg_temp.demo_guid('0003', 5), t.start_at, t.end_at, v.slot_id IS NULL, false, '', day.booked,
    CASE WHEN v.cancelled THEN day.booked + interval '1 hour' ELSE day.booked END,
    CASE WHEN v.cancelled THEN day.booked + interval '1 hour' END, why.code, why.text, why.initiator, why.cause, why.client_guid,
    ARRAY(SELECT s.guid FROM slot s WHERE s.lpu_guid = d.lpu_guid AND s.id = v.slot_id),
    CASE WHEN v.cancelled THEN 2 ELSE 1 END
FROM demo_visit v
JOIN demo_time t ON t.number = v.number
JOIN direction d ON d.guid = v.direction_guid AND d.copied_from_lpu_guid IS NOT NULL
JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
LEFT JOIN (VALUES
    (1, 1, NULL, 'patient', NULL, pg_temp.demo_guid('0003', 5)),
    (8, NULL, 'Аппарат на ремонте до конца недели', 'institution', 'equipment_failed', pg_temp.demo_guid('0003', 12))
) why (number, code, text, initiator, cause, client_guid) ON why.number = v.number
CROSS JOIN LATERAL (
    SELECT (pg_temp.demo_today('Europe/Moscow') - CASE WHEN v.slot_id IS NULL THEN 4 ELSE 1 END + time '10:00') AT TIME ZONE 'Europe/Moscow' AS booked
) day;

UPDATE appointment a
SET version = a.version + 1, updated_at = change.at, attendance = change.attendance, attendance_at = change.at, attendance_since = change.at
FROM (
    SELECT t.number, t.start_at + interval '20 minutes' AS at, 'fulfilled' AS attendance FROM demo_time t WHERE t.number = 4
    UNION ALL
    SELECT 6, current_setting('talon.demo_now')::timestamptz, 'arrived'
) change
WHERE a.guid = pg_temp.demo_guid('000a', change.number);
UPDATE appointment
SET version = version + 1, updated_at = moved.at, client_guid = pg_temp.demo_guid('0003', 12), booked_client_guid = client_guid,
    moved_at = moved.at, moved_by = 'institution', move_cause = 'equipment_failed', move_reason = 'Аппарат не работает'
FROM (SELECT current_setting('talon.demo_now')::timestamptz) moved (at)
WHERE guid = pg_temp.demo_guid('000a', 7);
UPDATE direction
SET completed_by_guid = appointment_guid
WHERE appointment_guid = pg_temp.demo_guid('000a', 4);

INSERT INTO person_appointment (person_guid, guid)
SELECT person_guid, guid
FROM appointment;

UPDATE slot s
SET taken = s.taken + 1 -- each cell is in at most one active visit
FROM appointment a
WHERE a.lpu_guid = s.lpu_guid AND s.guid = ANY(a.slot_guids) AND a.cancelled_at IS NULL;

INSERT INTO speciality_claim (person_guid, speciality_code, appointment_guid, lpu_guid, resource_name, start_at, end_at)
SELECT a.person_guid, d.speciality_code, a.guid, a.lpu_guid, r.name, a.start_at, a.end_at
FROM appointment a
JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
JOIN resource r ON r.lpu_guid = a.lpu_guid AND r.guid = a.resource_guid
WHERE a.cancelled_at IS NULL AND d.type = 'Consult';

-- Data of the scenarios ---------------------------------------------------------------------------

-- Patient 29 holds cells 31201 and 31202 until after the data are outdated.
INSERT INTO hold (person_guid, place, guid, lpu_guid, slot_guids, direction_guid, start_at, end_at, until)
SELECT pg_temp.demo_guid('0005', 29), s.id - 31200, pg_temp.demo_guid('000b', s.id), s.lpu_guid, ARRAY[s.guid], pg_temp.demo_guid('0007', 2900000002),
    s.start_at, s.end_at, current_setting('talon.demo_now')::timestamptz + interval '30 days'
FROM slot s
WHERE s.id IN (31201, 31202);
UPDATE slot s
SET holds = ARRAY[ROW(h.guid, h.person_guid, h.until)::slot_hold]
FROM hold h
WHERE s.lpu_guid = h.lpu_guid AND s.guid = h.slot_guids[1];

-- Patient 18 has used the key demo-reused for another request.
INSERT INTO idempotency_key (person_guid, client_guid, key, request_hash, taken_by, taken_at, running_until, answer)
SELECT pg_temp.demo_guid('0005', 18), pg_temp.demo_guid('0003', 5), 'demo-reused', sha256('another request'), pg_temp.demo_guid('000c', 1), moment.later, moment.later, 'null'
FROM (SELECT current_setting('talon.demo_now')::timestamptz + interval '30 days') moment (later);

DROP TABLE demo_visit, demo_time;
DROP FUNCTION pg_temp.demo_guid, pg_temp.demo_today;
