-- +goose Up

ALTER TABLE client_application ADD COLUMN active boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN client_application.active IS
    'Every operation rejects the tokens and the secret of a client application that is not active.';

-- +goose Down

ALTER TABLE client_application DROP COLUMN active;
