-- name: MkabFacts :batchone
-- A person's card in one institution: the open one, else the one closed last.
SELECT guid, closed_at
FROM mkab
WHERE lpu_guid = @lpu_guid AND person_guid = @person_guid
ORDER BY closed_at DESC NULLS FIRST
LIMIT 1;

-- name: MkabCreate :one
-- Promise 4: a person has at most one open card in an institution. No row: there is one already.
INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, patronymic, birth_date, sex, snils, created_at)
VALUES (@lpu_guid, @guid, @person_guid, @surname, @name, @patronymic, @birth_date, @sex, @snils, @created_at)
ON CONFLICT (lpu_guid, person_guid) WHERE closed_at IS NULL DO NOTHING
RETURNING guid;

-- name: MkabGetOpen :one
SELECT guid
FROM mkab
WHERE lpu_guid = @lpu_guid AND person_guid = @person_guid AND closed_at IS NULL;

-- name: MkabPolicyLink :execrows
INSERT INTO mkab_policy (lpu_guid, mkab_guid, series, number)
VALUES (@lpu_guid, @mkab_guid, @series, @number);
