-- The highest number that a permit of an earlier key of the host had: the permit itself does not count any more.
ALTER TABLE hosts ADD COLUMN permit_floor INTEGER NOT NULL DEFAULT 0;
