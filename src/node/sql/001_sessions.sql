-- What outlives a restart of the node: registered sessions (to resume and reclaim) and the highest id ever given.
CREATE SCHEMA node;

CREATE TABLE node.session (
    id           bigint PRIMARY KEY,
    secret_hash  text NOT NULL,
    user_name    text NOT NULL,
    role         text NOT NULL,
    may_break    boolean NOT NULL,
    workstation  text NOT NULL,
    app          text NOT NULL,
    address      text NOT NULL,
    tool         boolean NOT NULL,
    german       boolean NOT NULL,
    watch_types  text NOT NULL, -- separated by newlines
    watch_locks  boolean NOT NULL,
    watch_presence boolean NOT NULL,
    since        timestamptz NOT NULL
);

CREATE TABLE node.session_high (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id       bigint NOT NULL DEFAULT 0
);
INSERT INTO node.session_high DEFAULT VALUES;
