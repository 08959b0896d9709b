-- The versions database ("Versionsdatenbank"). Its own position in the feed, one row: what is read again after a crash
-- is recognised by it, since it commits together with the versions.
CREATE SCHEMA history;

CREATE TABLE history.position (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    history_id text   NOT NULL DEFAULT '',
    csn        bigint NOT NULL DEFAULT 0
);
INSERT INTO history.position DEFAULT VALUES;
