-- Medical cards that were merged into another one.

-- +goose Up

ALTER TABLE mkab ADD COLUMN merged_into_guid uuid;
COMMENT ON COLUMN mkab.merged_into_guid IS
    'The card of the institution that this one was merged into, a duplicate of the same person; null: none. It is closed, and its referrals, open cases and visits are those of the other card.';

-- +goose Down

ALTER TABLE mkab DROP COLUMN merged_into_guid;
