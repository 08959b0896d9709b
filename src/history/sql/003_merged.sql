-- Versions that were found by comparing source and shadow stand for any number of changes.
ALTER TABLE history.version ADD COLUMN merged boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION history.refuse_all_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.erasure IS NULL OR OLD.erasure IS NOT NULL OR num_nonnulls(NEW.changed, NEW.unchanged, NEW.before, NEW.after) > 0
     OR (NEW.record, NEW.stream, NEW.csn, NEW.transaction_csn, NEW.committed, NEW.op, NEW.layout, NEW.row_key, NEW.how, NEW.merged)
        IS DISTINCT FROM
        (OLD.record, OLD.stream, OLD.csn, OLD.transaction_csn, OLD.committed, OLD.op, OLD.layout, OLD.row_key, OLD.how, OLD.merged)
     OR NEW.was_key IS DISTINCT FROM OLD.was_key OR NEW.author IS DISTINCT FROM OLD.author
     OR NOT EXISTS (SELECT FROM history.erasure WHERE number = NEW.erasure)
  THEN
    RAISE EXCEPTION 'history.version is append-only: UPDATE refused' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;
