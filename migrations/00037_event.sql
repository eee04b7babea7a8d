-- What has happened to visits, referrals and schedules: the events, and how they get their places in
-- the feed.

-- +goose Up

-- Filled by the transaction of each change and emptied by the recorder. The number of an event that
-- depends on another one is higher, because it is drawn under the lock that both need.
CREATE TABLE event_outbox (
    number           bigint GENERATED ALWAYS AS IDENTITY,
    lpu_guid         uuid NOT NULL,
    type             text NOT NULL,
    at               timestamptz NOT NULL,
    appointment_guid uuid,
    direction_guid   uuid,
    resource_guid    uuid,
    from_at          timestamptz,
    to_at            timestamptz,
    version          bigint NOT NULL,
    PRIMARY KEY (number, lpu_guid)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE event_outbox IS 'Events that are not in the feed yet.';

-- Partitions are days in UTC. A primary key would have to contain the time; that a position occurs
-- once follows from the only recorder that draws it.
CREATE TABLE event (
    recorded_at      timestamptz NOT NULL,
    position         bigint NOT NULL,
    lpu_guid         uuid NOT NULL,
    sequence         bigint NOT NULL,
    type             text NOT NULL,
    at               timestamptz NOT NULL,
    appointment_guid uuid,
    direction_guid   uuid,
    resource_guid    uuid,
    from_at          timestamptz,
    to_at            timestamptz,
    version          bigint NOT NULL,
    PRIMARY KEY (lpu_guid, recorded_at, position)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX event_in_order ON event (recorded_at, position);
COMMENT ON TABLE event IS 'The feed of events (лента событий), in daily partitions.';
COMMENT ON COLUMN event.recorded_at IS 'When it got its place in the feed; never before that of an earlier position.';
COMMENT ON COLUMN event.position IS 'Its place in the feed of the region.';
COMMENT ON COLUMN event.sequence IS 'Its place in the feed of the institution, without gaps from 1.';
COMMENT ON COLUMN event.at IS 'When the change was made.';
COMMENT ON COLUMN event.version IS 'The version of the visit, the referral or the schedule message.';

CREATE TABLE event_recorder (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    dropped     bigint NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE event_recorder IS 'The last place in the feed. The instance that has locked the row records events.';
COMMENT ON COLUMN event_recorder.dropped IS 'The last place whose event is not kept any more.';
INSERT INTO event_recorder (position, recorded_at, dropped) VALUES (0, '1970-01-01Z', 0);

CREATE TABLE event_sequence (
    lpu_guid uuid PRIMARY KEY,
    sequence bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE event_sequence IS 'The last place in the feed of an institution.';

-- +goose StatementBegin
CREATE FUNCTION event_partitions(today date, kept_days integer) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    day date;
    name text;
    last bigint;
BEGIN
    FOR day IN SELECT d FROM generate_series(today, today + 2, interval '1 day') d LOOP
        name := 'event_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF event FOR VALUES FROM (%L) TO (%L)',
                name, day || ' 00:00Z', day + 1 || ' 00:00Z');
        END IF;
    END LOOP;
    FOR name IN
        SELECT c.relname
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'event'::regclass AND c.relname < 'event_' || to_char(today - kept_days, 'YYYYMMDD')
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT max(position) FROM %I', name) INTO last;
        UPDATE event_recorder SET dropped = last WHERE last > dropped;
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION event_partitions IS 'Creates the partitions of events for today and the two days after it, and drops those of days more than kept_days ago. The service calls it, and need not own the tables.';

-- +goose Down

DROP FUNCTION event_partitions;
DROP TABLE event_sequence, event_recorder, event, event_outbox;
