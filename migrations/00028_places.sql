-- What a patient needs to go to a visit. Empty: the institution has not brought it in.

-- +goose Up

ALTER TABLE lpu ADD COLUMN address varchar(1000) NOT NULL DEFAULT '';
ALTER TABLE lpu ADD COLUMN phone varchar(100) NOT NULL DEFAULT '';
ALTER TABLE resource ADD COLUMN room varchar(100) NOT NULL DEFAULT '';
ALTER TABLE resource ADD COLUMN preparation varchar(4000) NOT NULL DEFAULT '';

COMMENT ON COLUMN lpu.address IS 'The address (адрес) as text for patients.';
COMMENT ON COLUMN lpu.phone IS 'The phone number of the registry (телефон регистратуры).';
COMMENT ON COLUMN resource.room IS 'The room (кабинет) where visits to the resource take place.';
COMMENT ON COLUMN resource.preparation IS 'How patients prepare for a visit to the resource (подготовка к приему).';

-- +goose Down

ALTER TABLE resource DROP COLUMN preparation;
ALTER TABLE resource DROP COLUMN room;
ALTER TABLE lpu DROP COLUMN phone;
ALTER TABLE lpu DROP COLUMN address;
