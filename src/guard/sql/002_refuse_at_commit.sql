-- Refusal at the commit instead of at once, for programs that learn the keys of their records by writing them: an import, keys that
-- the database makes. `SET LOCAL verbund.refuse = 'at commit'`: records whose lock nobody holds are noted, and the transaction is
-- refused at its end unless it shows their tokens by then. What somebody else holds is refused at once; who works in several
-- transactions names the tokens that he has given back in `verbund.earlier`, for they stay in the table a little longer.

-- Rows last as long as the transaction that noted them: checked and taken out at its commit.
CREATE UNLOGGED TABLE verbund_guard.wanted (
  transaction xid8 NOT NULL,
  type text NOT NULL,
  id text NOT NULL,
  table_name text NOT NULL,
  operation text NOT NULL,
  PRIMARY KEY (transaction, type, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE OR REPLACE FUNCTION verbund_guard.refuse(guarded text, record text, relation text, operation text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  shown text := coalesce(current_setting('verbund.token', true), '');
  held text := (SELECT l.token FROM verbund_guard.lock AS l WHERE l.type = guarded AND l.id = record);
  why text;
BEGIN
  IF current_setting('verbund.refuse', true) = 'at commit'
     AND (held IS NULL OR held = ANY (string_to_array(current_setting('verbund.earlier', true), ','))) THEN
    INSERT INTO verbund_guard.wanted VALUES (pg_current_xact_id(), guarded, record, relation, operation) ON CONFLICT DO NOTHING;
    RETURN;
  END IF;
  IF shown = '' THEN
    why := 'the transaction shows no token';
  ELSIF held IS NOT NULL THEN
    why := 'the transaction shows no token of the present work lock';
  ELSE
    why := 'nobody holds its work lock';
  END IF;
  RAISE EXCEPTION USING
    ERRCODE = 'VG001',
    MESSAGE = format('verbund guard: %s on %s refused: record %s/%s: %s', operation, relation, guarded, record, why),
    DETAIL = format('%s/%s', guarded, record),
    HINT = 'Take the work lock, then SELECT verbund.use_lock(TOKEN) in the same transaction, before the first write. In a copy of the database'
           || ' that no Verbund serves: SELECT verbund_guard.disable(''' || replace(guarded, '''', '''''') || ''').';
END $$;
REVOKE EXECUTE ON FUNCTION verbund_guard.refuse(text, text, text, text) FROM PUBLIC;

-- At the commit: what was noted must be held now, and its token be shown; the lock stays as it is until the commit is done.
CREATE FUNCTION verbund_guard.check_wanted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM verbund_guard.guarded AS g WHERE g.type = NEW.type AND g.mode = 'enforce') THEN
    PERFORM FROM verbund_guard.lock AS l WHERE l.type = NEW.type AND l.id = NEW.id
      AND l.token::text = ANY (string_to_array(replace(current_setting('verbund.token', true), ' ', ''), ',')) FOR SHARE;
    IF NOT FOUND THEN
      PERFORM set_config('verbund.refuse', '', true);
      PERFORM verbund_guard.refuse(NEW.type, NEW.id, NEW.table_name, NEW.operation);
    END IF;
  END IF;
  DELETE FROM verbund_guard.wanted AS w WHERE w.transaction = NEW.transaction AND w.type = NEW.type AND w.id = NEW.id;
  RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION verbund_guard.check_wanted() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER check_wanted AFTER INSERT ON verbund_guard.wanted DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION verbund_guard.check_wanted();

-- What this transaction has written so far without a lock: take these locks, show their tokens, commit.
CREATE FUNCTION verbund.wanted_locks() RETURNS TABLE (type text, id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT w.type, w.id FROM verbund_guard.wanted AS w WHERE w.transaction = pg_current_xact_id_if_assigned() ORDER BY 1, 2
$$;
GRANT EXECUTE ON FUNCTION verbund.wanted_locks() TO PUBLIC;
