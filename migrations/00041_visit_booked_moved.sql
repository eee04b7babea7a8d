-- Who has booked a visit, and who has last moved it, and why.

-- +goose NO TRANSACTION
-- +goose Up

-- The statements can be repeated. The release before books and moves without these columns.
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS booked_by varchar(20) NOT NULL DEFAULT 'patient';
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS booked_client_guid uuid;
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS moved_at timestamptz;
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS moved_by varchar(20);
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS move_cause varchar(40);
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS move_reason varchar(1000);
COMMENT ON COLUMN appointment.booked_by IS 'Who has booked the visit: patient or institution.';
COMMENT ON COLUMN appointment.booked_client_guid IS
    'The client application that has booked the visit. Null if an earlier release has booked or moved it: then client_guid.';
COMMENT ON COLUMN appointment.moved_at IS 'When the visit was last moved; null: never, or by an earlier release.';
COMMENT ON COLUMN appointment.moved_by IS 'Who has last moved the visit: patient or institution. Its client application is client_guid.';
COMMENT ON COLUMN appointment.move_cause IS 'Why the institution has moved the visit; null if the patient has.';
COMMENT ON COLUMN appointment.move_reason IS 'What the institution tells the patient about its move; null: nothing.';

ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_booked_by;
ALTER TABLE appointment ADD CONSTRAINT appointment_booked_by CHECK (booked_by IN ('patient', 'institution')) NOT VALID;
ALTER TABLE appointment VALIDATE CONSTRAINT appointment_booked_by;

ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_move;
ALTER TABLE appointment
    ADD CONSTRAINT appointment_move CHECK (CASE
        WHEN moved_by IS NULL THEN moved_at IS NULL AND move_cause IS NULL AND move_reason IS NULL
        WHEN moved_by = 'patient' THEN moved_at IS NOT NULL AND move_cause IS NULL AND move_reason IS NULL
        ELSE moved_by = 'institution' AND moved_at IS NOT NULL AND move_cause IS NOT NULL
            AND move_cause IN ('doctor_absent', 'equipment_failed', 'schedule_changed', 'patient_request', 'other')
            AND (move_cause <> 'other' OR move_reason IS NOT NULL)
    END) NOT VALID;
ALTER TABLE appointment VALIDATE CONSTRAINT appointment_move;

-- +goose Down

ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_move;
ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_booked_by;
ALTER TABLE appointment DROP COLUMN IF EXISTS move_reason;
ALTER TABLE appointment DROP COLUMN IF EXISTS move_cause;
ALTER TABLE appointment DROP COLUMN IF EXISTS moved_by;
ALTER TABLE appointment DROP COLUMN IF EXISTS moved_at;
ALTER TABLE appointment DROP COLUMN IF EXISTS booked_client_guid;
ALTER TABLE appointment DROP COLUMN IF EXISTS booked_by;
