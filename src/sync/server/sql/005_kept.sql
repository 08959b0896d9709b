-- Where the log stood when everything of the upload was decided: a device keeps it until the mirror has that.
ALTER TABLE sync.upload ADD COLUMN decided_lsn pg_lsn;
-- A device whose database was copied, or taken back to an earlier state, goes on as one of its own: whose it was, and the hash of the call that showed it.
ALTER TABLE sync.device ADD COLUMN split_from bigint REFERENCES sync.device;
ALTER TABLE sync.device ADD COLUMN split_hash text;
CREATE UNIQUE INDEX device_split ON sync.device (split_from, split_hash);
