-- name: HoldList :batchmany
-- The holds of a person that stand at a moment, over all institutions, the first to end first.
SELECT h.guid, h.lpu_guid, h.slot_guids, h.direction_guid, h.start_at, h.end_at, h.until
FROM hold h
WHERE h.person_guid = @person_guid AND h.until > @at
ORDER BY h.until, h.place;

-- name: HoldExpire :batchexec
-- Gives back the places of a person's holds that have expired.
DELETE FROM hold
WHERE person_guid = @person_guid AND until <= @at;

-- name: HoldTake :batchone
-- Takes one of a person's two places. No row: a hold stands in it; or the hold has the other place already; or the cell is held by the person in another hold
-- that begins with it. Whoever asks has written the cell before, so that of two at once the second sees the first, and has the expired holds removed.
INSERT INTO hold (person_guid, place, guid, lpu_guid, slot_guids, direction_guid, start_at, end_at, until)
SELECT @person_guid::uuid, @place::smallint, @guid::uuid, @lpu_guid::uuid, @slot_guids::uuid[], @direction_guid::uuid, @start_at::timestamptz, @end_at::timestamptz,
    @until::timestamptz
WHERE NOT EXISTS (
    SELECT 1 AS one FROM hold other
    WHERE other.person_guid = @person_guid
        AND (other.guid = @guid OR other.lpu_guid = @lpu_guid AND other.slot_guids[1] = (@slot_guids::uuid[])[1])
)
ON CONFLICT (person_guid, place) DO NOTHING
RETURNING place;

-- name: HoldDelete :batchexec
-- Gives back the place of a hold, if it has one.
DELETE FROM hold
WHERE person_guid = @person_guid AND guid = @guid;
