-- Settings of client applications, too; how far ahead visits may be booked, and whether a referral expires. Whose a setting may be is kept here: one that
-- nobody would read is refused instead of ignored.

-- +goose Up

-- What has been ignored so far.
DELETE FROM setting
WHERE CASE
    WHEN owner_guid = '00000000-0000-0000-0000-000000000000' THEN code NOT IN ('OneActiveAppointmentPerSpeciality', 'DeleteOldTime')
    ELSE code = 'OneActiveAppointmentPerSpeciality' OR owner_guid NOT IN (SELECT guid FROM lpu)
END;

ALTER TABLE setting
    ADD COLUMN of_client boolean NOT NULL DEFAULT false,
    ADD COLUMN lpu_guid uuid GENERATED ALWAYS AS
        (CASE WHEN NOT of_client AND owner_guid <> '00000000-0000-0000-0000-000000000000' THEN owner_guid END) STORED
        CONSTRAINT setting_lpu REFERENCES lpu,
    ADD COLUMN client_guid uuid GENERATED ALWAYS AS (CASE WHEN of_client THEN owner_guid END) STORED
        CONSTRAINT setting_client REFERENCES client_application,
    ADD CONSTRAINT setting_owner CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN lpu_guid IS NULL AND client_guid IS NULL
        WHEN '2dr_RecordWithoutMkab' THEN lpu_guid IS NOT NULL
        WHEN 'PolyclinicCode' THEN lpu_guid IS NOT NULL
        WHEN 'DeleteOldTime' THEN client_guid IS NULL
        WHEN 'scheduleDays' THEN true
        WHEN 'DirectionExpires' THEN client_guid IS NULL
    END),
    DROP CONSTRAINT setting_value,
    ADD CONSTRAINT setting_value CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
        WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
        WHEN 'PolyclinicCode' THEN true
        WHEN 'DeleteOldTime' THEN value IN ('true', 'false')
        WHEN 'scheduleDays' THEN value ~ '^(0|[1-9][0-9]{0,2})$'
        WHEN 'DirectionExpires' THEN value IN ('true', 'false')
        ELSE false
    END);
COMMENT ON TABLE setting IS 'Settings of the region (owner: the zero guid), of an institution and of a client application (owner: its guid). What they mean: docs/settings.md.';
COMMENT ON COLUMN setting.code IS NULL;
COMMENT ON COLUMN setting.of_client IS 'The owner is a client application, not an institution.';
COMMENT ON COLUMN setting.lpu_guid IS 'The owner, where it is an institution.';
COMMENT ON COLUMN setting.client_guid IS 'The owner, where it is a client application.';

-- +goose Down

DELETE FROM setting WHERE code IN ('scheduleDays', 'DirectionExpires');
ALTER TABLE setting
    DROP CONSTRAINT setting_owner,
    DROP COLUMN client_guid,
    DROP COLUMN lpu_guid,
    DROP COLUMN of_client,
    DROP CONSTRAINT setting_value,
    ADD CONSTRAINT setting_value CHECK (CASE code
        WHEN 'OneActiveAppointmentPerSpeciality' THEN value IN ('true', 'false')
        WHEN '2dr_RecordWithoutMkab' THEN value IN ('true', 'false')
        WHEN 'PolyclinicCode' THEN true
        WHEN 'DeleteOldTime' THEN value IN ('true', 'false')
        ELSE false
    END);
COMMENT ON TABLE setting IS 'Settings of the region (owner: the zero guid) and of an institution (owner: its guid).';
COMMENT ON COLUMN setting.code IS
    'OneActiveAppointmentPerSpeciality: region; at most one active appointment a person and speciality; default true. '
    '2dr_RecordWithoutMkab: institution; a missing medical card is made from MIP when booking; default false. '
    'PolyclinicCode (Код поликлиники): institution; its own code in the list of institutions, under which cards are made. '
    'DeleteOldTime: institution, else region; an appointment may be cancelled or moved also after its visit has begun; default false.';
