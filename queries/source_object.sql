-- name: SourceObjectWrite :batchone
-- Locks an object against other writers, and records a write of its source. Returns no row if the
-- object has this version or a newer one.
INSERT INTO source_object AS o (owner_guid, kind, guid, version, content, deleted)
VALUES (@owner_guid, @kind, @guid, @version, @content, @deleted)
ON CONFLICT (owner_guid, kind, guid) DO UPDATE
SET version = excluded.version, content = excluded.content, deleted = excluded.deleted
WHERE o.version < excluded.version
RETURNING o.guid;

-- name: SourceObjectGet :batchone
-- Returns the newest write of an object, no row if its source has written none.
SELECT version, content, deleted
FROM source_object
WHERE owner_guid = @owner_guid AND kind = @kind AND guid = @guid;
