-- Events are kept by kind, so that one kind does not push another out. Numbered within their kind; of those that
-- are here before the number is the id, which grows as well.
ALTER TABLE events ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE events SET kind = json_extract(body, '$.kind'), number = id;
CREATE INDEX events_by_kind ON events (kind, number);
