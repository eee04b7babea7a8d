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
CREATE INDEX mkab_of_person ON mkab (person_guid);
CREATE INDEX mkab_by_guid ON mkab (guid);
CREATE INDEX mkab_by_snils ON mkab (translate(snils, '- ', '')) WHERE closed_at IS NULL AND snils <> '';
COMMENT ON TABLE mkab IS 'A patient''s medical card in one institution (МКАБ). Promise: at most one open card a person.';

CREATE TABLE mkab_policy (
    lpu_guid  uuid NOT NULL,
    mkab_guid uuid NOT NULL,
    series    text NOT NULL DEFAULT '',
    number    text NOT NULL CHECK (number <> ''),
    PRIMARY KEY (lpu_guid, mkab_guid, series, number),
    CONSTRAINT mkab_policy_mkab FOREIGN KEY (lpu_guid, mkab_guid) REFERENCES mkab
);
CREATE INDEX mkab_policy_by_number ON mkab_policy (number);
COMMENT ON TABLE mkab_policy IS 'The insurance policies (полис) linked to a medical card.';

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

DROP TABLE mip_person_data, mip_person, tap, mkab_policy, mkab;
DROP TYPE sex;
