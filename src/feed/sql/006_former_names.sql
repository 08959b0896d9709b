-- Names that a table had before, as SQL writes them: the configuration may still have one of them.
ALTER TABLE feed.source_table ADD COLUMN former text[] NOT NULL DEFAULT '{}';
