-- pg_dump locks and reads every table that it meets: the database's owner, who made his dumps before there was a guard, must go on
-- to be able to. Everybody else still sees nothing.
GRANT USAGE ON SCHEMA verbund_guard TO pg_database_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA verbund_guard TO pg_database_owner;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA verbund_guard TO pg_database_owner;
