-- Of which version of evidence a state is; those that are here before are of version 1.
ALTER TABLE states ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
