-- Files of messages that are applied in the background.

-- +goose Up

CREATE TABLE import (
    guid             uuid PRIMARY KEY,
    client_guid      uuid NOT NULL,
    scopes           text[] NOT NULL,
    lpu_guids        uuid[] NOT NULL,
    every_lpu        boolean NOT NULL,
    dry_run          boolean NOT NULL,
    on_error         text NOT NULL CHECK (on_error IN ('skip', 'reject')),
    state            text NOT NULL CHECK (state IN ('uploading', 'waiting', 'checking', 'running', 'completed', 'rejected', 'cancelled', 'failed')),
    problem          varchar(1000) NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    worker           uuid,
    reserved_until   timestamptz NOT NULL,
    total            bigint NOT NULL DEFAULT 0,
    chunks           integer NOT NULL DEFAULT 0,
    next_chunk       integer NOT NULL DEFAULT 0,
    done             bigint NOT NULL DEFAULT 0,
    changed          bigint NOT NULL DEFAULT 0,
    failed           bigint NOT NULL DEFAULT 0,
    cells_added      bigint NOT NULL DEFAULT 0,
    cells_changed    bigint NOT NULL DEFAULT 0,
    cells_withdrawn  bigint NOT NULL DEFAULT 0,
    cells_unchanged  bigint NOT NULL DEFAULT 0,
    cells_superseded bigint NOT NULL DEFAULT 0,
    conflicts        bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX import_unfinished ON import (created_at) WHERE finished_at IS NULL;
CREATE INDEX import_by_end ON import (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE import IS 'A file of messages (загрузка).';
COMMENT ON COLUMN import.client_guid IS 'The client application that has sent it; the zero guid: talon import.';
COMMENT ON COLUMN import.scopes IS 'Scopes of the token with which it was sent. The client application must still have them when a message is applied.';
COMMENT ON COLUMN import.reserved_until IS 'Until then it is its worker''s, or its sender''s while the file arrives. Afterwards another worker takes it, or the file counts as cut off.';
COMMENT ON COLUMN import.next_chunk IS 'The first chunk without a result. A worker that begins after another one has died begins here.';

CREATE TABLE import_chunk (
    import_guid uuid NOT NULL,
    number      integer NOT NULL,
    content     bytea NOT NULL,
    PRIMARY KEY (import_guid, number)
);
COMMENT ON TABLE import_chunk IS 'The messages of an import, compressed; deleted when it ends.';

CREATE TABLE import_error (
    import_guid uuid NOT NULL,
    line        bigint NOT NULL,
    error       jsonb NOT NULL,
    PRIMARY KEY (import_guid, line)
);
COMMENT ON TABLE import_error IS 'The rejected messages of an import, each with the response that the request itself would have got.';

-- +goose Down

DROP TABLE import_error, import_chunk, import;
