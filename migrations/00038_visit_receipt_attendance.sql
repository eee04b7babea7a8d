-- What the institution says about a visit: whether it is in its books, and what became of it. The settings for both.

-- +goose NO TRANSACTION
-- +goose Up

-- The statements can be repeated.
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS receipt_status varchar(20);
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS receipt_version bigint;
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS receipt_reason varchar(1000) NOT NULL DEFAULT '';
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS receipt_number varchar(100) NOT NULL DEFAULT '';
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS receipt_at timestamptz;
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS attendance varchar(20) NOT NULL DEFAULT 'none';
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS attendance_at timestamptz;
ALTER TABLE appointment ADD COLUMN IF NOT EXISTS attendance_since timestamptz;
COMMENT ON COLUMN appointment.updated_at IS 'When it was last booked, moved or cancelled, or its attendance was last changed.';
COMMENT ON COLUMN appointment.receipt_status IS
    'The receipt (квитанция) of the institution''s system: accepted or rejected; null: none. A move removes it, because it inserts the visit again.';
COMMENT ON COLUMN appointment.receipt_version IS 'The version of the visit that the receipt confirms.';
COMMENT ON COLUMN appointment.receipt_reason IS 'Why the visit was rejected.';
COMMENT ON COLUMN appointment.receipt_number IS 'The number of the visit in the institution''s books; empty: not given.';
COMMENT ON COLUMN appointment.attendance IS
    'What became of the visit (явка), as the institution says: none (nothing said), arrived, fulfilled, no_show. A no-show holds neither its speciality nor, by a setting, its referral.';
COMMENT ON COLUMN appointment.attendance_at IS 'When the attendance was set to its value.';
COMMENT ON COLUMN appointment.attendance_since IS 'When the attendance was first set, since it was last none. It can be corrected for a day.';

ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_receipt;
ALTER TABLE appointment
    ADD CONSTRAINT appointment_receipt CHECK (CASE
        WHEN receipt_status IS NULL THEN receipt_version IS NULL AND receipt_at IS NULL
        ELSE receipt_status IN ('accepted', 'rejected') AND receipt_version IS NOT NULL AND receipt_at IS NOT NULL
    END) NOT VALID;
ALTER TABLE appointment VALIDATE CONSTRAINT appointment_receipt;

ALTER TABLE appointment DROP CONSTRAINT IF EXISTS appointment_attendance;
ALTER TABLE appointment
    ADD CONSTRAINT appointment_attendance CHECK (CASE attendance
        WHEN 'none' THEN attendance_at IS NULL AND attendance_since IS NULL
        ELSE attendance IN ('arrived', 'fulfilled', 'no_show') AND attendance_at IS NOT NULL AND attendance_since IS NOT NULL AND cancelled_at IS NULL
    END) NOT VALID;
ALTER TABLE appointment VALIDATE CONSTRAINT appointment_attendance;

ALTER TABLE direction ADD COLUMN IF NOT EXISTS completed_by_guid uuid;
COMMENT ON COLUMN direction.completed_by_guid IS
    'The visit that has completed the referral before its end, because the institution says that it took place. It counts only while it is the active appointment.';

CREATE OR REPLACE FUNCTION appointment_status(cancelled_at timestamptz, end_at timestamptz, attendance text, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN cancelled_at IS NOT NULL THEN 'Cancelled'
        WHEN end_at <= at OR attendance IN ('fulfilled', 'no_show') THEN 'Completed'
        ELSE 'Booked'
    END
$$;

ALTER TABLE setting DROP CONSTRAINT IF EXISTS setting_owner;
ALTER TABLE setting
    ADD CONSTRAINT setting_owner CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN lpu_guid IS NULL AND client_guid IS NULL
        WHEN '2dr_RecordWithoutMkab' THEN lpu_guid IS NOT NULL
        WHEN 'PolyclinicCode' THEN lpu_guid IS NOT NULL
        WHEN 'DeleteOldTime' THEN client_guid IS NULL
        WHEN 'scheduleDays' THEN true
        WHEN 'DirectionExpires' THEN client_guid IS NULL
        WHEN 'OnBooked' THEN client_guid IS NULL
        WHEN 'ScheduleFreshHours' THEN client_guid IS NULL
        WHEN 'ReceiptMinutes' THEN client_guid IS NULL
        WHEN 'NoShowReturnsReferral' THEN client_guid IS NULL
    END) NOT VALID;
ALTER TABLE setting VALIDATE CONSTRAINT setting_owner;

ALTER TABLE setting DROP CONSTRAINT IF EXISTS setting_value;
ALTER TABLE setting
    ADD CONSTRAINT setting_value CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
        WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
        WHEN 'PolyclinicCode' THEN true
        WHEN 'DeleteOldTime' THEN value IN ('true', 'false')
        WHEN 'scheduleDays' THEN value ~ '^(0|[1-9][0-9]{0,2})$'
        WHEN 'DirectionExpires' THEN value IN ('true', 'false')
        WHEN 'OnBooked' THEN value IN ('refuse', 'keep')
        WHEN 'ScheduleFreshHours' THEN value ~ '^(0|[1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)$'
        WHEN 'ReceiptMinutes' THEN value ~ '^(0|[1-9][0-9]{0,3})$'
        WHEN 'NoShowReturnsReferral' THEN value IN ('true', 'false')
        ELSE false
    END) NOT VALID;
ALTER TABLE setting VALIDATE CONSTRAINT setting_value;

-- +goose Down

DELETE FROM setting WHERE code IN ('ReceiptMinutes', 'NoShowReturnsReferral');
ALTER TABLE setting DROP CONSTRAINT IF EXISTS setting_owner;
ALTER TABLE setting
    ADD CONSTRAINT setting_owner CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN lpu_guid IS NULL AND client_guid IS NULL
        WHEN '2dr_RecordWithoutMkab' THEN lpu_guid IS NOT NULL
        WHEN 'PolyclinicCode' THEN lpu_guid IS NOT NULL
        WHEN 'DeleteOldTime' THEN client_guid IS NULL
        WHEN 'scheduleDays' THEN true
        WHEN 'DirectionExpires' THEN client_guid IS NULL
        WHEN 'OnBooked' THEN client_guid IS NULL
        WHEN 'ScheduleFreshHours' THEN client_guid IS NULL
    END) NOT VALID;
ALTER TABLE setting VALIDATE CONSTRAINT setting_owner;

ALTER TABLE setting DROP CONSTRAINT IF EXISTS setting_value;
ALTER TABLE setting
    ADD CONSTRAINT setting_value CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
        WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
        WHEN 'PolyclinicCode' THEN true
        WHEN 'DeleteOldTime' THEN value IN ('true', 'false')
        WHEN 'scheduleDays' THEN value ~ '^(0|[1-9][0-9]{0,2})$'
        WHEN 'DirectionExpires' THEN value IN ('true', 'false')
        WHEN 'OnBooked' THEN value IN ('refuse', 'keep')
        WHEN 'ScheduleFreshHours' THEN value ~ '^(0|[1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)$'
        ELSE false
    END) NOT VALID;
ALTER TABLE setting VALIDATE CONSTRAINT setting_value;

DROP FUNCTION IF EXISTS appointment_status(timestamptz, timestamptz, text, timestamptz);
ALTER TABLE direction DROP COLUMN IF EXISTS completed_by_guid;
COMMENT ON COLUMN appointment.updated_at IS 'When it was last booked, moved or cancelled.';
ALTER TABLE appointment DROP COLUMN IF EXISTS attendance_since;
ALTER TABLE appointment DROP COLUMN IF EXISTS attendance_at;
ALTER TABLE appointment DROP COLUMN IF EXISTS attendance;
ALTER TABLE appointment DROP COLUMN IF EXISTS receipt_at;
ALTER TABLE appointment DROP COLUMN IF EXISTS receipt_number;
ALTER TABLE appointment DROP COLUMN IF EXISTS receipt_reason;
ALTER TABLE appointment DROP COLUMN IF EXISTS receipt_version;
ALTER TABLE appointment DROP COLUMN IF EXISTS receipt_status;
