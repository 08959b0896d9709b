-- With memberships rows come into a bucket, too, without a change of their own (docs/adr/0035).
ALTER TABLE sync.departed RENAME TO moved;
ALTER INDEX sync.departed_pkey RENAME TO moved_pkey;
ALTER INDEX sync.departed_since RENAME TO moved_since;
ALTER TABLE sync.moved ADD COLUMN at timestamptz NOT NULL DEFAULT now();
