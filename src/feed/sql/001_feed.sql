-- The feed's tables in the mid-tier database; docs/formats/journal.md says what each column means.
CREATE SCHEMA IF NOT EXISTS feed;

CREATE TABLE feed.position (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  system_id text NOT NULL,
  timeline bigint NOT NULL,
  slot text NOT NULL,
  lsn pg_lsn NOT NULL,
  history_id text NOT NULL,
  csn bigint NOT NULL
);

-- Cursors before this csn are too old: the journal from there on is whole.
CREATE TABLE feed.retained (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  floor_csn bigint NOT NULL
);
INSERT INTO feed.retained (floor_csn) VALUES (0);

CREATE TABLE feed.source_table (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  shadow text NOT NULL UNIQUE,
  layout text NOT NULL,
  since pg_lsn NOT NULL,
  UNIQUE (schema_name, table_name)
);

CREATE TABLE feed.transaction (
  last_csn bigint PRIMARY KEY,
  first_csn bigint NOT NULL,
  xid bigint NOT NULL,
  commit_lsn pg_lsn NOT NULL,
  commit_time timestamptz NOT NULL,
  by_session bigint NOT NULL,
  event text NOT NULL
);

CREATE TABLE feed.change (
  csn bigint PRIMARY KEY,
  op "char" NOT NULL,
  table_id integer NOT NULL,
  key text NOT NULL,
  was_key text,
  records text[] NOT NULL
);
