-- Stops that were handed in: of other controllers, or this one's own from before its database was set back. A number
-- may stand twice; the digest is the stop's identity. They carry this controller's signature beside the first one.
CREATE TABLE taken_stops (
    digest   BLOB    PRIMARY KEY,
    number   INTEGER NOT NULL,
    own      INTEGER NOT NULL,
    envelope TEXT    NOT NULL,
    taken    INTEGER NOT NULL,
    origin   TEXT    NOT NULL
) STRICT;

-- By the stop's digest, where they were by its number.
CREATE TABLE stop_acknowledgements (
    stop     BLOB    NOT NULL,
    host     TEXT    NOT NULL,
    received INTEGER NOT NULL,
    envelope TEXT    NOT NULL,
    PRIMARY KEY (stop, host)
) STRICT, WITHOUT ROWID;
INSERT INTO stop_acknowledgements (stop, host, received, envelope)
    SELECT s.digest, a.host, a.received, a.envelope FROM acknowledgements a JOIN stops s ON s.number = a.stop;
DROP TABLE acknowledgements;

-- The version of the host's newest document, which says what permits it takes.
ALTER TABLE hosts ADD COLUMN document_version INTEGER NOT NULL DEFAULT 1;
