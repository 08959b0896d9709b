-- What a row held before and after a change, for those who keep versions (docs/formats/journal.md, docs/adr/0005).
ALTER TABLE feed.change
  ADD COLUMN layout integer,
  ADD COLUMN changed text,
  ADD COLUMN unchanged text,
  ADD COLUMN before text,
  ADD COLUMN after text;

-- Names of the columns that images were made of. Never changed, never deleted: old images stay readable.
CREATE TABLE feed.layout (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  digest text NOT NULL,
  columns text[] NOT NULL,
  key smallint[] NOT NULL,
  UNIQUE (schema_name, table_name, digest)
);

-- Who reads the journal's images: pruning leaves what lies behind csn. since_csn: from there on images were kept for it.
CREATE TABLE feed.consumer (
  name text PRIMARY KEY,
  since_csn bigint NOT NULL,
  csn bigint NOT NULL
);

-- All histories this mid-tier has seen, in their order; the changes of each come after its after_csn.
CREATE TABLE feed.history (
  number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  history_id text NOT NULL UNIQUE,
  after_csn bigint NOT NULL,
  began timestamptz NOT NULL DEFAULT now()
);
INSERT INTO feed.history (history_id, after_csn) SELECT history_id, 0 FROM feed.position;

-- Changes up to here are deleted. Between it and floor_csn lie those of an earlier history that a consumer has not read.
ALTER TABLE feed.retained ADD COLUMN pruned_csn bigint NOT NULL DEFAULT 0;
UPDATE feed.retained SET pruned_csn = floor_csn;
