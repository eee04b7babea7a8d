-- Holding a cell for a patient for some minutes.

-- +goose Up

CREATE TYPE slot_hold AS (guid uuid, person_guid uuid, until timestamptz);

ALTER TABLE slot ADD COLUMN holds slot_hold[];
COMMENT ON COLUMN slot.holds IS
    'The holds of places of the cell; null where there are none. They stand in the row itself, because whoever takes a place judges the newest version of this '
    'row and of no other. One that has ended counts for nothing, and goes when the cell is next taken or held.';

-- All are strict, so that they are not called for the cells without a hold, which are nearly all.
CREATE FUNCTION slot_holds(holds slot_hold[], moment timestamptz) RETURNS slot_hold[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_agg(h) FROM unnest(holds) h WHERE h.until > moment);
COMMENT ON FUNCTION slot_holds IS 'The holds that stand at a moment; null where there are none.';

CREATE FUNCTION slot_held(holds slot_hold[], moment timestamptz, but uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT count(*) FROM unnest(holds) h WHERE h.until > moment AND h.person_guid <> but);
COMMENT ON FUNCTION slot_held IS 'How many places are held at a moment, but for those of one person; null where there are none.';

CREATE FUNCTION slot_held_by(holds slot_hold[], moment timestamptz, person uuid) RETURNS uuid[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_agg(h.guid) FROM unnest(holds) h WHERE h.until > moment AND h.person_guid = person);
COMMENT ON FUNCTION slot_held_by IS 'The holds of one person that stand at a moment; null where there are none.';

CREATE TABLE hold (
    person_guid    uuid NOT NULL,
    place          smallint NOT NULL CHECK (place IN (1, 2)),
    guid           uuid NOT NULL,
    lpu_guid       uuid NOT NULL REFERENCES lpu,
    slot_guids     uuid[] NOT NULL CHECK (cardinality(slot_guids) > 0),
    direction_guid uuid NOT NULL,
    start_at       timestamptz NOT NULL,
    end_at         timestamptz NOT NULL,
    until          timestamptz NOT NULL,
    PRIMARY KEY (person_guid, place)
) WITH (fillfactor = 80);
COMMENT ON TABLE hold IS
    'Cells held for a patient (удержание), over all institutions. Promise: at most two a person, one in each place. It stands while its time has not come, which is '
    'asked with a time given by the caller; one that has ended leaves its place to the next.';
COMMENT ON COLUMN hold.slot_guids IS 'The cells in order of time; each has this hold among its own.';

-- +goose Down

DROP TABLE hold;
DROP FUNCTION slot_held_by, slot_held, slot_holds;
ALTER TABLE slot DROP COLUMN holds;
DROP TYPE slot_hold;
