-- The cells that were held of each resource lately, so that nobody holds a whole schedule.

-- +goose Up

CREATE TABLE IF NOT EXISTS held_cells (
    lpu_guid      uuid NOT NULL,
    resource_guid uuid NOT NULL,
    holder_guid   uuid NOT NULL,
    cells         integer NOT NULL CHECK (cells > 0),
    since         timestamptz NOT NULL,
    PRIMARY KEY (lpu_guid, resource_guid, holder_guid)
) WITH (fillfactor = 80);
COMMENT ON TABLE held_cells IS
    'How many cells of a resource were held for a patient, or through a client application, within some minutes. A hold of any patient deletes the old rows of its resource.';
COMMENT ON COLUMN held_cells.holder_guid IS 'The person, or the client application.';
COMMENT ON COLUMN held_cells.cells IS 'Cells of all holds since then, also of those that have ended.';
COMMENT ON COLUMN held_cells.since IS 'When the first of them was held; all are forgotten together.';

-- +goose Down

DROP TABLE held_cells;
