-- Patients: medical cards, policies and cases of treatment of an institution; the local master patient index.

-- +goose Up

CREATE TYPE sex AS ENUM ('male', 'female');

CREATE TABLE mkab (
    lpu_guid    uuid NOT NULL REFERENCES lpu,
    guid        uuid NOT NULL,
    person_guid uuid NOT NULL,
    surname     text NOT NULL,
    name        text NOT NULL,
    patronymic  text NOT NULL DEFAULT '',
    birth_date  date NOT NULL,
    sex         sex NOT NULL,
    snils       text NOT NULL DEFAULT '',
    disabled    boolean NOT NULL DEFAULT false,
    pregnant    boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL,
    closed_at   timestamptz,
    PRIMARY KEY (lpu_guid, guid)
);
CREATE UNIQUE INDEX mkab_one_open ON mkab (lpu_guid, person_guid) WHERE closed_at IS NULL;
CREATE INDEX mkab_by_person ON mkab (lpu_guid, person_guid);
COMMENT ON TABLE mkab IS 'A patient''s medical card in one institution (МКАБ). Promise: at most one open card a person.';

CREATE TABLE mkab_policy (
    lpu_guid  uuid NOT NULL,
    mkab_guid uuid NOT NULL,
    series    text NOT NULL DEFAULT '',
    number    text NOT NULL CHECK (number <> ''),
    PRIMARY KEY (lpu_guid, mkab_guid, series, number),
    CONSTRAINT mkab_policy_mkab FOREIGN KEY (lpu_guid, mkab_guid) REFERENCES mkab
);
COMMENT ON TABLE mkab_policy IS 'The insurance policies (полис) linked to a medical card.';

CREATE TABLE person_lpu (
    person_guid uuid NOT NULL,
    lpu_guid    uuid NOT NULL,
    PRIMARY KEY (person_guid, lpu_guid)
);
COMMENT ON TABLE person_lpu IS
    'The institutions where a person has a medical card, open or closed. What is looked for by person is looked for there, and nowhere else. Written with each card.';

CREATE TYPE card_key_kind AS ENUM ('guid', 'snils', 'policy');

CREATE TABLE card_key (
    value     text NOT NULL,
    kind      card_key_kind NOT NULL,
    lpu_guid  uuid NOT NULL,
    mkab_guid uuid NOT NULL,
    PRIMARY KEY (value, kind, lpu_guid, mkab_guid)
);
COMMENT ON TABLE card_key IS 'By what a medical card is found in any institution. A row only leads to the card, which decides. Written with each card and policy.';
COMMENT ON COLUMN card_key.value IS 'The guid of the card; the digits of the SNILS; the series and the number of a policy with a space between them.';

CREATE TABLE tap (
    lpu_guid  uuid NOT NULL,
    guid      uuid NOT NULL,
    mkab_guid uuid NOT NULL,
    opened_on date NOT NULL,
    closed_on date,
    PRIMARY KEY (lpu_guid, guid),
    CONSTRAINT tap_mkab FOREIGN KEY (lpu_guid, mkab_guid) REFERENCES mkab
);
CREATE INDEX tap_open ON tap (lpu_guid, mkab_guid) WHERE closed_on IS NULL;
COMMENT ON TABLE tap IS 'A case of treatment (ТАП); open while closed_on is null.';

CREATE TABLE mip_person (
    guid uuid PRIMARY KEY
);
COMMENT ON TABLE mip_person IS 'The local master patient index (МИП): the persons known.';

CREATE TABLE mip_person_data (
    person_guid   uuid PRIMARY KEY REFERENCES mip_person,
    surname       text NOT NULL DEFAULT '',
    name          text NOT NULL DEFAULT '',
    patronymic    text NOT NULL DEFAULT '',
    birth_date    date NOT NULL,
    sex           sex,
    snils         text NOT NULL DEFAULT '',
    policy_series text NOT NULL DEFAULT '',
    policy_number text NOT NULL DEFAULT ''
);
COMMENT ON TABLE mip_person_data IS 'What the index knows of a person; may be absent or incomplete, which booking then refuses.';

-- +goose Down

DROP TABLE mip_person_data, mip_person, tap, card_key, person_lpu, mkab_policy, mkab;
DROP TYPE card_key_kind, sex;
