-- The objects that institutions' systems bring in: which write of the source decided each.

-- +goose Up

CREATE TYPE source_object_kind AS ENUM ('legal_entity', 'institution', 'resource', 'person', 'card', 'case', 'referral', 'client_rights', 'settings');

CREATE TABLE source_object (
    owner_guid uuid NOT NULL,
    kind       source_object_kind NOT NULL,
    guid       uuid NOT NULL,
    version    bigint NOT NULL CHECK (version > 0),
    content    bytea NOT NULL CHECK (length(content) = 32),
    deleted    boolean NOT NULL,
    PRIMARY KEY (owner_guid, kind, guid)
) WITH (fillfactor = 80);
COMMENT ON TABLE source_object IS
    'The newest write of each object (источник). Whoever writes the object locks this row first. A deleted object keeps its row, so that a late write does not '
    'bring it back. An object without a row was not brought in by the registry, and any version overwrites it.';
COMMENT ON COLUMN source_object.owner_guid IS 'The institution of the object, or the object itself where it belongs to no institution.';
COMMENT ON COLUMN source_object.version IS 'Version of the source, which orders its writes.';
COMMENT ON COLUMN source_object.content IS 'SHA-256 of the content. The same version with other content is rejected.';

-- +goose Down

DROP TABLE source_object;
DROP TYPE source_object_kind;
