-- Schedules: resources and their cells.

-- +goose Up

CREATE TYPE resource_kind AS ENUM ('doctor', 'room', 'equipment');

CREATE TABLE resource (
    lpu_guid        uuid NOT NULL REFERENCES lpu,
    guid            uuid NOT NULL,
    kind            resource_kind NOT NULL,
    name            varchar(300) NOT NULL,
    speciality_code varchar(100) NOT NULL,
    active          boolean NOT NULL DEFAULT true,
    PRIMARY KEY (lpu_guid, guid)
);
CREATE INDEX resource_by_speciality ON resource (lpu_guid, speciality_code);
CREATE INDEX resource_out_of_use ON resource (lpu_guid, guid) WHERE NOT active;
COMMENT ON TABLE resource IS 'A doctor, a cabinet or a piece of equipment (ресурс, DocPrvd) that visits are made to.';

CREATE TYPE slot_restriction AS ENUM ('none', 'adults', 'children', 'infants', 'disabled', 'pregnant', 'healthy_children');

CREATE TYPE slot_hold AS (guid uuid, person_guid uuid, until timestamptz);

CREATE TABLE slot (
    lpu_guid      uuid NOT NULL,
    guid          uuid NOT NULL,
    id            bigint NOT NULL CHECK (id > 0),
    resource_guid uuid NOT NULL,
    start_at      timestamptz NOT NULL,
    end_at        timestamptz NOT NULL,
    capacity      integer NOT NULL DEFAULT 1,
    taken         integer NOT NULL DEFAULT 0,
    flag_access   integer NOT NULL CHECK (flag_access >= 0),
    busy_type     integer NOT NULL REFERENCES busy_type,
    blocked       boolean NOT NULL DEFAULT false,
    restriction   slot_restriction NOT NULL DEFAULT 'none',
    holds         slot_hold[],
    PRIMARY KEY (lpu_guid, guid),
    CONSTRAINT slot_id UNIQUE (lpu_guid, id),
    CONSTRAINT slot_resource FOREIGN KEY (lpu_guid, resource_guid) REFERENCES resource,
    CONSTRAINT slot_period CHECK (end_at > start_at),
    CONSTRAINT slot_capacity CHECK (taken BETWEEN 0 AND capacity)
) WITH (fillfactor = 80);
CREATE INDEX slot_by_resource ON slot (lpu_guid, resource_guid, start_at);
CREATE INDEX slot_by_start ON slot (lpu_guid, start_at);
COMMENT ON TABLE slot IS 'A cell of a resource''s schedule (ячейка расписания). Nothing refers to it, so that cells that are over can be deleted.';
COMMENT ON COLUMN slot.taken IS 'The number of active appointments in the cell. Promise: never more than its capacity.';
COMMENT ON COLUMN slot.flag_access IS 'Who may take it, in the bits of client_application; 0: nobody.';
COMMENT ON COLUMN slot.holds IS
    'The holds of places of the cell; null: none. They are part of the row because a statement that takes a place evaluates the newest version of this '
    'row and of no other. An expired hold does not count, and is removed when the cell is next taken or held.';

-- All are strict, so that they are not called for cells without a hold, which are nearly all.
CREATE FUNCTION slot_holds(holds slot_hold[], moment timestamptz) RETURNS slot_hold[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_agg(h) FROM unnest(holds) h WHERE h.until > moment);
COMMENT ON FUNCTION slot_holds IS 'The holds in force at a moment; null if there are none.';

CREATE FUNCTION slot_held(holds slot_hold[], moment timestamptz, but uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT count(*) FROM unnest(holds) h WHERE h.until > moment AND h.person_guid <> but);
COMMENT ON FUNCTION slot_held IS 'The number of places held at a moment, except those of one person; null if there are none.';

CREATE FUNCTION slot_held_by(holds slot_hold[], moment timestamptz, person uuid) RETURNS uuid[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_agg(h.guid) FROM unnest(holds) h WHERE h.until > moment AND h.person_guid = person);
COMMENT ON FUNCTION slot_held_by IS 'The holds of one person in force at a moment; null if there are none.';

-- Queries inline it. It compares the places first: most cells that it rejects are full. It takes columns, not a row: a distributed table's rows have the type
-- of their shard.
CREATE FUNCTION slot_bookable(
    guid uuid, taken integer, capacity integer, holds slot_hold[], busy_type integer, blocked boolean, flag_access integer, restriction slot_restriction,
    receptions integer[], access integer, restrictions slot_restriction[], moment timestamptz, person uuid, own uuid[]
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (taken < capacity OR guid = ANY(own))
        AND busy_type = ANY(receptions) AND NOT blocked AND flag_access & access <> 0 AND restriction = ANY(restrictions)
        AND (holds IS NULL OR taken + coalesce(slot_held(holds, moment, person), 0) < capacity OR guid = ANY(own));
COMMENT ON FUNCTION slot_bookable IS
    'Whether a client with these bits can book the cell for a person, who may have cells of these restrictions. A place that is held by another person is '
    'taken; cells of the person''s own, which are to be given back, are free.';

-- +goose Down

DROP FUNCTION slot_bookable;
DROP TABLE slot, resource;
DROP FUNCTION slot_held_by, slot_held, slot_holds;
DROP TYPE slot_hold, slot_restriction, resource_kind;
