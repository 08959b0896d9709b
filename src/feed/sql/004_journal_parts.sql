-- The journal in parts that are dropped as wholes: a deletion of millions of rows costs as much log as they did.
CREATE TABLE feed.journal_part (
  from_csn bigint PRIMARY KEY,
  to_csn bigint NOT NULL
);

ALTER TABLE feed.change RENAME TO change_0;
ALTER TABLE feed.transaction RENAME TO transaction_0;
ALTER INDEX feed.change_pkey RENAME TO change_0_pkey;
ALTER INDEX feed.transaction_pkey RENAME TO transaction_0_pkey;
CREATE TABLE feed.change (LIKE feed.change_0 INCLUDING DEFAULTS, PRIMARY KEY (csn)) PARTITION BY RANGE (csn);
CREATE TABLE feed.transaction (LIKE feed.transaction_0 INCLUDING DEFAULTS, PRIMARY KEY (last_csn)) PARTITION BY RANGE (last_csn);

DO $$
DECLARE upto bigint := coalesce((SELECT max(csn) FROM feed.position), 0) + 1;
BEGIN
  EXECUTE format('ALTER TABLE feed.change ATTACH PARTITION feed.change_0 FOR VALUES FROM (MINVALUE) TO (%s)', upto);
  EXECUTE format('ALTER TABLE feed.transaction ATTACH PARTITION feed.transaction_0 FOR VALUES FROM (MINVALUE) TO (%s)', upto);
  INSERT INTO feed.journal_part VALUES (0, upto);
END $$;
