-- The search for free cells of a speciality looks up its resources instead of reading all of the institution's.

-- +goose Up

CREATE INDEX resource_by_speciality ON resource (lpu_guid, speciality_code);

-- +goose Down

DROP INDEX resource_by_speciality;
