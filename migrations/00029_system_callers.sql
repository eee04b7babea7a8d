-- Client applications that act for themselves: what they may do, and how they authenticate.

-- +goose Up

ALTER TABLE client_application ADD COLUMN scopes text[] NOT NULL DEFAULT '{}';
ALTER TABLE client_application ADD COLUMN lpu_guids uuid[] NOT NULL DEFAULT '{}';
ALTER TABLE client_application ADD COLUMN every_lpu boolean NOT NULL DEFAULT false;
ALTER TABLE client_application ADD COLUMN previous_secret_hash bytea;
ALTER TABLE client_application ADD COLUMN previous_secret_until timestamptz;
ALTER TABLE client_application ADD COLUMN public_keys jsonb;

COMMENT ON COLUMN client_application.scopes IS 'What its system tokens may do.';
COMMENT ON COLUMN client_application.lpu_guids IS 'The institutions that its system tokens act for. One of them may not exist yet.';
COMMENT ON COLUMN client_application.every_lpu IS 'Its system tokens act for all institutions of the region.';
COMMENT ON COLUMN client_application.previous_secret_hash IS 'SHA-256 of the secret before the last rotation, which is accepted until previous_secret_until.';
COMMENT ON COLUMN client_application.public_keys IS 'JWK set (RFC 7517) of the keys that its assertions are verified with (private_key_jwt); null: none.';
COMMENT ON COLUMN client_application.secret_hash IS
    'SHA-256 of the secret with which it gets tokens; null: none. A fast hash is enough, since talon client generates the secret at random.';

ALTER TABLE client_application ADD CONSTRAINT client_application_scopes CHECK (
    scopes <@ '{schedule:write,referral:write,patient:write,visit:read,visit:write,events:read,audit:read,admin}'::text[]
    AND cardinality(scopes) <= 8) NOT VALID;
ALTER TABLE client_application ADD CONSTRAINT client_application_lpus CHECK (
    cardinality(lpu_guids) <= 100 AND array_position(lpu_guids, NULL) IS NULL AND NOT (every_lpu AND cardinality(lpu_guids) > 0)) NOT VALID;
ALTER TABLE client_application ADD CONSTRAINT client_application_scope_of CHECK (
    cardinality(scopes) = 0 OR every_lpu OR cardinality(lpu_guids) > 0) NOT VALID;
ALTER TABLE client_application ADD CONSTRAINT client_application_previous_secret CHECK (
    (previous_secret_hash IS NULL) = (previous_secret_until IS NULL) AND coalesce(length(previous_secret_hash), 32) = 32) NOT VALID;
ALTER TABLE client_application ADD CONSTRAINT client_application_public_keys CHECK (
    public_keys IS NULL OR jsonb_typeof(public_keys -> 'keys') IS NOT DISTINCT FROM 'array' AND length(public_keys::text) <= 65536) NOT VALID;

-- A few rows: the lock is short.
ALTER TABLE client_application VALIDATE CONSTRAINT client_application_scopes;
ALTER TABLE client_application VALIDATE CONSTRAINT client_application_lpus;
ALTER TABLE client_application VALIDATE CONSTRAINT client_application_scope_of;
ALTER TABLE client_application VALIDATE CONSTRAINT client_application_previous_secret;
ALTER TABLE client_application VALIDATE CONSTRAINT client_application_public_keys;

CREATE TABLE client_assertion (
    client_guid uuid NOT NULL,
    jti_hash    bytea NOT NULL CONSTRAINT client_assertion_jti CHECK (length(jti_hash) = 32),
    kept_until  timestamptz NOT NULL,
    PRIMARY KEY (client_guid, jti_hash)
);
CREATE INDEX client_assertion_by_end ON client_assertion (kept_until);
COMMENT ON TABLE client_assertion IS 'The assertions that authenticated a client application (private_key_jwt), so that each does so once.';
COMMENT ON COLUMN client_assertion.jti_hash IS 'SHA-256 of its id (jti).';
COMMENT ON COLUMN client_assertion.kept_until IS 'From then on it has expired, leeway included.';

-- +goose Down

DROP TABLE client_assertion;
ALTER TABLE client_application DROP COLUMN public_keys;
ALTER TABLE client_application DROP COLUMN previous_secret_until;
ALTER TABLE client_application DROP COLUMN previous_secret_hash;
ALTER TABLE client_application DROP COLUMN every_lpu;
ALTER TABLE client_application DROP COLUMN lpu_guids;
ALTER TABLE client_application DROP COLUMN scopes;
