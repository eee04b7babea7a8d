-- To whom events are sent: the webhooks, their keys, and the log of what was sent.

-- +goose Up

CREATE TABLE webhook (
    guid          uuid PRIMARY KEY,
    client_guid   uuid NOT NULL,
    url           varchar(2000) NOT NULL,
    types         text[] NOT NULL,
    lpu_guid      uuid,
    status        text NOT NULL CHECK (status IN ('active', 'paused', 'gone', 'failed')),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    revision      bigint NOT NULL DEFAULT 1,
    recorded_at   timestamptz NOT NULL,
    position      bigint NOT NULL,
    failures      integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    next_at       timestamptz
) WITH (fillfactor = 50);
CREATE INDEX webhook_of_client ON webhook (client_guid, created_at);
COMMENT ON TABLE webhook IS 'Addresses to which events are sent (подписки на события).';
COMMENT ON COLUMN webhook.types IS 'Only events of these types; empty: all.';
COMMENT ON COLUMN webhook.lpu_guid IS 'Only events of this institution; null: all of the client application.';
COMMENT ON COLUMN webhook.status IS 'active, paused by the client application, gone (the receiver has responded with 410), or failed (three days without success).';
COMMENT ON COLUMN webhook.updated_at IS 'When the client application last changed it.';
COMMENT ON COLUMN webhook.revision IS 'Counts the changes that the deliverer has to know: new settings, keys and redeliveries.';
COMMENT ON COLUMN webhook.recorded_at IS 'With position: the place in the feed up to which events were sent, or wait in webhook_retry.';
COMMENT ON COLUMN webhook.failures IS 'Failed attempts in a row.';
COMMENT ON COLUMN webhook.failing_since IS 'Time of the first of the failures.';
COMMENT ON COLUMN webhook.next_at IS 'Nothing is sent before; null: events are sent at once.';

CREATE TABLE webhook_key (
    webhook_guid uuid NOT NULL,
    number       bigint GENERATED ALWAYS AS IDENTITY,
    created_at   timestamptz NOT NULL,
    secret       bytea NOT NULL CHECK (length(secret) = 32),
    seed         bytea NOT NULL CHECK (length(seed) = 32),
    expires_at   timestamptz,
    PRIMARY KEY (webhook_guid, number)
);
COMMENT ON TABLE webhook_key IS 'The keys that sign the events of webhooks.';
COMMENT ON COLUMN webhook_key.secret IS 'For HMAC-SHA256. It proves the sender of events, which contain no personal data, and opens nothing.';
COMMENT ON COLUMN webhook_key.seed IS 'The private key for Ed25519.';
COMMENT ON COLUMN webhook_key.expires_at IS 'It signs until then; null: until it is replaced.';

CREATE TABLE webhook_retry (
    webhook_guid uuid NOT NULL,
    position     bigint NOT NULL,
    recorded_at  timestamptz NOT NULL,
    attempts     integer NOT NULL,
    since        timestamptz NOT NULL,
    next_at      timestamptz NOT NULL,
    PRIMARY KEY (webhook_guid, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE webhook_retry IS 'Events that have to be sent again.';
COMMENT ON COLUMN webhook_retry.recorded_at IS 'With position: the place of the event in the feed.';
COMMENT ON COLUMN webhook_retry.since IS 'Time of the first attempt, or of the request to send it again. It is given up three days later.';

CREATE TABLE webhook_attempt (
    webhook_guid uuid NOT NULL,
    number       bigint GENERATED ALWAYS AS IDENTITY,
    at           timestamptz NOT NULL,
    position     bigint NOT NULL,
    recorded_at  timestamptz NOT NULL,
    type         text NOT NULL,
    attempt      integer NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('delivered', 'rejected', 'timeout', 'unreachable', 'forbidden')),
    http_status  integer,
    milliseconds integer NOT NULL,
    PRIMARY KEY (webhook_guid, number)
);
CREATE INDEX webhook_attempt_of_event ON webhook_attempt (webhook_guid, position);
CREATE INDEX webhook_attempt_by_time ON webhook_attempt (at);
COMMENT ON TABLE webhook_attempt IS 'The log of what was sent (журнал доставки), for 7 days.';

CREATE TABLE webhook_deliverer (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    instance uuid,
    until    timestamptz NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE webhook_deliverer IS 'The instance that sends events, until a time unless it prolongs it.';
INSERT INTO webhook_deliverer (until) VALUES ('1970-01-01Z');

-- +goose Down

DROP TABLE webhook_deliverer, webhook_attempt, webhook_retry, webhook_key, webhook;
