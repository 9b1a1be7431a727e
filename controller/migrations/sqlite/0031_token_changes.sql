-- Counts every change of who may come in, so that a serving controller knows by one number when to read anew.
CREATE TABLE token_changes (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO token_changes (id, number) VALUES (1, 0);

CREATE TRIGGER operators_inserted AFTER INSERT ON operators BEGIN
    UPDATE token_changes SET number = number + 1;
END;
CREATE TRIGGER operators_updated AFTER UPDATE ON operators BEGIN
    UPDATE token_changes SET number = number + 1;
END;
CREATE TRIGGER operators_deleted AFTER DELETE ON operators BEGIN
    UPDATE token_changes SET number = number + 1;
END;
-- That a one-time token was used is no news: it stays known, as used.
CREATE TRIGGER tokens_inserted AFTER INSERT ON tokens BEGIN
    UPDATE token_changes SET number = number + 1;
END;
CREATE TRIGGER tokens_deleted AFTER DELETE ON tokens BEGIN
    UPDATE token_changes SET number = number + 1;
END;
