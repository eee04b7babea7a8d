-- Idempotency keys, and failed attempts to identify a patient.

-- +goose Up

CREATE TABLE idempotency_key (
    person_guid   uuid NOT NULL,
    client_guid   uuid NOT NULL,
    key           varchar(255) NOT NULL CHECK (key <> ''),
    request_hash  bytea NOT NULL CHECK (length(request_hash) = 32),
    taken_by      uuid NOT NULL,
    taken_at      timestamptz NOT NULL,
    running_until timestamptz NOT NULL,
    answer        jsonb,
    PRIMARY KEY (person_guid, client_guid, key)
);
CREATE INDEX idempotency_key_by_age ON idempotency_key (taken_at);
COMMENT ON TABLE idempotency_key IS 'The keys of repeatable requests (Idempotency-Key), each of one person through one client application.';
COMMENT ON COLUMN idempotency_key.request_hash IS 'SHA-256 of the operation and its input; another hash is another request.';
COMMENT ON COLUMN idempotency_key.taken_by IS 'The request that works under the key; only it may write the answer.';
COMMENT ON COLUMN idempotency_key.running_until IS 'Until when that request counts as running; without an answer by then it has died, and another may take the key.';
COMMENT ON COLUMN idempotency_key.answer IS 'The response, written in the transaction that does the work; null while it runs.';

CREATE TABLE failed_identification (
    subject  bytea PRIMARY KEY CONSTRAINT failed_identification_subject CHECK (length(subject) IN (16, 32)),
    failures integer NOT NULL CHECK (failures > 0),
    since    timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX failed_identification_by_age ON failed_identification (since);
COMMENT ON TABLE failed_identification IS 'Token requests that identified no patient; they bound how long anybody can guess.';
COMMENT ON COLUMN failed_identification.subject IS
    'Who guesses, a client application (its guid, 16 bytes); or whose data are guessed (SHA-256 of the patient data of the request, 32 bytes).';
COMMENT ON COLUMN failed_identification.since IS 'When the first of them happened; all expire together.';

-- +goose Down

DROP TABLE failed_identification, idempotency_key;
