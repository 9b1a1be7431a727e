-- Which host showed a state or a list first, how large it is, and when it was named last: what nobody names is not kept.
ALTER TABLE states ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE states ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE states ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
UPDATE states SET bytes = length(body), named = first;
CREATE INDEX states_by_host ON states (host, named, bytes);
ALTER TABLE file_lists ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE file_lists ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE file_lists ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
UPDATE file_lists SET bytes = length(body), named = stored;
CREATE INDEX file_lists_by_host ON file_lists (host, named, bytes);
