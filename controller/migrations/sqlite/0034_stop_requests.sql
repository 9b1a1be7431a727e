-- Which request of an operator made which stop: one that is sent again makes no second one.
CREATE TABLE stop_requests (
    operator TEXT NOT NULL,
    id       TEXT NOT NULL,
    digest   BLOB NOT NULL,
    PRIMARY KEY (operator, id)
) STRICT, WITHOUT ROWID;
