-- When a message for a schedule was last rejected, and the settings for booked cells and for schedules that nobody confirms.

-- +goose NO TRANSACTION
-- +goose Up

-- The statements can be repeated.
ALTER TABLE schedule_source ADD COLUMN IF NOT EXISTS last_error_at timestamptz;
ALTER TABLE schedule_source ADD COLUMN IF NOT EXISTS last_error_rule varchar(100);
COMMENT ON COLUMN schedule_source.last_error_at IS 'When a message for the schedule was last rejected; null: never. It may miss rejections.';
COMMENT ON COLUMN schedule_source.last_error_rule IS 'The rule that rejected it.';
COMMENT ON COLUMN schedule_source.version IS 'The highest version of a message that was applied; 0: only absences.';

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

-- +goose Down

DELETE FROM setting WHERE code IN ('OnBooked', 'ScheduleFreshHours');
ALTER TABLE setting DROP CONSTRAINT IF EXISTS setting_owner;
ALTER TABLE setting
    ADD CONSTRAINT setting_owner CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN lpu_guid IS NULL AND client_guid IS NULL
        WHEN '2dr_RecordWithoutMkab' THEN lpu_guid IS NOT NULL
        WHEN 'PolyclinicCode' THEN lpu_guid IS NOT NULL
        WHEN 'DeleteOldTime' THEN client_guid IS NULL
        WHEN 'scheduleDays' THEN true
        WHEN 'DirectionExpires' THEN client_guid IS NULL
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
        ELSE false
    END) NOT VALID;
ALTER TABLE setting VALIDATE CONSTRAINT setting_value;

COMMENT ON COLUMN schedule_source.version IS 'The highest version of a message that was applied.';
ALTER TABLE schedule_source DROP COLUMN IF EXISTS last_error_rule;
ALTER TABLE schedule_source DROP COLUMN IF EXISTS last_error_at;
