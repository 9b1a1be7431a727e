-- Times are milliseconds since 1970, JSON is TEXT, digests are 32 bytes. Added to, never edited.

CREATE TABLE controller (
    id      TEXT NOT NULL,
    product TEXT NOT NULL
) STRICT;

-- One row per host that ever had a key or a permit; its documents, of which the newest counts.
CREATE TABLE hosts (
    id              TEXT    PRIMARY KEY,
    key_id          TEXT    UNIQUE,
    key             TEXT,
    sequence        INTEGER NOT NULL,
    document        BLOB,
    heard           INTEGER,
    resumed_at      INTEGER,
    boot_id         TEXT    NOT NULL,
    boot_ms         INTEGER NOT NULL,
    permit_named    INTEGER NOT NULL,
    stop_named      TEXT,
    clone_suspected INTEGER NOT NULL,
    skewed_wall     INTEGER,
    cover           TEXT,
    state           BLOB,
    unshown         INTEGER NOT NULL,
    permit          TEXT,
    issue_until     INTEGER,
    acknowledged    INTEGER NOT NULL
) STRICT;

-- The newest full evidence of each host, as it was signed.
CREATE TABLE evidence (
    host     TEXT    PRIMARY KEY,
    received INTEGER NOT NULL,
    envelope TEXT    NOT NULL
) STRICT;

-- Every state that was ever shown, once.
CREATE TABLE states (
    digest BLOB    PRIMARY KEY,
    first  INTEGER NOT NULL,
    body   TEXT    NOT NULL
) STRICT;

CREATE TABLE file_lists (
    digest BLOB    PRIMARY KEY,
    stored INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

CREATE TABLE sites (
    code     TEXT    PRIMARY KEY,
    standing TEXT    NOT NULL,
    since    INTEGER NOT NULL
) STRICT;

-- SHA-256 of one-time tokens; who reads this table cannot enrol.
CREATE TABLE tokens (
    hash     BLOB    PRIMARY KEY,
    host     TEXT    NOT NULL,
    replaces INTEGER NOT NULL,
    made     INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    used     INTEGER
) STRICT;

CREATE TABLE operators (
    hash BLOB    PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE,
    role TEXT    NOT NULL,
    made INTEGER NOT NULL
) STRICT;

CREATE TABLE stops (
    number   INTEGER PRIMARY KEY,
    digest   BLOB    NOT NULL UNIQUE,
    envelope TEXT    NOT NULL
) STRICT;

CREATE TABLE acknowledgements (
    stop     INTEGER NOT NULL,
    host     TEXT    NOT NULL,
    received INTEGER NOT NULL,
    envelope TEXT    NOT NULL,
    PRIMARY KEY (stop, host)
) STRICT, WITHOUT ROWID;

CREATE TABLE publishes (
    id       INTEGER PRIMARY KEY,
    time     INTEGER NOT NULL,
    operator TEXT    NOT NULL,
    baseline BLOB    NOT NULL,
    version  TEXT    NOT NULL,
    versions TEXT    NOT NULL
) STRICT;

CREATE TABLE events (
    id   INTEGER PRIMARY KEY,
    body TEXT    NOT NULL
) STRICT;

-- Written by the health check: a row that can be changed shows that others can.
CREATE TABLE health (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
