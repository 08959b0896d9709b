-- The log has told that the table was truncated, and its files have not been looked at since: other files are no surprise.
-- Written with the truncation itself, or a node killed between the two would take it for a rewrite and compare.
ALTER TABLE feed.source_table ADD COLUMN truncated boolean NOT NULL DEFAULT false;
