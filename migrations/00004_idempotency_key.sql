-- Requests that may be repeated: what was answered to each, so that it is answered again instead of done again.

-- +goose Up

CREATE TABLE idempotency_key (
    person_guid   uuid NOT NULL,
    client_guid   uuid NOT NULL,
    key           text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash  bytea NOT NULL CHECK (length(request_hash) = 32),
    taken_by      uuid NOT NULL,
    taken_at      timestamptz NOT NULL,
    running_until timestamptz NOT NULL,
    answer        jsonb,
    PRIMARY KEY (person_guid, client_guid, key)
);
CREATE INDEX idempotency_key_by_age ON idempotency_key (taken_at);
COMMENT ON TABLE idempotency_key IS 'The keys of requests that may be repeated (Idempotency-Key), each of one person through one client application.';
COMMENT ON COLUMN idempotency_key.request_hash IS 'Tells another request from the same one again: SHA-256 of the operation and what it was asked.';
COMMENT ON COLUMN idempotency_key.taken_by IS 'The request that works under the key; only it may write the answer.';
COMMENT ON COLUMN idempotency_key.running_until IS 'Until when that request counts as running; without an answer by then it has died, and another may take the key.';
COMMENT ON COLUMN idempotency_key.answer IS 'What was done, written in the transaction that did it; null while it runs.';

-- +goose Down

DROP TABLE idempotency_key;
