-- Everything an appointment by referral needs. The words are the domain's, with the Russian term in brackets.
--
-- Keys: the tables of an institution are keyed by lpu_guid first, those of a person by person_guid, so that a region that
-- outgrows one machine can distribute them by these columns without a change of queries. Reference tables (legal_entity, lpu,
-- setting, client_application, busy_type) are small and may be joined from anywhere; no statement joins rows of two
-- institutions, or of an institution and a person.

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

CREATE TABLE setting (
    owner_guid uuid NOT NULL,
    code       text NOT NULL,
    value      text NOT NULL,
    PRIMARY KEY (owner_guid, code),
    CONSTRAINT setting_value CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
        WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
        WHEN 'PolyclinicCode' THEN true
        ELSE false
    END)
);
COMMENT ON TABLE setting IS 'Settings of the region (owner: the zero guid) and of an institution (owner: its guid).';
COMMENT ON COLUMN setting.code IS
    'OneActiveAppointmentPerSpeciality: region; at most one active appointment a person and speciality; default true. '
    '2dr_RecordWithoutMkab: institution; a missing medical card is made from MIP when booking; default false. '
    'PolyclinicCode (Код поликлиники): institution; its own code in the list of institutions, under which cards are made.';

CREATE TABLE client_application (
    guid                       uuid PRIMARY KEY,
    name                       text NOT NULL,
    visit_direction            integer NOT NULL DEFAULT 0 CHECK (visit_direction >= 0),
    visit_direction_other_lpu  integer NOT NULL DEFAULT 0 CHECK (visit_direction_other_lpu >= 0),
    out_of_schedule            boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE client_application IS
    'A client application (клиентское приложение) and its rights. Masks are bits: 1 Registry, 2 Doctor, 4 Internet, 8 DoctorOtherLpu, 16 Infomat, 64 CallCenter.';
COMMENT ON COLUMN client_application.visit_direction IS 'Cells it may take by a referral within one institution (VisitDirection).';
COMMENT ON COLUMN client_application.visit_direction_other_lpu IS 'Cells it may take by a referral into another institution (VisitDirectionOtherLpu).';
COMMENT ON COLUMN client_application.out_of_schedule IS 'It may book out of schedule (вне расписания).';

CREATE TABLE busy_type (
    code      integer PRIMARY KEY,
    name      text NOT NULL,
    reception boolean NOT NULL
);
COMMENT ON TABLE busy_type IS 'What a cell of the schedule is for (тип занятости); only reception types take visits.';

CREATE TYPE resource_kind AS ENUM ('doctor', 'room', 'equipment');

CREATE TABLE resource (
    lpu_guid        uuid NOT NULL REFERENCES lpu,
    guid            uuid NOT NULL,
    kind            resource_kind NOT NULL,
    name            text NOT NULL CHECK (length(name) <= 300),
    speciality_code text NOT NULL CHECK (length(speciality_code) <= 100),
    active          boolean NOT NULL DEFAULT true,
    PRIMARY KEY (lpu_guid, guid)
);
COMMENT ON TABLE resource IS 'A doctor, a cabinet or a piece of equipment (ресурс, DocPrvd) that visits are made to.';

CREATE TYPE slot_restriction AS ENUM ('none', 'adults', 'children', 'infants', 'disabled', 'pregnant', 'healthy_children');

CREATE TABLE slot (
    lpu_guid      uuid NOT NULL,
    guid          uuid NOT NULL,
    id            bigint NOT NULL CHECK (id > 0),
    resource_guid uuid NOT NULL,
    start_at      timestamptz NOT NULL,
    end_at        timestamptz NOT NULL,
    capacity      integer NOT NULL DEFAULT 1,
    taken         integer NOT NULL DEFAULT 0,
    flag_access   integer NOT NULL CHECK (flag_access >= 0),
    busy_type     integer NOT NULL REFERENCES busy_type,
    blocked       boolean NOT NULL DEFAULT false,
    restriction   slot_restriction NOT NULL DEFAULT 'none',
    PRIMARY KEY (lpu_guid, guid),
    CONSTRAINT slot_id UNIQUE (lpu_guid, id),
    CONSTRAINT slot_resource FOREIGN KEY (lpu_guid, resource_guid) REFERENCES resource,
    CONSTRAINT slot_period CHECK (end_at > start_at),
    CONSTRAINT slot_capacity CHECK (taken BETWEEN 0 AND capacity)
) WITH (fillfactor = 80);
CREATE INDEX slot_by_resource ON slot (lpu_guid, resource_guid, start_at);
COMMENT ON TABLE slot IS 'A cell of a resource''s schedule (ячейка расписания).';
COMMENT ON COLUMN slot.taken IS 'How many active appointments hold the cell. Promise: never more than its capacity.';
COMMENT ON COLUMN slot.flag_access IS 'Who may take it, in the bits of client_application; 0: nobody.';

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

CREATE TYPE direction_type AS ENUM ('Consult', 'Laboratory');

CREATE TABLE direction (
    lpu_guid             uuid NOT NULL REFERENCES lpu,
    guid                 uuid NOT NULL,
    id                   bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY (START WITH 1000000000),
    copied_from_lpu_guid uuid REFERENCES lpu,
    type                 direction_type NOT NULL,
    number               text NOT NULL CHECK (length(number) <= 100),
    accession_number     text NOT NULL DEFAULT '' CHECK (length(accession_number) <= 100),
    date                 date NOT NULL,
    date_end             date NOT NULL,
    created_at           timestamptz NOT NULL,
    doc_prvd_sender_guid uuid,
    mkab_guid            uuid NOT NULL,
    reason               text NOT NULL DEFAULT '' CHECK (length(reason) <= 4000),
    comment              text NOT NULL DEFAULT '' CHECK (length(comment) <= 4000),
    urgent               boolean NOT NULL DEFAULT false,
    flags                integer NOT NULL DEFAULT 0 CHECK (flags >= 0),
    speciality_code      text NOT NULL DEFAULT '' CHECK (length(speciality_code) <= 100),
    speciality_name      text NOT NULL DEFAULT '' CHECK (length(speciality_name) <= 1000),
    mkb_code             text NOT NULL DEFAULT '' CHECK (length(mkb_code) <= 100),
    mkb_name             text NOT NULL DEFAULT '' CHECK (length(mkb_name) <= 1000),
    lpu_from_guid        uuid NOT NULL REFERENCES lpu,
    lpu_to_guid          uuid REFERENCES lpu,
    appointment_guid     uuid,
    PRIMARY KEY (lpu_guid, guid),
    CONSTRAINT direction_id UNIQUE (lpu_guid, id),
    CONSTRAINT direction_mkab FOREIGN KEY (lpu_guid, mkab_guid) REFERENCES mkab
) WITH (fillfactor = 80);
COMMENT ON TABLE direction IS 'A referral (направление), as held by one institution: the original where it was issued, a copy where it is served.';
COMMENT ON COLUMN direction.id IS 'The number in the institution''s own list. Those that Talon gives start at 1000000000; referrals brought in keep theirs, below.';
COMMENT ON COLUMN direction.lpu_guid IS 'The institution that holds this row.';
COMMENT ON COLUMN direction.copied_from_lpu_guid IS 'Where the original is held; null: this is the original.';
COMMENT ON COLUMN direction.appointment_guid IS
    'The active appointment. On the original it is the claim that keeps the promise of at most one a referral; on a copy, the link to the visit.';

CREATE TABLE appointment (
    lpu_guid           uuid NOT NULL,
    guid               uuid NOT NULL,
    direction_guid     uuid NOT NULL,
    direction_lpu_guid uuid NOT NULL,
    mkab_guid          uuid NOT NULL,
    person_guid        uuid NOT NULL,
    resource_guid      uuid NOT NULL,
    client_guid        uuid NOT NULL,
    start_at           timestamptz NOT NULL,
    end_at             timestamptz NOT NULL CHECK (end_at >= start_at),
    out_of_schedule    boolean NOT NULL,
    is_cito            boolean NOT NULL,
    comment            text NOT NULL,
    created_at         timestamptz NOT NULL,
    cancelled_at       timestamptz,
    PRIMARY KEY (lpu_guid, guid),
    CONSTRAINT appointment_direction FOREIGN KEY (lpu_guid, direction_guid) REFERENCES direction,
    CONSTRAINT appointment_mkab FOREIGN KEY (lpu_guid, mkab_guid) REFERENCES mkab,
    CONSTRAINT appointment_resource FOREIGN KEY (lpu_guid, resource_guid) REFERENCES resource
);
CREATE UNIQUE INDEX appointment_one_active ON appointment (lpu_guid, direction_guid) WHERE cancelled_at IS NULL;
COMMENT ON TABLE appointment IS 'A visit booked by referral (запись на прием по направлению); active while cancelled_at is null.';
COMMENT ON COLUMN appointment.direction_lpu_guid IS 'Where the original of the referral is held.';

CREATE TABLE appointment_slot (
    lpu_guid         uuid NOT NULL,
    slot_guid        uuid NOT NULL,
    appointment_guid uuid NOT NULL,
    PRIMARY KEY (lpu_guid, slot_guid, appointment_guid),
    CONSTRAINT appointment_slot_slot FOREIGN KEY (lpu_guid, slot_guid) REFERENCES slot,
    CONSTRAINT appointment_slot_appointment FOREIGN KEY (lpu_guid, appointment_guid) REFERENCES appointment
);
CREATE INDEX appointment_slot_by_appointment ON appointment_slot (lpu_guid, appointment_guid);
COMMENT ON TABLE appointment_slot IS 'The cells that a visit takes: one, or Difficulty adjacent ones (сложная ячейка).';

CREATE TABLE speciality_claim (
    person_guid      uuid NOT NULL,
    speciality_code  text NOT NULL,
    appointment_guid uuid NOT NULL,
    lpu_guid         uuid NOT NULL REFERENCES lpu,
    resource_name    text NOT NULL,
    start_at         timestamptz NOT NULL,
    end_at           timestamptz NOT NULL,
    PRIMARY KEY (person_guid, speciality_code)
) WITH (fillfactor = 80);
COMMENT ON TABLE speciality_claim IS
    'The one active consultation of a person in a speciality, over all institutions. A claim that has ended may be taken over; whether it has is asked with '
    'a time given by the caller, since an index predicate cannot depend on the clock.';

CREATE TABLE mip_person (
    guid uuid PRIMARY KEY
);
COMMENT ON TABLE mip_person IS 'The master patient index (МИП), where Talon keeps it itself: the persons known.';

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

DROP TABLE mip_person_data, mip_person, speciality_claim, appointment_slot, appointment, direction, tap, mkab_policy, mkab,
    slot, resource, busy_type, client_application, setting, lpu, legal_entity;
DROP TYPE direction_type, sex, slot_restriction, resource_kind;
