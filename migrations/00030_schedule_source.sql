-- The schedules that institutions' systems bring in: which message decides a period, and what closes a cell.

-- +goose Up

CREATE TABLE schedule_source (
    lpu_guid      uuid NOT NULL,
    resource_guid uuid NOT NULL,
    version       bigint NOT NULL,
    confirmed_at  timestamptz NOT NULL,
    PRIMARY KEY (lpu_guid, resource_guid),
    CONSTRAINT schedule_source_resource FOREIGN KEY (lpu_guid, resource_guid) REFERENCES resource
) WITH (fillfactor = 80);
COMMENT ON TABLE schedule_source IS
    'The state of a resource''s schedule in its source. Whoever writes the schedule locks this row first. It is not the row of the resource, because a booking locks '
    'that one after the cells, and a message before them.';
COMMENT ON COLUMN schedule_source.version IS 'The highest version of a message that was applied.';
COMMENT ON COLUMN schedule_source.confirmed_at IS 'When a message last stated or confirmed a part of the schedule.';

CREATE TABLE schedule_window (
    lpu_guid      uuid NOT NULL,
    resource_guid uuid NOT NULL,
    from_at       timestamptz NOT NULL,
    to_at         timestamptz NOT NULL,
    version       bigint NOT NULL CHECK (version > 0),
    content       bytea NOT NULL CHECK (length(content) = 32),
    settled       boolean NOT NULL,
    PRIMARY KEY (lpu_guid, resource_guid, from_at),
    CONSTRAINT schedule_window_period CHECK (to_at > from_at)
);
COMMENT ON TABLE schedule_window IS
    'For each period of a resource''s schedule, the newest message (окно расписания) that covers it. The periods of a resource do not overlap: a newer message '
    'cuts the older ones.';
COMMENT ON COLUMN schedule_window.content IS 'SHA-256 of the message. The same version with other content is rejected.';
COMMENT ON COLUMN schedule_window.settled IS 'Whether the cells are exactly those of the message. Otherwise visits or holds have kept some, and a repetition applies it again.';

CREATE TABLE absence (
    lpu_guid      uuid NOT NULL,
    guid          uuid NOT NULL,
    resource_guid uuid NOT NULL,
    from_at       timestamptz NOT NULL,
    to_at         timestamptz NOT NULL,
    reason        varchar(1000) NOT NULL DEFAULT '',
    lifted_at     timestamptz,
    PRIMARY KEY (lpu_guid, guid),
    CONSTRAINT absence_period CHECK (to_at > from_at)
);
CREATE INDEX absence_of_resource ON absence (lpu_guid, resource_guid, from_at) WHERE lifted_at IS NULL;
COMMENT ON TABLE absence IS 'A period in which a resource takes no visits (отсутствие), such as an illness. A lifted one stays, so that a late repetition does not bring it back.';

ALTER TABLE slot ADD COLUMN closed_by smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN slot.closed_by IS
    'Why a cell of the registry is blocked, in bits: 1 its source blocks it, 2 its source has withdrawn it and visits keep it, 4 an absence. '
    '0 of a blocked cell: it was not brought in by the registry, and is blocked as if by 1.';
ALTER TABLE slot ADD CONSTRAINT slot_closed CHECK (closed_by BETWEEN 0 AND 7 AND (closed_by = 0 OR blocked)) NOT VALID;

CREATE SEQUENCE slot_number AS bigint START WITH 1000000000000;
ALTER TABLE slot ALTER COLUMN id SET DEFAULT nextval('slot_number');
COMMENT ON SEQUENCE slot_number IS 'The numbers of cells whose source has none. They begin above those of sources.';

-- +goose Down

ALTER TABLE slot ALTER COLUMN id DROP DEFAULT;
DROP SEQUENCE slot_number;
ALTER TABLE slot DROP CONSTRAINT slot_closed;
ALTER TABLE slot DROP COLUMN closed_by;
DROP TABLE absence, schedule_window, schedule_source;
