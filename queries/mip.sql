-- name: MipPersonGet :one
-- Returns a person of the local master patient index. The data columns are NULL if the index has no
-- data.
SELECT p.guid, d.person_guid AS data_guid, d.surname, d.name, d.patronymic, d.birth_date, d.sex, d.snils, d.policy_series, d.policy_number
FROM mip_person p
LEFT JOIN mip_person_data d ON d.person_guid = @guid
WHERE p.guid = @guid;

-- name: MipPersonAdd :batchexec
INSERT INTO mip_person (guid)
VALUES (@guid)
ON CONFLICT (guid) DO NOTHING;

-- name: MipPersonDataWrite :batchexec
INSERT INTO mip_person_data (person_guid, surname, name, patronymic, birth_date, sex, snils, policy_series, policy_number)
VALUES (@person_guid, @surname, @name, @patronymic, @birth_date, sqlc.narg(sex), @snils, @policy_series, @policy_number)
ON CONFLICT (person_guid) DO UPDATE
SET surname = excluded.surname, name = excluded.name, patronymic = excluded.patronymic, birth_date = excluded.birth_date, sex = excluded.sex,
    snils = excluded.snils, policy_series = excluded.policy_series, policy_number = excluded.policy_number;

-- name: MipPersonDataGet :batchone
SELECT surname, name, patronymic, birth_date, sex, snils, policy_series, policy_number
FROM mip_person_data
WHERE person_guid = @person_guid;

-- name: MipPersonDataDelete :batchexec
DELETE FROM mip_person_data
WHERE person_guid = @person_guid;

-- name: MipPersonDelete :batchexec
DELETE FROM mip_person
WHERE guid = @guid;
