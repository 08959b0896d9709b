-- Several nodes on one cluster: who of them holds the lock authority and the capture (node/patroni/seat.h). One row each.
CREATE TABLE node.seat (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    term     bigint NOT NULL DEFAULT 0,     -- of the holder; 0: nobody has held it yet
    holder   text NOT NULL DEFAULT '',
    name     text NOT NULL DEFAULT '',
    address  text NOT NULL DEFAULT '',      -- where workstations find it, HOST:PORT
    timeline bigint NOT NULL DEFAULT 0,     -- of PostgreSQL, when it was taken
    since    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO node.seat DEFAULT VALUES;

-- A table of its own: the holder's beats must not wait for those who look at its term.
CREATE TABLE node.seat_lease (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    beats    bigint NOT NULL DEFAULT 0,
    given_up boolean NOT NULL DEFAULT true  -- in order: nobody needs to wait
);
INSERT INTO node.seat_lease DEFAULT VALUES;

-- Who would take over.
CREATE TABLE node.seat_waiting (
    member  text PRIMARY KEY,
    name    text NOT NULL,
    address text NOT NULL,
    version text NOT NULL,
    seen    timestamptz NOT NULL DEFAULT now()
);

-- Writes of a holder whose term is over are refused. A connection that says no term is none of a seat's.
-- FOR KEY SHARE: who takes the seat locks its row FOR UPDATE, and so waits for what was begun under the old term.
CREATE FUNCTION node.refuse_former_holder() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    mine constant text := pg_catalog.current_setting('verbund.term', true);
BEGIN
    IF coalesce(mine, '') <> '' THEN
        PERFORM FROM node.seat WHERE term = mine::bigint FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'term % is over: another node holds the lock authority', mine USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END IF;
    RETURN NULL;
END
$$;
