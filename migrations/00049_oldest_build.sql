-- The oldest build that may run beside this schema.

-- +goose Up

-- A migration that an older build must not run beside, such as one that brings a new guard, replaces
-- the function. Builds before this migration do not ask.
CREATE OR REPLACE FUNCTION oldest_build() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 49::bigint $$;
COMMENT ON FUNCTION oldest_build() IS
    'The newest schema version that a build must know at least, to run beside this schema. An older build does not start, and a running one is not ready.';

-- +goose Down

DROP FUNCTION IF EXISTS oldest_build();
