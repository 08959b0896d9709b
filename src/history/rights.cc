#include "history/rights.h"

#include <fmt/format.h>

namespace verbund::history {
namespace {

using postgres::Connection;

/// {0}: owner, {1}: the node's role, both quoted as identifiers.
constexpr const char* kHandOver = R"sql(
DO $$
DECLARE
  item record;
BEGIN
  FOR item IN SELECT c.oid::regclass AS name, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind
                FROM pg_class c WHERE c.relnamespace = 'history'::regnamespace AND c.relkind IN ('r', 'p', 'v') LOOP
    EXECUTE format('ALTER %s %s OWNER TO {0}', item.kind, item.name);
  END LOOP;
  FOR item IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = 'history'::regnamespace LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO {0}', item.name);
  END LOOP;
  EXECUTE format('ALTER DATABASE %I OWNER TO {0}', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO {1}', current_database());
END $$;
ALTER SCHEMA history OWNER TO {0};
REVOKE ALL ON SCHEMA history FROM {1};
REVOKE ALL ON ALL TABLES IN SCHEMA history FROM {1};
GRANT ALL ON ALL TABLES IN SCHEMA history TO {0};
GRANT USAGE ON SCHEMA history TO {1};
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA history TO {1};
-- What is erased is entered by history.erase alone.
REVOKE INSERT ON history.erasure, history.position, history.readable FROM {1};
GRANT UPDATE ON history.position TO {1};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA history FROM PUBLIC;
GRANT EXECUTE ON FUNCTION history.erase(uuid, text, timestamptz, text, text) TO {1};
)sql";

}  // namespace

Status hand_over(Connection& superuser, const std::string& node_role) {
  auto existing = superuser.query("SELECT 1 FROM pg_roles WHERE rolname = $1", {kOwner});
  if (!existing) return pass(existing, "owner of the versions");
  const std::string owner = Connection::quote_identifier(kOwner);
  if (existing->size() == 0) {
    if (auto made = superuser.execute(fmt::format("CREATE ROLE {} NOLOGIN", owner)); !made) return pass(made, "owner of the versions");
  }
  auto transaction = superuser.begin();
  if (!transaction) return pass(transaction, "rights of the versions");
  auto done = superuser.execute(fmt::format(fmt::runtime(kHandOver), owner, Connection::quote_identifier(node_role)));
  if (!done) return pass(done, "rights of the versions");
  return transaction->commit();
}

}  // namespace verbund::history
