-- name: MkabFacts :batchmany
-- Returns a person's cards in one institution: the open one first, then the closed ones, the most
-- recently closed first. Each has the day on which its newest open case of treatment was opened
-- (0001-01-01 if there is none).
SELECT
    m.guid, m.closed_at,
    coalesce((SELECT max(t.opened_on) FROM tap t WHERE t.lpu_guid = @lpu_guid AND t.mkab_guid = m.guid AND t.closed_on IS NULL), '0001-01-01')::date AS tap_opened_on
FROM mkab m
WHERE m.lpu_guid = @lpu_guid AND m.person_guid = @person_guid
ORDER BY m.closed_at DESC NULLS FIRST
LIMIT 100;

-- name: MkabCreate :one
-- Guarantee 4: a person has at most one open card in an institution. Returns no row if the person
-- already has one.
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

-- name: CardKeyAdd :batchexec
INSERT INTO card_key (value, kind, lpu_guid, mkab_guid)
VALUES (@value, @kind, @lpu_guid, @mkab_guid)
ON CONFLICT (value, kind, lpu_guid, mkab_guid) DO NOTHING;

-- name: CardKeyFind :batchmany
-- Returns the cards, in any institution, that may have the key.
SELECT lpu_guid, mkab_guid
FROM card_key
WHERE value = @value AND kind = @kind
LIMIT @most;

-- name: MkabFindByPolicy :batchmany
-- Returns the persons whose open cards, among the given ones, have the policy and the birth date.
-- Two rows are enough to show that the evidence is ambiguous.
SELECT DISTINCT m.person_guid
FROM mkab_policy p
JOIN mkab m ON m.lpu_guid = ANY(@lpu_guids::uuid[]) AND m.lpu_guid = p.lpu_guid AND m.guid = p.mkab_guid
WHERE p.lpu_guid = ANY(@lpu_guids::uuid[]) AND p.mkab_guid = ANY(@guids::uuid[]) AND p.number = @number AND p.series = @series
    AND m.birth_date = @birth_date AND m.closed_at IS NULL
LIMIT 2;

-- name: MkabFindByPerson :batchmany
-- Returns the person if at least one of their cards in the given institutions is open.
SELECT m.person_guid
FROM mkab m
WHERE m.lpu_guid = ANY(@lpu_guids::uuid[]) AND m.person_guid = @person_guid AND m.closed_at IS NULL
LIMIT 1;

-- name: MkabFindByGuid :batchmany
-- Returns the persons whose open card has the guid. Two institutions may use the same guid for
-- different cards.
SELECT DISTINCT m.person_guid
FROM mkab m
WHERE m.lpu_guid = ANY(@lpu_guids::uuid[]) AND m.guid = @guid AND m.closed_at IS NULL
LIMIT 2;

-- name: MkabFindBySnils :batchmany
-- Returns the persons, with the names on the cards, whose open cards among the given ones have the
-- insurance number.
SELECT DISTINCT m.person_guid, m.surname, m.name, m.patronymic
FROM mkab m
WHERE m.lpu_guid = ANY(@lpu_guids::uuid[]) AND m.guid = ANY(@guids::uuid[]) AND m.closed_at IS NULL
    AND translate(m.snils, '- ', '') = @snils::text
LIMIT @most;
