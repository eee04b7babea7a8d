-- What comes before and after the booking: a patient's referrals and appointments over all institutions, cancelled ones among them.

-- +goose Up

ALTER TABLE direction
    ADD COLUMN cancelled_at         timestamptz,
    ADD COLUMN appointment_lpu_guid uuid,
    ADD COLUMN appointment_start_at timestamptz,
    ADD COLUMN appointment_end_at   timestamptz;
COMMENT ON COLUMN direction.cancelled_at IS 'When the institution withdrew the referral; nothing can be booked by it from then on.';
COMMENT ON COLUMN direction.appointment_lpu_guid IS 'Beside appointment_guid: where the appointment is.';
COMMENT ON COLUMN direction.appointment_start_at IS 'Beside appointment_guid: when the visit begins.';
COMMENT ON COLUMN direction.appointment_end_at IS 'Beside appointment_guid: when the visit ends; a referral is completed from then on.';
UPDATE direction d
SET appointment_lpu_guid = a.lpu_guid, appointment_start_at = a.start_at, appointment_end_at = a.end_at
FROM appointment a
WHERE a.guid = d.appointment_guid;

ALTER TABLE appointment
    ADD COLUMN updated_at         timestamptz NOT NULL DEFAULT now(), -- the default is for instances of the release before, while both run
    ADD COLUMN cancel_reason_code integer,
    ADD COLUMN cancel_reason      text;
UPDATE appointment SET updated_at = coalesce(cancelled_at, created_at);
COMMENT ON COLUMN appointment.updated_at IS 'When it was booked, moved or cancelled last.';
COMMENT ON COLUMN appointment.cancel_reason_code IS 'Why it was cancelled (ReasonCode), as the client gave it.';
COMMENT ON COLUMN appointment.cancel_reason IS 'Why it was cancelled in words (Reason); kept where the code is 6.';

-- A patient's own rows over all institutions.
CREATE INDEX mkab_of_person ON mkab (person_guid);
CREATE INDEX direction_of_mkab ON direction (lpu_guid, mkab_guid) WHERE copied_from_lpu_guid IS NULL;
CREATE INDEX appointment_of_person ON appointment (person_guid, start_at);

-- +goose Down

DROP INDEX appointment_of_person, direction_of_mkab, mkab_of_person;
ALTER TABLE appointment DROP COLUMN cancel_reason, DROP COLUMN cancel_reason_code, DROP COLUMN updated_at;
ALTER TABLE direction
    DROP COLUMN appointment_end_at, DROP COLUMN appointment_start_at, DROP COLUMN appointment_lpu_guid, DROP COLUMN cancelled_at;
