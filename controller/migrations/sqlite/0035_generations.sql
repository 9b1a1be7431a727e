-- Which of the host's keys it has. Those from before count as the first.
ALTER TABLE hosts ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
