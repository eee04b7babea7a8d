-- Visits, the specialities that they claim, and holds.

-- +goose Up

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
    end_at             timestamptz NOT NULL,
    out_of_schedule    boolean NOT NULL,
    is_cito            boolean NOT NULL,
    comment            text NOT NULL,
    created_at         timestamptz NOT NULL,
    cancelled_at       timestamptz,
    updated_at         timestamptz NOT NULL,
    cancel_reason_code integer,
    cancel_reason      text,
    slot_guids         uuid[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (lpu_guid, guid),
    CONSTRAINT appointment_period CHECK (end_at >= start_at),
    CONSTRAINT appointment_slots CHECK (out_of_schedule = (cardinality(slot_guids) = 0)),
    CONSTRAINT appointment_direction FOREIGN KEY (lpu_guid, direction_guid) REFERENCES direction,
    CONSTRAINT appointment_resource FOREIGN KEY (lpu_guid, resource_guid) REFERENCES resource
);
CREATE UNIQUE INDEX appointment_one_active ON appointment (lpu_guid, direction_guid) WHERE cancelled_at IS NULL;
COMMENT ON TABLE appointment IS 'A visit booked by referral (запись на прием по направлению); active while cancelled_at is null.';
COMMENT ON COLUMN appointment.direction_lpu_guid IS 'The institution that holds the original of the referral.';
COMMENT ON COLUMN appointment.slot_guids IS
    'The cells of the visit in order of time: one, Difficulty adjacent ones (сложная ячейка), or none (вне расписания, out of schedule). A cancelled visit keeps '
    'them. They are no references: a cell that is over may be deleted.';
COMMENT ON COLUMN appointment.updated_at IS 'When it was last booked, moved or cancelled.';
COMMENT ON COLUMN appointment.cancel_reason_code IS 'Why it was cancelled (ReasonCode), as the client gave it.';
COMMENT ON COLUMN appointment.cancel_reason IS 'Why it was cancelled in words (Reason); kept where the code is 6.';

CREATE TABLE person_appointment (
    person_guid uuid NOT NULL,
    guid        uuid NOT NULL,
    PRIMARY KEY (person_guid, guid)
);
COMMENT ON TABLE person_appointment IS 'The visits of a person, cancelled or not, in all institutions. Written with the visit.';

CREATE TABLE speciality_claim (
    person_guid      uuid NOT NULL,
    speciality_code  varchar(100) NOT NULL,
    appointment_guid uuid NOT NULL,
    lpu_guid         uuid NOT NULL,
    resource_name    varchar(300) NOT NULL,
    start_at         timestamptz NOT NULL,
    end_at           timestamptz NOT NULL,
    PRIMARY KEY (person_guid, speciality_code)
) WITH (fillfactor = 80);
COMMENT ON TABLE speciality_claim IS
    'The active consultation of a person in a speciality, over all institutions: the only one, or where the setting allows several the one that ends last. A claim that has ended may be taken over; statements compare its end with '
    'a time given by the caller, since an index predicate cannot depend on the clock.';

CREATE TABLE hold (
    person_guid    uuid NOT NULL,
    place          smallint NOT NULL CHECK (place IN (1, 2)),
    guid           uuid NOT NULL,
    lpu_guid       uuid NOT NULL,
    slot_guids     uuid[] NOT NULL CHECK (cardinality(slot_guids) > 0),
    direction_guid uuid NOT NULL,
    start_at       timestamptz NOT NULL,
    end_at         timestamptz NOT NULL,
    until          timestamptz NOT NULL,
    PRIMARY KEY (person_guid, place)
) WITH (fillfactor = 80);
COMMENT ON TABLE hold IS
    'Cells held for a patient (удержание), over all institutions. Promise: at most two a person, one in each place. It is in force until its time, which '
    'statements compare with a time given by the caller; an expired hold leaves its place to the next.';
COMMENT ON COLUMN hold.slot_guids IS 'The cells in order of time; each has this hold in slot.holds.';

-- +goose Down

DROP TABLE hold, speciality_claim, person_appointment, appointment;
