-- Cases of treatment.

-- name: TapWrite :batchexec
INSERT INTO tap (lpu_guid, guid, mkab_guid, opened_on, closed_on)
VALUES (@lpu_guid, @guid, @mkab_guid, @opened_on, sqlc.narg(closed_on))
ON CONFLICT (lpu_guid, guid) DO UPDATE
SET mkab_guid = excluded.mkab_guid, opened_on = excluded.opened_on, closed_on = excluded.closed_on;

-- name: TapGet :batchone
SELECT mkab_guid, opened_on, closed_on
FROM tap
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: TapDelete :batchexec
DELETE FROM tap
WHERE lpu_guid = @lpu_guid AND guid = @guid;

-- name: TapTransfer :batchexec
-- Transfers the open cases of a card to another one.
UPDATE tap
SET mkab_guid = @into_guid
WHERE lpu_guid = @lpu_guid AND mkab_guid = @mkab_guid AND closed_on IS NULL;
