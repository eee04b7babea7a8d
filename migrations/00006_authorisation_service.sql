-- The authorisation service: secrets of client applications, who fails to be identified, and the ways to find a person by a card.

-- +goose Up

ALTER TABLE client_application ADD COLUMN secret_hash bytea CONSTRAINT client_application_secret CHECK (length(secret_hash) = 32);
COMMENT ON COLUMN client_application.secret_hash IS
    'SHA-256 of the secret that it is given tokens for; null: none. A fast hash is enough: talon client-secret makes the secret, at random.';

CREATE TABLE failed_identification (
    subject  bytea PRIMARY KEY CONSTRAINT failed_identification_subject CHECK (length(subject) IN (16, 32)),
    failures integer NOT NULL CHECK (failures > 0),
    since    timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX failed_identification_by_age ON failed_identification (since);
COMMENT ON TABLE failed_identification IS 'Attempts to be given a token that identified nobody, so that nobody can guess for long.';
COMMENT ON COLUMN failed_identification.subject IS
    'Who guesses, a client application (its guid, 16 bytes); or who is guessed at (SHA-256 of what was shown of the patient, 32 bytes).';
COMMENT ON COLUMN failed_identification.since IS 'When the first of them was; all are forgotten together.';

CREATE INDEX mkab_by_guid ON mkab (guid);
CREATE INDEX mkab_by_snils ON mkab (translate(snils, '- ', '')) WHERE closed_at IS NULL AND snils <> '';
CREATE INDEX mkab_policy_by_number ON mkab_policy (number);

-- +goose Down

DROP INDEX mkab_policy_by_number, mkab_by_snils, mkab_by_guid;
DROP TABLE failed_identification;
ALTER TABLE client_application DROP COLUMN secret_hash;
