-- The conditions of a cell, once: the search, the booking and the hold share them.

-- +goose Up

CREATE FUNCTION slot_open_to(
    busy_type integer, blocked boolean, flag_access integer, restriction slot_restriction,
    receptions integer[], access integer, restrictions slot_restriction[]
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN busy_type = ANY(receptions) AND NOT blocked AND flag_access & access <> 0 AND restriction = ANY(restrictions);
COMMENT ON FUNCTION slot_open_to IS
    'Whether a client with these access bits can take the cell for a person, who may have cells of these restrictions, if it has a free place. Queries inline it.';

CREATE FUNCTION slot_taken(
    guid uuid, taken integer, holds slot_hold[], moment timestamptz, person uuid, own uuid[]
) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN taken + coalesce(slot_held(holds, moment, person), 0) - (guid = ANY(own) IS TRUE)::integer;
COMMENT ON FUNCTION slot_taken IS
    'The number of places that are not free for a person: a place that another person holds is taken, and a place of the person''s own visit that is being moved '
    'is free. Queries inline it.';

CREATE OR REPLACE FUNCTION slot_bookable(
    guid uuid, taken integer, capacity integer, holds slot_hold[], busy_type integer, blocked boolean, flag_access integer, restriction slot_restriction,
    receptions integer[], access integer, restrictions slot_restriction[], moment timestamptz, person uuid, own uuid[]
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (taken < capacity OR guid = ANY(own))
        AND slot_open_to(busy_type, blocked, flag_access, restriction, receptions, access, restrictions)
        AND (holds IS NULL OR slot_taken(guid, taken, holds, moment, person, own) < capacity);

-- +goose Down

CREATE OR REPLACE FUNCTION slot_bookable(
    guid uuid, taken integer, capacity integer, holds slot_hold[], busy_type integer, blocked boolean, flag_access integer, restriction slot_restriction,
    receptions integer[], access integer, restrictions slot_restriction[], moment timestamptz, person uuid, own uuid[]
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (taken < capacity OR guid = ANY(own))
        AND busy_type = ANY(receptions) AND NOT blocked AND flag_access & access <> 0 AND restriction = ANY(restrictions)
        AND (holds IS NULL OR taken + coalesce(slot_held(holds, moment, person), 0) < capacity OR guid = ANY(own));

DROP FUNCTION slot_taken, slot_open_to;
