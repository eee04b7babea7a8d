-- Inserts the demo data into empty tables. All times are relative to the setting talon.demo_now of
-- the transaction.
--
-- Objects of the source's examples have the source's guids. Every other guid has the form
-- de300000-KIND-4000-8000-NUMBER, where KIND is, with the content of NUMBER in brackets:
--   0001 legal entity            0005 person                              0009 cell (its id)
--   0002 institution (its code)  0006 card (institution's code, person)   000a appointment
--   0003 client application      0007 referral (person, number)           000b hold (its cell)
--   0004 resource                0008 case of treatment                   000c request
-- The id of a cell has the form RDDCC: cell CC (from 01) of day DD (00 is the day of loading) of
-- resource R.

CREATE FUNCTION pg_temp.demo_guid(kind text, number bigint) RETURNS uuid LANGUAGE sql STABLE AS
    $$ SELECT format('de300000-%s-4000-8000-%s', kind, lpad(number::text, 12, '0'))::uuid $$;

CREATE FUNCTION pg_temp.demo_today(zone text) RETURNS date LANGUAGE sql STABLE AS
    $$ SELECT (current_setting('talon.demo_now')::timestamptz AT TIME ZONE zone)::date $$;

-- Institutions ------------------------------------------------------------------------------------

INSERT INTO legal_entity (guid, name)
SELECT pg_temp.demo_guid('0001', n), 'Юридическое лицо ' || n
FROM generate_series(1, 3) n;

INSERT INTO lpu (guid, legal_entity_guid, code, name, time_zone, address, phone)
SELECT l.guid::uuid, pg_temp.demo_guid('0001', l.legal_entity), l.code, l.name, l.time_zone, l.address, l.phone
FROM (VALUES
    ('1001', 'e66e8056-f0bd-4ec3-85f7-28ff5b22db4f', 1, 'Демонстрационная поликлиника А',         'Europe/Moscow',
             'г. Талонск, ул. Садовая, д. 7', '+7 000 555-01-01'),      -- source of example 1
    ('1002', '4cb4f1c8-386d-410d-ac5d-fa232bd2afb9', 1, 'Демонстрационная поликлиника Б',         'Europe/Moscow',
             'г. Талонск, ул. Лесная, д. 12, корп. 2', '+7 000 555-01-02'),      -- target of example 1
    ('1003', '1dadf64c-f34a-4023-98a6-3e7b7be4f243', 2, 'Демонстрационная поликлиника В',         'Asia/Yekaterinburg',
             'г. Талонск, пр. Мира, д. 31', '+7 000 555-01-03'), -- source of example 2
    ('1004', '12ab9992-9875-4fb6-a9c0-8504170c1429', 2, 'Демонстрационный центр Г',               'Asia/Yekaterinburg',
             'г. Талонск, пр. Мира, д. 33', '+7 000 555-01-04'), -- target of example 2
    ('1005', 'de300000-0002-4000-8000-000000001005', 3, 'Демонстрационная больница Д',            'Europe/Moscow',
             'г. Талонск, Больничный проезд, д. 1', '+7 000 555-01-05'),
    ('1006', 'de300000-0002-4000-8000-000000001006', 1, 'Демонстрационная детская поликлиника Е', 'Europe/Moscow',
             'г. Талонск, ул. Школьная, д. 4', '+7 000 555-01-06')
) l (code, guid, legal_entity, name, time_zone, address, phone);

INSERT INTO setting (owner_guid, code, value) VALUES
    ('00000000-0000-0000-0000-000000000000', 'OneActiveAppointmentPerSpeciality', 'true');

-- Г creates missing medical cards. Д is set to create them, but its PolyclinicCode is unknown.
INSERT INTO setting (owner_guid, code, value)
SELECT l.guid, s.code, s.value
FROM (VALUES
    ('1004', '2dr_RecordWithoutMkab', 'true'), ('1004', 'PolyclinicCode', '1004'),
    ('1005', '2dr_RecordWithoutMkab', 'true'), ('1005', 'PolyclinicCode', '9999')
) s (lpu, code, value)
JOIN lpu l ON l.code = s.lpu;

-- Bits: 1 Registry, 2 Doctor, 4 Internet, 8 DoctorOtherLpu, 16 Infomat, 64 CallCenter. For a
-- referral from another institution each application also has bit 8.
INSERT INTO client_application (guid, name, visit_direction, visit_direction_other_lpu, out_of_schedule, secret_hash)
SELECT pg_temp.demo_guid('0003', c.number), c.name, c.mask, c.mask | 8, c.out_of_schedule, sha256('demo-secret')
FROM (VALUES
    (1, 'Портал',               4,               false),
    (2, 'Колл-центр',           64,              false),
    (3, 'Инфомат',              16,              false),
    (4, 'МИС',                  1 | 2,           true),
    (5, 'Единая регистратура',  1 | 4 | 16 | 64, true) -- application of the demo token
) c (number, name, mask, out_of_schedule);

-- These act for themselves: the clinics' systems in their institutions, the region's in all.
INSERT INTO client_application (guid, name, secret_hash, scopes, lpu_guids, every_lpu)
SELECT pg_temp.demo_guid('0003', c.number), c.name, sha256('demo-secret'), c.scopes::text[], c.lpu_guids::uuid[], c.every_lpu
FROM (VALUES
    (11, 'МИС поликлиники А', '{schedule:write,referral:write,patient:write,visit:read,visit:write,events:read}',
        '{e66e8056-f0bd-4ec3-85f7-28ff5b22db4f}', false),
    (12, 'МИС поликлиники Б', '{schedule:write,referral:write,patient:write,visit:read,visit:write,events:read}',
        '{4cb4f1c8-386d-410d-ac5d-fa232bd2afb9}', false),
    (13, 'МИС с незавершенными загрузками', '{schedule:write}', '{4cb4f1c8-386d-410d-ac5d-fa232bd2afb9}', false),
    (20, 'Региональная система', '{schedule:write,referral:write,patient:write,visit:read,visit:write,events:read,audit:read,admin}',
        '{}', true)
) c (number, name, scopes, lpu_guids, every_lpu);

-- Booking is limited to 14 days ahead: for the call centre, as in the vendor's sample, and in А.
INSERT INTO setting (owner_guid, code, value, of_client) VALUES (pg_temp.demo_guid('0003', 2), 'scheduleDays', '14', true);
INSERT INTO setting (owner_guid, code, value) SELECT guid, 'scheduleDays', '14' FROM lpu WHERE code = '1001';
-- Б does not accept expired referrals, and closes schedules that were not confirmed for 30 days.
INSERT INTO setting (owner_guid, code, value) SELECT guid, 'DirectionExpires', 'true' FROM lpu WHERE code = '1002';
INSERT INTO setting (owner_guid, code, value) SELECT guid, 'ScheduleFreshHours', '720' FROM lpu WHERE code = '1002';

-- Resources and their schedules -------------------------------------------------------------------

CREATE TEMPORARY TABLE demo_resource (
    number int, lpu text, guid uuid, kind resource_kind, name text, speciality text, opens time, active boolean,
    capacity int, restriction slot_restriction, -- of its cells
    preparation text NOT NULL DEFAULT ''
);
INSERT INTO demo_resource VALUES
    ( 1, '1002', DEFAULT, 'doctor',    'Врач Терапевт Первый',        '92',  '08:00', true,  1, 'none'), -- example 1
    ( 2, '1002', DEFAULT, 'doctor',    'Врач Терапевт Второй',        '92',  '08:00', true,  1, 'none'), -- a cell for every rule, see below
    ( 3, '1002', DEFAULT, 'doctor',    'Врач Невролог Первый',        '27',  '14:00', true,  1, 'none'),
    ( 4, '1002', DEFAULT, 'room',      'Кабинет доврачебного приёма', '92',  '14:00', true,  3, 'none'),
    ( 5, '1002', DEFAULT, 'equipment', 'Аппарат УЗИ',                 '501', '08:00', true,  1, 'none'),
    ( 6, '1002', DEFAULT, 'doctor',    'Врач Терапевт Бывший',        '92',  '08:00', false, 1, 'none'),
    ( 7, '1001', DEFAULT, 'doctor',    'Врач Терапевт Третий',        '92',  '08:00', true,  1, 'none'),
    ( 8, '1001', DEFAULT, 'doctor',    'Врач Офтальмолог',            '81',  '14:00', true,  1, 'none'),
    ( 9, '1004', 'b0666870-c5b7-4e38-a959-0f17bc50a3cf',
                          'equipment', 'Анализатор',                  '501', '08:00', true,  1, 'none'), -- example 2
    (10, '1004', DEFAULT, 'doctor',    'Врач Терапевт Четвёртый',     '92',  '08:00', true,  1, 'none'),
    (11, '1004', DEFAULT, 'doctor',    'Врач Невролог Второй',        '27',  '14:00', true,  1, 'none'),
    (12, '1005', DEFAULT, 'doctor',    'Врач Терапевт Пятый',         '92',  '08:00', true,  1, 'none'),
    (13, '1006', DEFAULT, 'doctor',    'Врач Педиатр',                '56',  '08:00', true,  1, 'children'),
    (14, '1006', DEFAULT, 'room',      'Кабинет здорового ребёнка',   '56',  '14:00', true,  3, 'healthy_children'),
    (15, '1003', DEFAULT, 'doctor',    'Врач Терапевт Шестой',        '92',  '14:00', true,  1, 'none'),
    (16, '1002', DEFAULT, 'doctor',    'Врач Хирург',                 '57',  '08:00', true,  1, 'none'); -- its schedule is stale
UPDATE demo_resource SET guid = pg_temp.demo_guid('0004', number) WHERE guid IS NULL;
UPDATE demo_resource SET preparation = 'Приходите натощак: за 8 часов до исследования не ешьте, пить можно только воду.' WHERE kind = 'equipment';
UPDATE demo_resource SET preparation = 'Возьмите паспорт, полис и результаты прежних обследований.' WHERE speciality = '27';

INSERT INTO resource (lpu_guid, guid, kind, name, speciality_code, active, room, preparation)
SELECT l.guid, r.guid, r.kind, r.name, r.speciality, r.active, 200 + r.number, r.preparation
FROM demo_resource r
JOIN lpu l ON l.code = r.lpu;

INSERT INTO busy_type (code, name, reception) VALUES
    (1, 'Прием', true), (2, 'Перерыв', false), (3, 'Вызов на дом', false), (4, 'Обучение', false);

-- 16 cells of 15 minutes a day, for 14 days including weekends, so that the day of example 1 is
-- always a working day. The cell of example 1 has the source's id.
INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, capacity, flag_access, busy_type, restriction)
SELECT l.guid, pg_temp.demo_guid('0009', named.id), named.id, r.guid, period.start_at, period.start_at + interval '15 minutes',
    r.capacity, 1 | 2 | 4 | 8 | 16 | 64, 1, r.restriction
FROM demo_resource r
JOIN lpu l ON l.code = r.lpu
CROSS JOIN generate_series(0, 13) day
CROSS JOIN generate_series(1, 16) cell
CROSS JOIN LATERAL (SELECT CASE WHEN (r.number, day, cell) = (1, 7, 4) THEN 14527455 ELSE r.number * 10000 + day * 100 + cell END AS id) named
CROSS JOIN LATERAL (
    SELECT (pg_temp.demo_today(l.time_zone) + day + r.opens + (cell - 1) * interval '15 minutes') AT TIME ZONE l.time_zone AS start_at
) period;

-- The kind of each cell CC of resource 2, on every day.
UPDATE slot s
SET restriction = c.restriction::slot_restriction, capacity = c.capacity, flag_access = c.flag_access, busy_type = c.busy_type, blocked = c.blocked
FROM (VALUES
    ( 1, 'adults',           1, 95, 1, false),
    ( 2, 'children',         1, 95, 1, false),
    ( 3, 'infants',          1, 95, 1, false),
    ( 4, 'disabled',         1, 95, 1, false),
    ( 5, 'pregnant',         1, 95, 1, false),
    ( 6, 'healthy_children', 1, 95, 1, false),
    ( 7, 'none',             1, 95, 1, true),  -- blocked
    ( 8, 'none',             1,  0, 1, false), -- without access flags
    ( 9, 'none',             1, 95, 2, false), -- a break, no reception
    (10, 'none',             1,  1, 1, false), -- for the registry
    (11, 'none',             1,  2, 1, false), -- for the institution's own doctors
    (12, 'none',             1,  4, 1, false), -- for the internet
    (13, 'none',             3, 95, 1, false)  -- for three patients at once
    -- 14 is taken on day 9; 15 and 16 have no restrictions
) c (cell, restriction, capacity, flag_access, busy_type, blocked)
WHERE s.id / 10000 = 2 AND s.id % 100 = c.cell;

-- Cell 20000 was yesterday.
INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type)
SELECT lpu_guid, pg_temp.demo_guid('0009', 20000), 20000, resource_guid, start_at - interval '1 day', end_at - interval '1 day', 95, 1
FROM slot
WHERE id = 20001;

-- Cells 23001 and 83001 are 30 days ahead.
INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type)
SELECT s.lpu_guid, pg_temp.demo_guid('0009', far.id), far.id, s.resource_guid, far.start_at, far.start_at + interval '15 minutes', 95, 1
FROM slot s
JOIN lpu l ON l.guid = s.lpu_guid
CROSS JOIN LATERAL (SELECT s.id + 3000 AS id, (s.start_at AT TIME ZONE l.time_zone + interval '30 days') AT TIME ZONE l.time_zone AS start_at) far
WHERE s.id IN (20001, 80001);

-- Persons and their medical cards -----------------------------------------------------------------

-- Every birthday is half a year away, so no age changes before the data are outdated.
CREATE TEMPORARY TABLE demo_person (
    number int, surname text, name text, patronymic text, age interval, sex sex, disabled boolean, pregnant boolean,
    cards text[], -- codes of the institutions
    referred_from text, referred_to text
);
INSERT INTO demo_person VALUES
    ( 1, 'Орлов',     'Алексей',      'Петрович',    '40 years 6 months', 'male',   false, false, '{1001,1002,1003}', '1001', '1002'), -- of both examples
    ( 2, 'Пациент',   'Уже записан',  '',            '50 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'), -- has an appointment
    ( 3, 'Соколов',   'Виктор',       'Андреевич',   '60 years 6 months', 'male',   true,  false, '{1001,1002}',      '1001', '1002'),
    ( 4, 'Белова',    'Анна',         'Сергеевна',   '28 years 6 months', 'female', false, true,  '{1001,1002}',      '1001', '1002'),
    ( 5, 'Морозова',  'Софья',        'Дмитриевна',  '10 years 6 months', 'female', false, false, '{1001,1002,1006}', '1001', '1002'),
    ( 6, 'Егоров',    'Тимофей',      'Кириллович',  '8 years 6 months', 'male', false, false, '{1001,1002,1006}', '1001', '1002'),
    ( 7, 'Лебедева',  'Мария',        'Ивановна',    '6 months',          'female', false, false, '{1001,1002,1006}', '1001', '1002'),
    ( 8, 'Фёдоров',   'Илья',         'Максимович',  '17 years 6 months', 'male', false, false, '{1001,1002,1006}', '1001', '1002'),
    ( 9, 'Пациент', 'С закрытой картой',   '',        '40 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'),
    (10, 'Пациент', 'Без карты',           '',        '40 years 6 months', 'male',   false, false, '{1001,1003}',      '1003', '1004'),
    -- The data that these lack are missing only in the master patient index.
    (11, 'Пациент', 'Без полиса в МИП',    '',        '40 years 6 months', 'female', false, false, '{1003}',           '1003', '1004'),
    (12, 'Пациент', 'Без пола в МИП',      '',        '40 years 6 months', 'male',   false, false, '{1003}',           '1003', '1004'),
    (13, 'Пациент', 'Без фамилии в МИП',   '',        '40 years 6 months', 'female', false, false, '{1003}',           '1003', '1004'),
    (14, 'Пациент', 'Без имени в МИП',     '',        '40 years 6 months', 'male',   false, false, '{1003}',           '1003', '1004'),
    (15, 'Пациент', 'Без данных в МИП',    '',        '40 years 6 months', 'female', false, false, '{1003}',           '1003', '1004'),
    (16, 'Пациент', 'Не из МИП',           '',        '40 years 6 months', 'male',   false, false, '{1003}',           '1003', '1004'),
    (17, 'Кузнецова', 'Ольга',        'Николаевна',  '30 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'), -- has an appointment
    -- Patients of the scenarios. The faults of 21 to 36 are injected, see fault.go.
    (18, 'Волков',    'Павел',        'Игоревич',    '40 years 6 months', 'male', false, false, '{1001,1002}',      '1001', '1002'),
    (19, 'Зайцева',   'Елена',        'Викторовна',  '40 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'),
    (20, 'Новиков',   'Дмитрий',      'Олегович',    '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'), -- has an appointment
    (21, 'Пациент', 'Без билета',          '',        '40 years 6 months', 'female', false, false, '{1003}',           '1003', '1004'),
    (22, 'Пациент', 'Без связи с выдачей билетов', '', '40 years 6 months', 'male',  false, false, '{1003}',           '1003', '1004'),
    (23, 'Пациент', 'Без связи с МИП',     '',        '40 years 6 months', 'female', false, false, '{1003}',           '1003', '1004'),
    (24, 'Пациент', 'Без связи полиса с картой', '',  '40 years 6 months', 'male',   false, false, '{1003}',           '1003', '1004'),
    (25, 'Пациент', 'Не успел',            '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'),
    (26, 'Пациент', 'Не записан',          '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'),
    (27, 'Пациент', 'Не найден',           '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'),
    (28, 'Пациент', 'Не прикреплён',       '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'),
    (29, 'Пациент', 'Удерживает две ячейки', '',      '40 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'),
    (30, 'Пациент', 'Внутренняя ошибка',   '',        '40 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'),
    (31, 'Пациент', 'База недоступна',     '',        '40 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'),
    (32, 'Пациент', 'Ключи недоступны',    '',        '40 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'),
    (33, 'Пациент', 'Перегрузка',          '',        '40 years 6 months', 'female', false, false, '{1001,1002}',      '1001', '1002'),
    (34, 'Пациент', 'Сервис не готов',     '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'),
    (35, 'Пациент', 'Не узнан',            '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'),
    (36, 'Пациент', 'Узнан слишком часто', '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002'),
    (37, 'Пациент', 'Без направлений',     '',        '40 years 6 months', 'male',   false, false, '{1001,1002}',      '1001', '1002');

INSERT INTO mip_person (guid)
SELECT pg_temp.demo_guid('0005', number)
FROM demo_person
WHERE number <> 16;

INSERT INTO mip_person_data (person_guid, surname, name, patronymic, birth_date, sex, snils, policy_number)
SELECT pg_temp.demo_guid('0005', number),
    CASE WHEN number <> 13 THEN surname ELSE '' END,
    CASE WHEN number <> 14 THEN name ELSE '' END,
    patronymic,
    pg_temp.demo_today('Europe/Moscow') - age,
    CASE WHEN number <> 12 THEN sex END,
    '000-000-000 ' || lpad(number::text, 2, '0'),
    CASE WHEN number <> 11 THEN lpad(number::text, 16, '0') ELSE '' END
FROM demo_person
WHERE number NOT IN (15, 16);

INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, patronymic, birth_date, sex, snils, disabled, pregnant, created_at, closed_at)
SELECT l.guid,
    CASE WHEN (p.number, l.code) = (1, '1002') THEN '183209fc-1277-4896-aa7f-72dfcd8f03b1'
         ELSE pg_temp.demo_guid('0006', l.code::bigint * 100000000 + p.number) END,
    pg_temp.demo_guid('0005', p.number), p.surname, p.name, p.patronymic,
    pg_temp.demo_today('Europe/Moscow') - p.age,
    p.sex, '000-000-000 ' || lpad(p.number::text, 2, '0'), p.disabled, p.pregnant,
    (pg_temp.demo_today(l.time_zone) - 60 + time '09:00') AT TIME ZONE l.time_zone,
    CASE WHEN (p.number, l.code) = (9, '1002') THEN (pg_temp.demo_today(l.time_zone) - 10 + time '09:00') AT TIME ZONE l.time_zone END
FROM demo_person p
CROSS JOIN unnest(p.cards) card
JOIN lpu l ON l.code = card;

-- A closed duplicate of the card of 34, which a scenario merges.
INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, patronymic, birth_date, sex, snils, created_at, closed_at)
SELECT m.lpu_guid, pg_temp.demo_guid('0006', 900), m.person_guid, m.surname, m.name, m.patronymic, m.birth_date, m.sex, m.snils, m.created_at, m.created_at
FROM mkab m
JOIN lpu l ON l.guid = m.lpu_guid AND l.code = '1002'
WHERE m.person_guid = pg_temp.demo_guid('0005', 34);

INSERT INTO mkab_policy (lpu_guid, mkab_guid, number)
SELECT m.lpu_guid, m.guid, lpad(p.number::text, 16, '0')
FROM mkab m
JOIN demo_person p ON pg_temp.demo_guid('0005', p.number) = m.person_guid;

INSERT INTO person_lpu (person_guid, lpu_guid)
SELECT DISTINCT m.person_guid, m.lpu_guid
FROM mkab m;

INSERT INTO card_key (kind, value, lpu_guid, mkab_guid)
SELECT 'guid'::card_key_kind, m.guid::text, m.lpu_guid, m.guid FROM mkab m
UNION ALL SELECT 'snils', translate(m.snils, '- ', ''), m.lpu_guid, m.guid FROM mkab m
UNION ALL SELECT 'policy', p.series || ' ' || p.number, p.lpu_guid, p.mkab_guid FROM mkab_policy p;

-- Cases of treatment: the one of the healthy child (5) is closed, the other one is open.
INSERT INTO tap (lpu_guid, guid, mkab_guid, opened_on, closed_on)
SELECT m.lpu_guid, pg_temp.demo_guid('0008', t.person), m.guid,
    pg_temp.demo_today('Europe/Moscow') - 20, pg_temp.demo_today('Europe/Moscow') - t.closed_days_ago
FROM (VALUES (5, 10), (6, NULL)) t (person, closed_days_ago)
JOIN mkab m ON m.person_guid = pg_temp.demo_guid('0005', t.person)
JOIN lpu l ON l.guid = m.lpu_guid AND l.code = '1001';

-- What the scenarios of the registry meet, far ahead: a message for a month, and an absence.
INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at)
SELECT l.guid, pg_temp.demo_guid('0004', 3), 5, current_setting('talon.demo_now')::timestamptz FROM lpu l WHERE l.code = '1002';
INSERT INTO schedule_window (lpu_guid, resource_guid, from_at, to_at, version, content, settled)
SELECT lpu_guid, resource_guid, '2100-02-01Z', '2100-03-01Z', version, sha256('another message'), true FROM schedule_source;
INSERT INTO absence (lpu_guid, guid, resource_guid, from_at, to_at, reason)
SELECT lpu_guid, pg_temp.demo_guid('000d', 1), resource_guid, '2100-01-01Z', '2100-01-02Z', 'Отпуск' FROM schedule_source;
-- A schedule that its source does not confirm any more.
INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at, last_error_at, last_error_rule)
SELECT l.guid, pg_temp.demo_guid('0004', 16), 7, now.at - interval '31 days', now.at - interval '2 days', 'version_stale'
FROM lpu l
CROSS JOIN LATERAL (SELECT current_setting('talon.demo_now')::timestamptz AS at) now
WHERE l.code = '1002';

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

-- Referrals ---------------------------------------------------------------------------------------

CREATE TEMPORARY TABLE demo_direction (
    person int, number int, type direction_type, held_by text, lpu_from text, lpu_to text, speciality_code text, speciality_name text,
    days_ago int DEFAULT 3, withdrawn boolean DEFAULT false
);
-- Three referrals of every patient except 37.
INSERT INTO demo_direction
SELECT p.number, d.number, d.type::direction_type, p.referred_from, p.referred_from, p.referred_to, d.speciality_code, d.speciality_name
FROM demo_person p
CROSS JOIN (VALUES (1, 'Consult', '92', 'Терапия'), (2, 'Consult', '27', 'Неврология'), (3, 'Laboratory', '', ''))
    d (number, type, speciality_code, speciality_name)
WHERE p.number <> 37;
-- Referrals for special cases.
INSERT INTO demo_direction VALUES
    ( 1, 4, 'Consult', '1001', '1001', '1001', '81', 'Офтальмология'), -- within one institution
    ( 1, 5, 'Consult', '1001', '1001', NULL,   '27', 'Неврология'),    -- to any institution
    ( 1, 6, 'Consult', '1001', '1005', '1002', '92', 'Терапия'),       -- from another legal entity than where it is held
    ( 2, 4, 'Consult', '1001', '1001', '1002', '92', 'Терапия'),       -- in a speciality that the patient is booked in
    (10, 4, 'Consult', '1001', '1001', '1002', '92', 'Терапия'),       -- to an institution that does not create cards
    (10, 5, 'Consult', '1001', '1001', '1005', '92', 'Терапия'),       -- to one whose card creation fails
    (10, 6, 'Consult', '1001', '1001', '1002', '31', 'Кардиология'),   -- in a speciality without doctors
    ( 5, 4, 'Consult', '1001', '1001', '1006', '56', 'Педиатрия'),
    ( 6, 4, 'Consult', '1001', '1001', '1006', '56', 'Педиатрия'),
    ( 7, 4, 'Consult', '1001', '1001', '1006', '56', 'Педиатрия'),
    ( 8, 4, 'Consult', '1001', '1001', '1006', '56', 'Педиатрия');
INSERT INTO demo_direction VALUES
    ( 1, 7, 'Laboratory', '1001', '1001', '1002', '',   '',             10, false), -- completed: the visit was yesterday
    ( 1, 8, 'Consult',    '1001', '1001', '1002', '27', 'Неврология',   40, false), -- expired
    ( 1, 9, 'Consult',    '1001', '1001', '1002', '81', 'Офтальмология', 5, true);

INSERT INTO direction (lpu_guid, guid, id, type, number, date, date_end, created_at, mkab_guid, comment, speciality_code, speciality_name,
    mkb_code, mkb_name, lpu_from_guid, lpu_to_guid, cancelled_at)
SELECT holder.guid, pg_temp.demo_guid('0007', d.person * 100000000::bigint + d.number),
    row_number() OVER (ORDER BY d.person, d.number),
    d.type, lpad((d.person * 1000 + d.number)::text, 11, '0'),
    day.issued, day.issued + 30, (day.issued + time '10:00') AT TIME ZONE holder.time_zone,
    m.guid, CASE d.type WHEN 'Laboratory' THEN 'Натощак' ELSE '' END, d.speciality_code, d.speciality_name, 'Z00.0', 'Общий медицинский осмотр',
    source.guid, target.guid, CASE WHEN d.withdrawn THEN (day.issued + 1 + time '12:00') AT TIME ZONE holder.time_zone END
FROM demo_direction d
JOIN lpu holder ON holder.code = d.held_by
JOIN lpu source ON source.code = d.lpu_from
LEFT JOIN lpu target ON target.code = d.lpu_to
JOIN mkab m ON m.lpu_guid = holder.guid AND m.person_guid = pg_temp.demo_guid('0005', d.person)
CROSS JOIN LATERAL (SELECT pg_temp.demo_today(holder.time_zone) - d.days_ago AS issued) day;

-- The two referrals of the source's examples. The first was issued eight days before its visit, as
-- in the source.
INSERT INTO direction (lpu_guid, guid, id, type, number, accession_number, date, date_end, created_at, mkab_guid, comment,
    speciality_code, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid)
SELECT source.guid, d.guid::uuid, d.id, d.type::direction_type, d.number, d.accession_number, day.issued, day.issued + 30,
    (day.issued + time '09:00') AT TIME ZONE source.time_zone,
    m.guid, d.comment, d.speciality_code, d.mkb_code, d.mkb_name, source.guid, target.guid
FROM (VALUES
    ('e714e964-d8a0-4776-b163-c708371c39a5', 1001, 'Consult',    '47010157096', '',     '',        '92', 'A01.1', 'A', '1001', '1002'),
    ('18c29a77-35cf-4532-b70a-d493eae6dbc7', 1002, 'Laboratory', '00000000002', '0002', 'Натощак', '',   '',      '',  '1003', '1004')
) d (guid, id, type, number, accession_number, comment, speciality_code, mkb_code, mkb_name, lpu_from, lpu_to)
JOIN lpu source ON source.code = d.lpu_from
JOIN lpu target ON target.code = d.lpu_to
JOIN mkab m ON m.lpu_guid = source.guid AND m.person_guid = pg_temp.demo_guid('0005', 1)
CROSS JOIN LATERAL (SELECT pg_temp.demo_today(source.time_zone) - 1 AS issued) day;

-- Appointments ------------------------------------------------------------------------------------

-- The active future ones are after the cell of example 1, so their claims are valid until the data
-- are outdated. Visit 4 is in the past; it was out of schedule.
CREATE TEMPORARY TABLE demo_visit (number int, direction_guid uuid, copy_id bigint, slot_id bigint, resource_guid uuid, cancelled boolean);
INSERT INTO demo_visit VALUES
    (1, 'e714e964-d8a0-4776-b163-c708371c39a5',   58384, 10604, NULL, true), -- its copy of the referral is in the response of example 1
    (2, pg_temp.demo_guid('0007', 200000001),     58383, 20914, NULL, false),
    (3, pg_temp.demo_guid('0007', 1700000001),    58382, 20913, NULL, false),
    (4, pg_temp.demo_guid('0007', 100000007),     58381, NULL, pg_temp.demo_guid('0004', 5), false),
    (5, pg_temp.demo_guid('0007', 2000000001),    58380, 11203, NULL, false);

CREATE TEMPORARY TABLE demo_time AS
SELECT v.number, d.lpu_to_guid AS lpu_guid, coalesce(s.resource_guid, v.resource_guid) AS resource_guid,
    coalesce(s.start_at, day.yesterday + interval '9 hours') AS start_at, coalesce(s.end_at, day.yesterday + interval '9 hours') AS end_at
FROM demo_visit v
JOIN direction d ON d.guid = v.direction_guid
LEFT JOIN slot s ON s.lpu_guid = d.lpu_to_guid AND s.id = v.slot_id
CROSS JOIN LATERAL (SELECT (pg_temp.demo_today('Europe/Moscow') - 1)::timestamp AT TIME ZONE 'Europe/Moscow' AS yesterday) day;

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

-- Booked yesterday morning; the visit out of schedule was booked the day before.
INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
    out_of_schedule, is_cito, comment, created_at, updated_at, cancelled_at, cancel_reason_code, slot_guids)
SELECT d.lpu_guid, pg_temp.demo_guid('000a', v.number), d.guid, d.copied_from_lpu_guid, m.guid, m.person_guid, t.resource_guid,
    pg_temp.demo_guid('0003', 5), t.start_at, t.end_at, v.slot_id IS NULL, false, '', day.booked,
    CASE WHEN v.cancelled THEN day.booked + interval '1 hour' ELSE day.booked END,
    CASE WHEN v.cancelled THEN day.booked + interval '1 hour' END, CASE WHEN v.cancelled THEN 1 END,
    ARRAY(SELECT s.guid FROM slot s WHERE s.lpu_guid = d.lpu_guid AND s.id = v.slot_id)
FROM demo_visit v
JOIN demo_time t ON t.number = v.number
JOIN direction d ON d.guid = v.direction_guid AND d.copied_from_lpu_guid IS NOT NULL
JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
CROSS JOIN LATERAL (
    SELECT (pg_temp.demo_today('Europe/Moscow') - CASE WHEN v.slot_id IS NULL THEN 2 ELSE 1 END + time '10:00') AT TIME ZONE 'Europe/Moscow' AS booked
) day;

INSERT INTO person_appointment (person_guid, guid)
SELECT a.person_guid, a.guid
FROM appointment a;

UPDATE slot s
SET taken = s.taken + 1 -- each cell is in at most one active visit
FROM appointment a
WHERE a.lpu_guid = s.lpu_guid AND s.guid = ANY(a.slot_guids) AND a.cancelled_at IS NULL;

-- The cells of visits 3 and 5 are withdrawn: the visits are in the work list.
UPDATE slot SET closed_by = 2, blocked = true WHERE id IN (20913, 11203);

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

DROP TABLE demo_resource, demo_person, demo_direction, demo_visit, demo_time;
DROP FUNCTION pg_temp.demo_guid, pg_temp.demo_today;
