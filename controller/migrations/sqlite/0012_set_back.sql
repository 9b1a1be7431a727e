-- That this database was found to be of an earlier moment than what its controller has signed, and who looked at it.
CREATE TABLE set_back (
    noticed   INTEGER NOT NULL,
    body      TEXT    NOT NULL,
    looked_at INTEGER,
    operator  TEXT,
    note      TEXT
) STRICT;
