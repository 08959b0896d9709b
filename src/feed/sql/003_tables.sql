-- What the feed knows of each captured table beyond its columns, and what it could not go on from.
ALTER TABLE feed.source_table
  ADD COLUMN relation bigint NOT NULL DEFAULT 0,
  ADD COLUMN files text NOT NULL DEFAULT '',
  ADD COLUMN paused text,
  ADD COLUMN paused_at timestamptz,
  ADD COLUMN retried boolean NOT NULL DEFAULT false;
-- Two tables may have changed their names with each other.
ALTER TABLE feed.source_table
  DROP CONSTRAINT source_table_schema_name_table_name_key,
  ADD UNIQUE (schema_name, table_name) DEFERRABLE INITIALLY DEFERRED;

-- Why the log could not be gone on from here, while differences are being looked for; NULL: it can.
ALTER TABLE feed.position
  ADD COLUMN lost text,
  ADD COLUMN forks boolean NOT NULL DEFAULT false;
