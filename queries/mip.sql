-- name: MipPersonGet :one
-- Returns a person of the local master patient index. The data columns are NULL if the index has no
-- data.
SELECT p.guid, d.person_guid AS data_guid, d.surname, d.name, d.patronymic, d.birth_date, d.sex, d.snils, d.policy_series, d.policy_number
FROM mip_person p
LEFT JOIN mip_person_data d ON d.person_guid = @guid
WHERE p.guid = @guid;
