-- The baseline, one file an aggregate, begins here. Institutions, client applications and their settings: few rows that change rarely.
--
-- Keys of the whole schema: an institution's rows are keyed by lpu_guid first, a person's by person_guid. The tables of this file are small
-- reference tables. No statement joins rows of two institutions, or of an institution and a person.

-- +goose Up

CREATE TABLE legal_entity (
    guid uuid PRIMARY KEY,
    name text NOT NULL
);
COMMENT ON TABLE legal_entity IS 'A legal entity (юр. лицо) that institutions belong to.';

CREATE TABLE lpu (
    guid              uuid PRIMARY KEY,
    legal_entity_guid uuid NOT NULL REFERENCES legal_entity,
    code              text NOT NULL UNIQUE,
    name              text NOT NULL,
    time_zone         text NOT NULL CONSTRAINT lpu_time_zone CHECK (timezone(time_zone, timestamptz '2000-01-01 00:00+00') IS NOT NULL)
);
COMMENT ON TABLE lpu IS 'A medical institution (ЛПУ).';
COMMENT ON COLUMN lpu.time_zone IS 'IANA name; every time of this institution is read and answered in it.';

CREATE TABLE client_application (
    guid                       uuid PRIMARY KEY,
    name                       text NOT NULL,
    visit_direction            integer NOT NULL DEFAULT 0 CHECK (visit_direction >= 0),
    visit_direction_other_lpu  integer NOT NULL DEFAULT 0 CHECK (visit_direction_other_lpu >= 0),
    out_of_schedule            boolean NOT NULL DEFAULT false,
    secret_hash                bytea CONSTRAINT client_application_secret CHECK (length(secret_hash) = 32)
);
COMMENT ON TABLE client_application IS
    'A client application (клиентское приложение) and its rights. Masks are bits: 1 Registry, 2 Doctor, 4 Internet, 8 DoctorOtherLpu, 16 Infomat, 64 CallCenter.';
COMMENT ON COLUMN client_application.visit_direction IS 'Cells it may take by a referral within one institution (VisitDirection).';
COMMENT ON COLUMN client_application.visit_direction_other_lpu IS 'Cells it may take by a referral into another institution (VisitDirectionOtherLpu).';
COMMENT ON COLUMN client_application.out_of_schedule IS 'It may book out of schedule (вне расписания).';
COMMENT ON COLUMN client_application.secret_hash IS
    'SHA-256 of the secret with which it gets tokens; null: none. A fast hash is enough, since talon client-secret generates the secret at random.';

CREATE TABLE setting (
    owner_guid  uuid NOT NULL,
    code        text NOT NULL,
    value       text NOT NULL,
    of_client   boolean NOT NULL DEFAULT false,
    lpu_guid    uuid GENERATED ALWAYS AS
        (CASE WHEN NOT of_client AND owner_guid <> '00000000-0000-0000-0000-000000000000' THEN owner_guid END) STORED
        CONSTRAINT setting_lpu REFERENCES lpu,
    client_guid uuid GENERATED ALWAYS AS (CASE WHEN of_client THEN owner_guid END) STORED
        CONSTRAINT setting_client REFERENCES client_application,
    PRIMARY KEY (owner_guid, code),
    CONSTRAINT setting_owner CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN lpu_guid IS NULL AND client_guid IS NULL
        WHEN '2dr_RecordWithoutMkab' THEN lpu_guid IS NOT NULL
        WHEN 'PolyclinicCode' THEN lpu_guid IS NOT NULL
        WHEN 'DeleteOldTime' THEN client_guid IS NULL
        WHEN 'scheduleDays' THEN true
        WHEN 'DirectionExpires' THEN client_guid IS NULL
    END),
    CONSTRAINT setting_value CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
        WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
        WHEN 'PolyclinicCode' THEN true
        WHEN 'DeleteOldTime' THEN value IN ('true', 'false')
        WHEN 'scheduleDays' THEN value ~ '^(0|[1-9][0-9]{0,2})$'
        WHEN 'DirectionExpires' THEN value IN ('true', 'false')
        ELSE false
    END)
);
COMMENT ON TABLE setting IS 'Settings of the region (owner: the zero guid), of an institution and of a client application (owner: its guid). Their meaning: docs/settings.md.';
COMMENT ON COLUMN setting.of_client IS 'The owner is a client application, not an institution.';
COMMENT ON COLUMN setting.lpu_guid IS 'The owner, if it is an institution.';
COMMENT ON COLUMN setting.client_guid IS 'The owner, if it is a client application.';

CREATE TABLE busy_type (
    code      integer PRIMARY KEY,
    name      text NOT NULL,
    reception boolean NOT NULL
);
COMMENT ON TABLE busy_type IS 'The kinds of cells (тип занятости); only reception kinds take visits.';

-- +goose Down

DROP TABLE busy_type, setting, client_application, lpu, legal_entity;
