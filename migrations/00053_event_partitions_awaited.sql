-- Who finds the partition of a day waits until it is one on all nodes.

-- +goose Up

-- On a distributed database the transaction that creates a partition ends on one node before another.
-- The next recorder of that moment found the table, and no place for its rows.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_partitions(today date, kept_days integer) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    day date;
    name text;
    last bigint;
BEGIN
    LOCK TABLE event IN SHARE UPDATE EXCLUSIVE MODE; -- which ATTACH PARTITION holds; others read and write
    FOR day IN SELECT d FROM generate_series(today, today + 2, interval '1 day') d LOOP
        name := 'event_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, day || ' 00:00Z', day + 1 || ' 00:00Z');
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

-- PostgreSQL looks into the temporary tables of the caller first, unless the path says otherwise.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION event_partitions(date, integer) SET search_path = %I, pg_temp', current_schema());
END
$$;
-- +goose StatementEnd

-- +goose Down

-- The function of the version before is as this one, but does not wait.
SELECT 1;
