-- The audit: who has touched the data of which patient. Records can be added, and never changed or deleted.

-- +goose Up

-- Partitions are months in UTC. The time is part of the key because it is the partition's; the guid
-- makes the insert repeatable after a commit whose outcome is unknown.
CREATE TABLE audit_record (
    at          timestamptz NOT NULL,
    guid        uuid NOT NULL,
    person_guid uuid NOT NULL,
    client_guid uuid NOT NULL,
    request_id  uuid NOT NULL,
    acting_user text NOT NULL,
    operation   text NOT NULL,
    status      integer NOT NULL,
    rule        text NOT NULL,
    objects     json NOT NULL,
    compared    json NOT NULL,
    PRIMARY KEY (person_guid, at, guid)
) PARTITION BY RANGE (at);
CREATE INDEX audit_record_of_client ON audit_record (client_guid, at, guid);
CREATE INDEX audit_record_of_request ON audit_record (request_id);
CREATE INDEX audit_record_in_order ON audit_record (at, guid);
COMMENT ON TABLE audit_record IS 'Requests that touched a patient''s data (аудит), in monthly partitions. A request that touched those of several patients has a record for each.';
COMMENT ON COLUMN audit_record.at IS 'When the response was ready.';
COMMENT ON COLUMN audit_record.person_guid IS 'The patient; the zero guid if the request did not reach one.';
COMMENT ON COLUMN audit_record.client_guid IS 'The client application that sent the request.';
COMMENT ON COLUMN audit_record.acting_user IS 'The user of the client application, as it names them (X-Acting-User); empty: not given.';
COMMENT ON COLUMN audit_record.operation IS 'The operationId of the contract.';
COMMENT ON COLUMN audit_record.status IS 'The HTTP status of the response.';
COMMENT ON COLUMN audit_record.rule IS 'The rule that rejected the request; empty: none.';
COMMENT ON COLUMN audit_record.objects IS 'The objects that the request and its response name: a list of kind and id.';
COMMENT ON COLUMN audit_record.compared IS 'What the rule compared: a list of name and value. Ids, codes, numbers and times, nothing personal.';

-- A grant without UPDATE and DELETE protects the records from the service. These triggers protect
-- them also from statements of the owner. They cost an insert nothing.
-- +goose StatementBegin
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'records of the audit cannot be changed or deleted' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION audit_is_append_only IS 'Rejects a change of the audit.';
-- Partitions inherit a trigger of rows, and none of statements.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_record FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_record FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

-- +goose StatementBegin
CREATE FUNCTION audit_partitions(today date) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    month date;
    name text;
BEGIN
    -- A reader may hold the locks. Writers must not wait behind this function for long.
    SET LOCAL lock_timeout = '1s';
    FOR month IN SELECT m FROM generate_series(date_trunc('month', today::timestamp), today::timestamp + interval '1 month', interval '1 month') m LOOP
        name := 'audit_record_' || to_char(month, 'YYYYMM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        -- Instances that find no partition at the same time create it one after another. This lock
        -- lets others read and write.
        LOCK TABLE audit_record IN SHARE UPDATE EXCLUSIVE MODE;
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
COMMENT ON FUNCTION audit_partitions IS 'Creates the partitions of the audit for the month of a day and the next one. The service calls it, and need not own the tables.';

-- The owner decides who deletes records. A wrong clock must not delete them.
-- +goose StatementBegin
CREATE FUNCTION audit_drop_partitions(today date, kept_days integer) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    name text;
BEGIN
    IF kept_days < 7 OR today > current_date + 1 THEN
        RAISE EXCEPTION 'records of the audit are kept for at least 7 days, until today' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SET LOCAL lock_timeout = '1s';
    FOR name IN
        SELECT c.relname
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit_record'::regclass AND c.relname < 'audit_record_' || to_char(today - kept_days, 'YYYYMM')
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', name); -- another instance may drop it at the same time
    END LOOP;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION audit_drop_partitions IS 'Drops the partitions of the audit whose last day is more than kept_days before a day. Only the owner can call it, and roles that it grants this to.';
REVOKE EXECUTE ON FUNCTION audit_drop_partitions FROM PUBLIC;

-- +goose Down

DROP FUNCTION audit_drop_partitions;
DROP FUNCTION audit_partitions;
DROP TABLE audit_record;
DROP FUNCTION audit_is_append_only;
