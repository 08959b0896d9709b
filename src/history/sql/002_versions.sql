-- Every version of every record; docs/formats/versions.md says what each column means. Rows are added, never changed: the
-- rights say so (src/history/rights.cc), and the triggers below for an owner who could give itself any right.
CREATE TABLE history.stream (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    history_id text NOT NULL UNIQUE,
    since      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE history.layout (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    digest      text NOT NULL,
    columns     text[] NOT NULL,
    key         smallint[] NOT NULL,
    UNIQUE (schema_name, table_name, digest)
);

CREATE TABLE history.author (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session     bigint NOT NULL,
    workstation text NOT NULL,
    user_name   text NOT NULL,
    UNIQUE (session, workstation, user_name)
);

-- One index only, in the order in which a record's history is read. No foreign keys: one writer makes all rows, in one transaction
-- with what they name.
CREATE TABLE history.version (
    record          text COLLATE "C" NOT NULL,
    stream          integer NOT NULL,
    csn             bigint NOT NULL,
    transaction_csn bigint NOT NULL,
    committed       timestamptz NOT NULL,
    op              "char" NOT NULL CHECK (op IN ('I', 'U', 'D')),
    layout          integer NOT NULL,
    row_key         text NOT NULL,
    was_key         text,
    how             "char" NOT NULL CHECK (how IN ('M', 'L', 'U')),
    author          integer,
    changed         smallint[],
    unchanged       smallint[],
    before          text[],
    after           text[],
    erasure         integer,
    PRIMARY KEY (record, stream, csn)
);
CREATE INDEX version_erased ON history.version (erasure) WHERE erasure IS NOT NULL;

CREATE TABLE history.notice (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    kind   text NOT NULL CHECK (kind IN ('types', 'merged', 'not_kept', 'foreign')),
    stream integer NOT NULL,
    csn    bigint NOT NULL,
    detail text NOT NULL
);

CREATE TABLE history.erasure (
    number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      uuid NOT NULL UNIQUE,
    record  text NOT NULL,
    at      timestamptz NOT NULL,
    by_user text NOT NULL,
    reason  text NOT NULL
);

CREATE FUNCTION history.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

-- What an update of a version may do: take its contents away, under an erasure.
CREATE FUNCTION history.refuse_all_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.erasure IS NULL OR OLD.erasure IS NOT NULL OR num_nonnulls(NEW.changed, NEW.unchanged, NEW.before, NEW.after) > 0
     OR (NEW.record, NEW.stream, NEW.csn, NEW.transaction_csn, NEW.committed, NEW.op, NEW.layout, NEW.row_key, NEW.how)
        IS DISTINCT FROM
        (OLD.record, OLD.stream, OLD.csn, OLD.transaction_csn, OLD.committed, OLD.op, OLD.layout, OLD.row_key, OLD.how)
     OR NEW.was_key IS DISTINCT FROM OLD.was_key OR NEW.author IS DISTINCT FROM OLD.author
     OR NOT EXISTS (SELECT FROM history.erasure WHERE number = NEW.erasure)
  THEN
    RAISE EXCEPTION 'history.version is append-only: UPDATE refused' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;

-- ALWAYS: session_replication_role = replica does not get round them either.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['stream', 'layout', 'author', 'notice', 'erasure'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.%I'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change()', name);
    EXECUTE format('ALTER TABLE history.%I ENABLE ALWAYS TRIGGER append_only', name);
  END LOOP;
END $$;
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON history.version
    FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change();
CREATE TRIGGER only_erasure BEFORE UPDATE ON history.version
    FOR EACH ROW EXECUTE FUNCTION history.refuse_all_but_erasure();
ALTER TABLE history.version ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE history.version ENABLE ALWAYS TRIGGER only_erasure;

-- Takes the contents of all versions of a record that were committed up to `upto`, and of its rows' versions from when they
-- belonged to no record. Repeating it with the same id enters nothing new, and takes what has come back since. Returns how
-- many versions lost their contents.
CREATE FUNCTION history.erase(erasure_id uuid, erased_record text, upto timestamptz, erased_by text, erased_for text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  entry integer;
  own bigint;
  ownerless bigint;
BEGIN
  IF erased_record = '' THEN
    RAISE EXCEPTION 'history.erase: no record is named' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO history.erasure (id, record, at, by_user, reason)
    VALUES (erasure_id, erased_record, upto, erased_by, erased_for) ON CONFLICT (id) DO NOTHING;
  SELECT number INTO entry FROM history.erasure WHERE id = erasure_id;
  UPDATE history.version v
     SET changed = NULL, unchanged = NULL, before = NULL, after = NULL, erasure = entry
    FROM history.layout l
   WHERE v.record = '' AND v.erasure IS NULL AND v.committed <= upto AND l.id = v.layout
     AND EXISTS (SELECT FROM history.version o JOIN history.layout ol ON ol.id = o.layout
                  WHERE o.record = erased_record AND o.row_key = v.row_key
                    AND ol.schema_name = l.schema_name AND ol.table_name = l.table_name);
  GET DIAGNOSTICS ownerless = ROW_COUNT;
  UPDATE history.version v
     SET changed = NULL, unchanged = NULL, before = NULL, after = NULL, erasure = entry
   WHERE v.record = erased_record AND v.erasure IS NULL AND v.committed <= upto;
  GET DIAGNOSTICS own = ROW_COUNT;
  RETURN own + ownerless;
END $$;
REVOKE ALL ON FUNCTION history.erase(uuid, text, timestamptz, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION history.erase(uuid, text, timestamptz, text, text) TO CURRENT_USER;

-- For people at a prompt: versions with the names of their columns.
CREATE VIEW history.readable AS
SELECT v.record, v.committed, v.op, l.schema_name, l.table_name, v.row_key, v.was_key,
       CASE v.how WHEN 'M' THEN 'message' WHEN 'L' THEN 'lock' ELSE 'unknown' END AS how, a.user_name, a.workstation,
       CASE WHEN v.op = 'D' THEN to_jsonb(d.whole)
            WHEN v.op = 'U' THEN (SELECT jsonb_object_agg(l.columns[c.column_number + 1], v.before[c.place])
                                    FROM unnest(v.changed) WITH ORDINALITY AS c (column_number, place)) END AS before,
       CASE WHEN v.after IS NOT NULL
            THEN (SELECT jsonb_object_agg(l.columns[i], v.after[i]) FROM generate_subscripts(l.columns, 1) AS i
                   WHERE v.unchanged IS NULL OR NOT (i - 1) = ANY (v.unchanged)) END AS after,
       v.erasure, v.stream, v.csn
  FROM history.version v
  JOIN history.layout l ON l.id = v.layout
  LEFT JOIN history.author a ON a.id = v.author
  LEFT JOIN LATERAL (SELECT jsonb_object_agg(l.columns[i], v.before[i]) AS whole FROM generate_subscripts(l.columns, 1) AS i
                      WHERE v.op = 'D' AND v.before IS NOT NULL) d ON true;

-- An owner can take rights from itself; what it can't do is make that final. On the owned server another role owns all this.
REVOKE ALL ON ALL TABLES IN SCHEMA history FROM PUBLIC;
REVOKE UPDATE, DELETE, TRUNCATE ON history.stream, history.layout, history.author, history.notice, history.erasure FROM CURRENT_USER;
REVOKE DELETE, TRUNCATE ON history.version FROM CURRENT_USER;
