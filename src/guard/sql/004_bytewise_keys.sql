-- Keys are the same or not; in what order a language sorts them costs each guarded write some comparisons. Whoever keeps a lock row
-- busy delays this until the next start.
SET LOCAL lock_timeout = '5s';
ALTER TABLE verbund_guard.lock ALTER COLUMN type TYPE text COLLATE "C", ALTER COLUMN id TYPE text COLLATE "C";
