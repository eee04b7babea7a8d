-- name: HoldList :batchmany
-- Returns the holds of a person that are in force at a moment, in all institutions, the earliest
-- expiry first.
SELECT h.guid, h.lpu_guid, h.slot_guids, h.direction_guid, h.start_at, h.end_at, h.until
FROM hold h
WHERE h.person_guid = @person_guid AND h.until > @at
ORDER BY h.until, h.place;

-- name: HoldExpire :batchexec
-- Deletes a person's expired holds.
DELETE FROM hold
WHERE person_guid = @person_guid AND until <= @at;

-- name: HoldTake :batchone
-- Inserts a hold as one of the two that a person may have. Returns no row if the place is occupied,
-- if the hold already has the other place, or if the person has another hold that begins with the
-- same cell. The caller must update the cell first, so that of two concurrent requests the second
-- sees the first. It must also delete the expired holds first.
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
-- Deletes a hold, if it exists.
DELETE FROM hold
WHERE person_guid = @person_guid AND guid = @guid;
