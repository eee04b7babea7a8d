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

-- name: MkabLock :batchone
-- Locks a card against other writes of it, and against bookings that name it. Returns what a write
-- compares.
SELECT person_guid, snils, closed_at, merged_into_guid
FROM mkab
WHERE lpu_guid = @lpu_guid AND guid = @guid
FOR NO KEY UPDATE;

-- name: MkabOtherOpen :batchone
-- Returns the open card of a person in an institution, if it is not the given one.
SELECT guid
FROM mkab
WHERE lpu_guid = @lpu_guid AND person_guid = @person_guid AND closed_at IS NULL AND guid <> @guid;

-- name: MkabAdd :batchexec
-- Guarantee 4: fails with mkab_one_open if the card is open and the person has another open one.
INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, patronymic, birth_date, sex, snils, disabled, pregnant, created_at, closed_at)
VALUES (@lpu_guid, @guid, @person_guid, @surname, @name, @patronymic, @birth_date, @sex, @snils, @disabled, @pregnant, @created_at, sqlc.narg(closed_at));

-- name: MkabChange :batchexec
-- Overwrites a card, except its person. Fails like MkabAdd.
UPDATE mkab
SET surname = @surname, name = @name, patronymic = @patronymic, birth_date = @birth_date, sex = @sex, snils = @snils, disabled = @disabled,
    pregnant = @pregnant, closed_at = sqlc.narg(closed_at)
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: MkabGet :batchone
SELECT person_guid, surname, name, patronymic, birth_date, sex, snils, disabled, pregnant, closed_at, merged_into_guid
FROM mkab
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: MkabResolve :batchone
-- Returns the card that a guid means: the card itself, or the one that it was merged into. Keeps the
-- card from being merged until the transaction ends.
SELECT coalesce(merged_into_guid, guid)::uuid AS guid
FROM mkab
WHERE lpu_guid = @lpu_guid AND guid = @guid
FOR KEY SHARE;

-- name: MkabPolicies :batchmany
SELECT series, number
FROM mkab_policy
WHERE lpu_guid = @lpu_guid AND mkab_guid = @mkab_guid
ORDER BY series, number;

-- name: MkabPolicyAdd :batchexec
INSERT INTO mkab_policy (lpu_guid, mkab_guid, series, number)
VALUES (@lpu_guid, @mkab_guid, @series, @number);

-- name: MkabPolicyDelete :batchexec
DELETE FROM mkab_policy
WHERE lpu_guid = @lpu_guid AND mkab_guid = @mkab_guid AND series = @series AND number = @number;

-- name: CardKeyDelete :batchexec
DELETE FROM card_key
WHERE value = @value AND kind = @kind AND lpu_guid = @lpu_guid AND mkab_guid = @mkab_guid;

-- name: MkabPairLock :batchmany
-- Locks two cards, in the order of their guids, against all that names them.
SELECT guid, person_guid, closed_at, merged_into_guid
FROM mkab
WHERE lpu_guid = @lpu_guid AND guid = ANY(@guids::uuid[])
ORDER BY guid
FOR UPDATE;

-- name: MkabMerge :batchexec
-- Closes a card for good.
UPDATE mkab
SET merged_into_guid = @into_guid::uuid, closed_at = coalesce(closed_at, @at::timestamptz)
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: MkabMergeEarlier :batchexec
-- Lets the cards that were merged into a card name the one that it is merged into.
UPDATE mkab
SET merged_into_guid = @into_guid::uuid
WHERE lpu_guid = @lpu_guid AND person_guid = @person_guid AND merged_into_guid = @guid::uuid;
