-- What devices may have and change, and who they are. docs/formats/sync-rules.md, docs/formats/sync-tables.md.
CREATE SCHEMA IF NOT EXISTS sync;

-- The rules in force, as a file has them; one row. The tables below say the same for SQL, written together with it.
CREATE TABLE sync.rules (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version bigint NOT NULL,                  -- grows with every change
  toml text NOT NULL,
  applied timestamptz
);
INSERT INTO sync.rules (version, toml) VALUES (0, '');

CREATE TABLE sync.subscription (
  name text PRIMARY KEY,
  version bigint NOT NULL,                  -- sync.rules.version of when its rows or columns were last others
  kind text NOT NULL,
  direction text NOT NULL,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  columns text[] NOT NULL,                  -- empty: all
  filter text NOT NULL,
  rights text[] NOT NULL,
  definition jsonb NOT NULL                 -- all of it
);

CREATE TABLE sync.subscription_set (
  name text PRIMARY KEY,
  subscriptions text[] NOT NULL
);

CREATE TABLE sync.user_group (
  name text PRIMARY KEY,
  sets text[] NOT NULL,
  parameters jsonb NOT NULL
);

CREATE TABLE sync.member (
  user_name text PRIMARY KEY,
  group_name text NOT NULL,
  parameters jsonb NOT NULL,
  disabled boolean NOT NULL
);
CREATE INDEX member_group ON sync.member (group_name);

CREATE TABLE sync.device (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  user_name text NOT NULL,                  -- no reference: a user who is gone has devices that are refused
  secret_hash text NOT NULL,                -- BLAKE2b of 256 random bits, hex; empty once it is revoked
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled', 'revoked')),
  generation bigint NOT NULL DEFAULT 1,     -- grows with a reset: what the device has counts for nothing
  enrolled timestamptz NOT NULL,
  last_sync timestamptz,                    -- last call; to ten seconds
  last_address text
);
CREATE INDEX device_user ON sync.device (user_name);

-- Invitations: each good for one device, for a time.
CREATE TABLE sync.enrolment (
  code_hash text PRIMARY KEY,
  user_name text NOT NULL,
  device_name text NOT NULL,                -- empty: as the device calls itself
  made timestamptz NOT NULL,
  until timestamptz NOT NULL,
  used timestamptz,
  device bigint REFERENCES sync.device
);
