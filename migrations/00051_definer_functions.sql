-- The functions that run with their owner's rights create partitions safely.

-- +goose Up

-- A function returned at once if it saw the partition. The transaction that created it could still
-- be committing: others see a new table a moment before they learn that it is a partition, and a
-- row inserted in that moment found no place. Now the function waits for the end of that
-- transaction.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_partitions(today date) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    month date;
    name text;
BEGIN
    -- A reader may hold the locks. Writers must not wait behind this function for long.
    SET LOCAL lock_timeout = '1s';
    -- Instances that find no partition at the same time create it one after another. This lock lets
    -- others read and write.
    LOCK TABLE audit_record IN SHARE UPDATE EXCLUSIVE MODE;
    FOR month IN SELECT m FROM generate_series(date_trunc('month', today::timestamp), today::timestamp + interval '1 month', interval '1 month') m LOOP
        name := 'audit_record_' || to_char(month, 'YYYYMM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE audit_record INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()', name);
        -- Unlike CREATE TABLE … PARTITION OF, it does not lock out those who read and write the others.
        EXECUTE format('ALTER TABLE audit_record ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, month || ' 00:00Z', (month + interval '1 month')::date || ' 00:00Z');
    END LOOP;
END
$$;
-- +goose StatementEnd

-- PostgreSQL looks into the temporary tables of the caller first, unless the path says otherwise.
-- +goose StatementBegin
DO $$
DECLARE
    called regprocedure;
BEGIN
    FOREACH called IN ARRAY ARRAY['audit_partitions(date)', 'audit_drop_partitions(date, integer)',
        'event_partitions(date, integer)']::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', called, current_schema());
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- The functions of the version before are as they are now, but for a moment that they do not wait.
SELECT 1;
