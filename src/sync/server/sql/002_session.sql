-- The way of a sync, D2 to D10: every queue and table can be looked at. docs/formats/sync-tables.md says what each column means.

-- What arrived, as it arrived (D2): blocks of uploads.
CREATE TABLE sync.input (
  device bigint NOT NULL,
  upload bigint NOT NULL,
  block integer NOT NULL,
  received timestamptz NOT NULL DEFAULT now(),
  content bytea NOT NULL,
  PRIMARY KEY (device, upload, block)
);
ALTER TABLE sync.input ALTER COLUMN content SET STORAGE EXTERNAL;

-- Rows of uploads on their way to the check (D4). Unlogged: nothing is acknowledged from here.
CREATE UNLOGGED TABLE sync.staging (
  device bigint NOT NULL,
  upload bigint NOT NULL,
  row integer NOT NULL,
  subscription text NOT NULL,
  op "char" NOT NULL,
  base bigint NOT NULL,
  key text NOT NULL,
  changed text,
  after text,
  before text,
  columns text NOT NULL,
  reason text,
  PRIMARY KEY (device, upload, row)
);

-- Uploads that were taken: once, whatever the device sends again.
CREATE TABLE sync.upload (
  device bigint NOT NULL,
  upload bigint NOT NULL,
  hash text NOT NULL,
  taken timestamptz NOT NULL DEFAULT now(),
  rows integer NOT NULL,
  PRIMARY KEY (device, upload)
);

-- One transaction on the source that applies changes; the source's log carries 4611686018427387904 + id as its author.
CREATE TABLE sync.apply (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device bigint NOT NULL,
  began timestamptz NOT NULL DEFAULT now(),
  after_csn bigint NOT NULL
);

-- Change data (D5): what devices have changed, until it is in the source and after.
CREATE TABLE sync.change (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device bigint NOT NULL,
  upload bigint NOT NULL,
  row integer NOT NULL,
  subscription text NOT NULL,
  table_id integer NOT NULL,
  op "char" NOT NULL,
  base bigint NOT NULL,
  key text NOT NULL,
  columns text[] NOT NULL,
  changed integer[],
  after text[],
  before text[],
  state text NOT NULL CHECK (state IN ('accepted', 'applying', 'applied', 'rejected', 'dismissed')),
  waits_for text,
  apply_id bigint REFERENCES sync.apply,
  applied_csn bigint,
  as_sent boolean,
  reason text,
  message text,
  theirs text[],
  told_sync bigint,
  decided timestamptz,
  UNIQUE (device, upload, row)
);
CREATE INDEX change_undecided ON sync.change (table_id, key) WHERE state IN ('accepted', 'applying');
CREATE INDEX change_of_device ON sync.change (device, id);
CREATE INDEX change_applied ON sync.change (device, table_id, key, applied_csn) WHERE state = 'applied';

CREATE VIEW sync.reject AS
  SELECT id, device, upload, row, subscription, op, key, columns, after AS mine, theirs, reason, message, decided, told_sync IS NOT NULL AS told
    FROM sync.change WHERE state = 'rejected';

-- Syncs of devices, with the answer that was given.
CREATE TABLE sync.session (
  device bigint NOT NULL,
  number bigint NOT NULL,
  began timestamptz NOT NULL DEFAULT now(),
  request_hash text NOT NULL,
  history text NOT NULL,
  csn bigint NOT NULL,
  reply text NOT NULL,
  buckets text NOT NULL,
  acknowledged timestamptz,
  PRIMARY KEY (device, number)
);

-- Replies (D6), until the device acknowledges them.
CREATE TABLE sync.output (
  device bigint NOT NULL,
  number bigint NOT NULL,
  subscription text NOT NULL,
  block integer NOT NULL,
  rows integer NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (device, number, subscription, block)
);
ALTER TABLE sync.output ALTER COLUMN content SET STORAGE EXTERNAL;

-- Up to where a device has a subscription (D7, D9); which version of a row it has follows from here.
CREATE TABLE sync.held (
  device bigint NOT NULL,
  subscription text NOT NULL,
  csn bigint NOT NULL,
  history text NOT NULL,
  shape text NOT NULL,
  bucket text[] NOT NULL,
  acknowledged timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (device, subscription)
);

-- Rows that have left a bucket, by their own change: written by triggers on the shadow tables, in the feed's transaction (docs/adr/0033).
CREATE TABLE sync.departed (
  subscription text NOT NULL,
  bucket text[] NOT NULL,
  key text NOT NULL,
  csn bigint NOT NULL,
  PRIMARY KEY (subscription, bucket, key)
);
CREATE INDEX departed_since ON sync.departed (subscription, bucket, csn);

-- Departures of a subscription are known from since_csn on.
CREATE TABLE sync.watch (
  subscription text PRIMARY KEY,
  version bigint NOT NULL,
  table_id integer NOT NULL,
  definition text NOT NULL,
  since_csn bigint NOT NULL,
  broken text
);
