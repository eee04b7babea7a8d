-- Cancelling and moving: the setting that allows both after the visit has begun.

-- +goose Up

ALTER TABLE setting DROP CONSTRAINT setting_value;
ALTER TABLE setting ADD CONSTRAINT setting_value CHECK (CASE code
    WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
    WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
    WHEN 'PolyclinicCode' THEN true
    WHEN 'DeleteOldTime' THEN value IN ('true', 'false')
    ELSE false
END);
COMMENT ON COLUMN setting.code IS
    'OneActiveAppointmentPerSpeciality: region; at most one active appointment a person and speciality; default true. '
    '2dr_RecordWithoutMkab: institution; a missing medical card is made from MIP when booking; default false. '
    'PolyclinicCode (Код поликлиники): institution; its own code in the list of institutions, under which cards are made. '
    'DeleteOldTime: institution, else region; an appointment may be cancelled or moved also after its visit has begun; default false.';

-- +goose Down

DELETE FROM setting WHERE code = 'DeleteOldTime';
ALTER TABLE setting DROP CONSTRAINT setting_value;
ALTER TABLE setting ADD CONSTRAINT setting_value CHECK (CASE code
    WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
    WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
    WHEN 'PolyclinicCode' THEN true
    ELSE false
END);
COMMENT ON COLUMN setting.code IS
    'OneActiveAppointmentPerSpeciality: region; at most one active appointment a person and speciality; default true. '
    '2dr_RecordWithoutMkab: institution; a missing medical card is made from MIP when booking; default false. '
    'PolyclinicCode (Код поликлиники): institution; its own code in the list of institutions, under which cards are made.';
