-- Accounts, the secrets that stand for a login, and the audit trail.
CREATE SCHEMA access;

CREATE TABLE access.account (
    user_name     text PRIMARY KEY,
    password_hash text NOT NULL,              -- argon2id in libsodium's string form
    role          text NOT NULL CHECK (role IN ('administrator', 'staff', 'device')),
    enabled       boolean NOT NULL DEFAULT true,
    created       timestamptz NOT NULL,
    last_login    timestamptz                 -- by password
);
-- Names are exact and case-sensitive, but two that people would take for the same one can't exist side by side.
CREATE UNIQUE INDEX account_look_alike ON access.account (lower(normalize(user_name, NFKC)));

-- Access tokens of programs and logins of the page: 256 random bits, stored as BLAKE2b (hex). The label or address is
-- there so that a person can tell them apart.
CREATE TABLE access.token (
    secret_hash text PRIMARY KEY,
    user_name   text NOT NULL REFERENCES access.account ON DELETE CASCADE,
    label       text NOT NULL,
    created     timestamptz NOT NULL,
    last_used   timestamptz
);
CREATE INDEX token_user ON access.token (user_name);

CREATE TABLE access.login (
    secret_hash text PRIMARY KEY,
    user_name   text NOT NULL REFERENCES access.account ON DELETE CASCADE,
    address     text NOT NULL,
    created     timestamptz NOT NULL,
    last_used   timestamptz NOT NULL
);
CREATE INDEX login_user ON access.login (user_name);
CREATE INDEX login_last_used ON access.login (last_used);

-- Append-only. The names stand as text, not as references: an entry outlives the account it speaks of.
CREATE TABLE access.audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL,
    actor  text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    detail text NOT NULL
);
CREATE INDEX audit_actor ON access.audit (actor, number);

CREATE FUNCTION access.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'access.audit is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access.audit
    FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_audit_change();
-- ALWAYS: session_replication_role = replica does not get round it either.
ALTER TABLE access.audit ENABLE ALWAYS TRIGGER audit_append_only;
-- An owner can take rights from itself; what it can't do is make that final (README.md says what this stops).
REVOKE ALL ON access.audit FROM PUBLIC, CURRENT_USER;
GRANT SELECT, INSERT ON access.audit TO CURRENT_USER;
