-- The guard in the office's own database; docs/formats/guard.md says what each part means. Everything is gone with
-- DROP SCHEMA verbund_guard CASCADE, but for verbund.use_lock.
CREATE SCHEMA verbund_guard;
COMMENT ON SCHEMA verbund_guard IS 'Verbund: guard of the work locks. Remove one type: SELECT verbund_guard.disable(''TYPE''). Remove all: verbund detach, or DROP SCHEMA verbund_guard CASCADE.';

CREATE TABLE verbund_guard.version (number integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());

CREATE TABLE verbund_guard.guarded (
  number smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- part of the names of functions and triggers
  type text NOT NULL UNIQUE,
  mode text NOT NULL CHECK (mode IN ('off', 'warn', 'enforce')),
  since timestamptz NOT NULL DEFAULT now()
);

-- Trigger functions and the table each belongs to; that of TRUNCATE belongs to all tables of its type and names none.
CREATE TABLE verbund_guard.guarded_table (
  function text PRIMARY KEY,
  type text NOT NULL REFERENCES verbund_guard.guarded (type) ON DELETE CASCADE,
  schema_name text NOT NULL,
  table_name text NOT NULL
);

-- Work locks that are held now, of guarded types. Churns: vacuumed by number of rows, not by share.
CREATE TABLE verbund_guard.lock (
  type text NOT NULL,
  id text NOT NULL,
  token bigint NOT NULL,
  session bigint NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (type, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, fillfactor = 70);

-- What warn mode met and nobody has counted yet. Only inserted into by applications: an update could fail them.
CREATE UNLOGGED TABLE verbund_guard.warning (
  number bigint PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  type text NOT NULL,
  table_name text NOT NULL,
  operation text NOT NULL,
  application text NOT NULL,
  user_name text NOT NULL
);
CREATE SEQUENCE verbund_guard.warning_number;
CREATE TABLE verbund_guard.counted (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  number bigint NOT NULL
);
INSERT INTO verbund_guard.counted (number) VALUES (0);

CREATE TABLE verbund_guard.warning_count (
  type text NOT NULL,
  table_name text NOT NULL,
  operation text NOT NULL,
  application text NOT NULL,
  user_name text NOT NULL,
  transactions bigint NOT NULL,
  first timestamptz NOT NULL,
  last timestamptz NOT NULL,
  PRIMARY KEY (type, table_name, operation, application, user_name)
);

-- ---- called by the trigger functions ---------------------------------------------------------------------------

-- Once per transaction, table and operation. Uncounted ones are bounded, so that a stopped node costs no disk.
CREATE FUNCTION verbund_guard.warn(guarded text, relation text, operation text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  what text := '|' || guarded || ' ' || relation || ' ' || operation || '|';
  told text := coalesce(current_setting('verbund.warned', true), '');
  next bigint;
BEGIN
  IF strpos(told, what) > 0 OR length(told) > 8000 THEN RETURN; END IF;
  PERFORM set_config('verbund.warned', told || what, true);
  next := nextval('verbund_guard.warning_number');
  IF next - (SELECT c.number FROM verbund_guard.counted AS c) > 10000 THEN RETURN; END IF;
  INSERT INTO verbund_guard.warning (number, type, table_name, operation, application, user_name)
  VALUES (next, guarded, relation, operation, left(current_setting('application_name'), 64), session_user);
END $$;

CREATE FUNCTION verbund_guard.refuse(guarded text, record text, relation text, operation text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  shown text := coalesce(current_setting('verbund.token', true), '');
  why text;
BEGIN
  IF shown = '' THEN
    why := 'the transaction shows no token';
  ELSIF EXISTS (SELECT FROM verbund_guard.lock AS l WHERE l.type = guarded AND l.id = record) THEN
    why := 'the transaction shows no token of the present work lock';
  ELSE
    why := 'nobody holds its work lock';
  END IF;
  RAISE EXCEPTION USING
    ERRCODE = 'VG001',
    MESSAGE = format('verbund guard: %s on %s refused: record %s/%s: %s', operation, relation, guarded, record, why),
    HINT = 'Take the work lock, then SELECT verbund.use_lock(TOKEN) in the same transaction, before the first write.';
END $$;

-- ---- called by the node ----------------------------------------------------------------------------------------

-- tokens[i] > 0: the lock now has this token; < 0: the lock with this token is over. Rows that an open transaction of an
-- application has read FOR SHARE are left out and named ('blocked'), and so are those with a higher token ('newer').
CREATE FUNCTION verbund_guard.write(types text[], ids text[], tokens bigint[], sessions bigint[])
RETURNS TABLE (place integer, outcome text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  held bigint;
BEGIN
  FOR i IN 1 .. cardinality(ids) LOOP
    place := i;
    SELECT l.token INTO held FROM verbund_guard.lock AS l WHERE l.type = types[i] AND l.id = ids[i];
    IF held IS NULL THEN
      IF tokens[i] > 0 THEN
        INSERT INTO verbund_guard.lock (type, id, token, session) VALUES (types[i], ids[i], tokens[i], sessions[i]);
      END IF;
    ELSIF tokens[i] > 0 AND held > tokens[i] THEN
      outcome := 'newer';
      RETURN NEXT;
    ELSIF held <> tokens[i] AND held <= abs(tokens[i]) THEN
      PERFORM FROM verbund_guard.lock AS l WHERE l.type = types[i] AND l.id = ids[i] FOR UPDATE SKIP LOCKED;
      IF NOT FOUND THEN
        outcome := 'blocked';
        RETURN NEXT;
      ELSIF tokens[i] > 0 THEN
        UPDATE verbund_guard.lock AS l SET token = tokens[i], session = sessions[i], since = now()
        WHERE l.type = types[i] AND l.id = ids[i];
      ELSE
        DELETE FROM verbund_guard.lock AS l WHERE l.type = types[i] AND l.id = ids[i];
      END IF;
    END IF;
  END LOOP;
END $$;

-- Adds what warn mode has met to the counts. At most about 1,000 groups are told apart.
CREATE FUNCTION verbund_guard.count_warnings() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  WITH met AS (DELETE FROM verbund_guard.warning RETURNING *),
  named AS (
    SELECT m.type, m.table_name, m.operation, m.at,
           CASE WHEN k.known THEN m.application ELSE '…' END AS application,
           CASE WHEN k.known THEN m.user_name ELSE '…' END AS user_name
    FROM met AS m CROSS JOIN LATERAL (
      SELECT (SELECT count(*) FROM verbund_guard.warning_count) < 1000 OR EXISTS (
        SELECT FROM verbund_guard.warning_count AS c
        WHERE (c.type, c.table_name, c.operation, c.application, c.user_name)
            = (m.type, m.table_name, m.operation, m.application, m.user_name)) AS known) AS k),
  added AS (
    INSERT INTO verbund_guard.warning_count AS c (type, table_name, operation, application, user_name, transactions, first, last)
    SELECT n.type, n.table_name, n.operation, n.application, n.user_name, count(*), min(n.at), max(n.at)
    FROM named AS n GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (type, table_name, operation, application, user_name) DO UPDATE
      SET transactions = c.transactions + excluded.transactions, last = greatest(c.last, excluded.last))
  UPDATE verbund_guard.counted SET number = greatest(number, (SELECT max(m.number) FROM met AS m));
$$;

-- ---- called by a person ----------------------------------------------------------------------------------------

-- From its commit on nothing of the type is guarded any more. Waits for nobody: the trigger functions are emptied, the
-- triggers themselves go when the node next looks.
CREATE FUNCTION verbund_guard.disable(unguarded text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text;
BEGIN
  UPDATE verbund_guard.guarded SET mode = 'off', since = now() WHERE type = unguarded;
  IF NOT FOUND THEN RAISE EXCEPTION 'verbund guard: type % is not guarded', unguarded; END IF;
  FOR name IN SELECT t.function FROM verbund_guard.guarded_table AS t WHERE t.type = unguarded LOOP
    EXECUTE format('CREATE OR REPLACE FUNCTION verbund_guard.%I() RETURNS trigger LANGUAGE plpgsql AS %L',
                   name, 'BEGIN RETURN NULL; END');
  END LOOP;
END $$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA verbund_guard FROM PUBLIC;

-- ---- for applications ------------------------------------------------------------------------------------------

-- A schema of that name that is there already is somebody else's and stays.
DO $$ BEGIN
  IF pg_catalog.to_regnamespace('verbund') IS NULL THEN
    CREATE SCHEMA verbund;
    COMMENT ON SCHEMA verbund IS 'Verbund: what applications call.';
  END IF;
END $$;
GRANT USAGE ON SCHEMA verbund TO PUBLIC;

-- The transaction works under these work locks, and under those it has named before. Forgotten at its end.
CREATE OR REPLACE FUNCTION verbund.use_lock(VARIADIC tokens bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_catalog.set_config('verbund.token', pg_catalog.concat_ws(',',
    nullif(pg_catalog.current_setting('verbund.token', true), ''), pg_catalog.array_to_string(tokens, ',')), true);
END $$;
GRANT EXECUTE ON FUNCTION verbund.use_lock(bigint[]) TO PUBLIC;
