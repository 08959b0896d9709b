-- Files of subscriptions: what lies in the folders of [sync.folders], as it was when it was last looked at. docs/formats/sync-tables.md.
CREATE TABLE sync.folder (
  name text PRIMARY KEY,
  version bigint NOT NULL DEFAULT 0,        -- of the file that changed last
  known_since bigint NOT NULL DEFAULT 0     -- what went up to this version is forgotten
);

CREATE TABLE sync.file (
  folder text NOT NULL REFERENCES sync.folder,
  path text NOT NULL,                       -- below the folder
  version bigint NOT NULL,                  -- grows within the folder with each file that comes, changes or goes
  bytes bigint NOT NULL,
  modified_ns bigint NOT NULL,
  changed_ns bigint NOT NULL,               -- of the inode, on this machine: another one means another look
  hash text NOT NULL,                       -- BLAKE2b-256 of the content, hex
  gone timestamptz,
  PRIMARY KEY (folder, path)
);
CREATE UNIQUE INDEX file_version ON sync.file (folder, version);
CREATE INDEX file_hash ON sync.file (folder, hash) WHERE gone IS NULL;

-- What devices have brought.
CREATE TABLE sync.file_taken (
  device bigint NOT NULL,
  subscription text NOT NULL,
  path text NOT NULL,                       -- as the device called it
  hash text NOT NULL,
  stored text NOT NULL,                     -- as it is called below the subscription's folder
  bytes bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (device, subscription, path, hash)
);
