#include "backup/sql_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verbund::backup {
namespace {

using testing::ElementsAre;

std::vector<std::string> statements(std::string_view script) {
  std::vector<std::string> all;
  for_each_statement(script, [&](const SqlStatement& statement) { all.emplace_back(statement.text); });
  return all;
}

TEST(SqlScript, CutsOnlyWhereAStatementEnds) {
  EXPECT_THAT(statements("-- a; comment\nSELECT ';' , \"a;\"\"b\";\n\\connect -reuse \"x;y\"\nSET x = E'a\\';b';"),
              ElementsAre("SELECT ';' , \"a;\"\"b\"", "SET x = E'a\\';b'"));
  EXPECT_THAT(statements("CREATE FUNCTION f() AS $_$ BEGIN; $$ ; OWNER TO x; $_$; SELECT $1, a$b; "),
              ElementsAre("CREATE FUNCTION f() AS $_$ BEGIN; $$ ; OWNER TO x; $_$", "SELECT $1, a$b"));
  EXPECT_TRUE(statements("").empty());
  EXPECT_THAT(statements("SELECT 'never ends"), ElementsAre("SELECT 'never ends"));
}

TEST(SqlScript, FindsEveryRoleAndNoOther) {
  const auto needs = read_needs(R"sql(
ALTER TABLE public.a OWNER TO praxis;
ALTER TABLE "public"."OWNER TO" OWNER TO "Dr. ""Ä""; DROP";
GRANT SELECT(a),INSERT ON TABLE public.a TO leser WITH GRANT OPTION;
GRANT ALL ON TABLE public.a TO PUBLIC;
REVOKE ALL ON TABLE public.a FROM entzogen;
ALTER DEFAULT PRIVILEGES FOR ROLE vorgabe IN SCHEMA public GRANT SELECT ON TABLES TO empfaenger;
ALTER DEFAULT PRIVILEGES FOR ROLE vorgabe REVOKE ALL ON FUNCTIONS FROM PUBLIC;
CREATE POLICY p ON public.a FOR SELECT TO eins, "Zwei" USING ((name = 'TO drei'::text));
SET SESSION AUTHORIZATION 'verleiher';
RESET SESSION AUTHORIZATION;
CREATE USER MAPPING FOR fern SERVER s OPTIONS ("user" 'TO x');
COMMENT ON TABLE public.a IS 'OWNER TO niemand';
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ ALTER TABLE x OWNER TO niemand; $$;
)sql");
  EXPECT_THAT(needs.roles, testing::UnorderedElementsAre("praxis", "Dr. \"Ä\"; DROP", "leser", "entzogen", "vorgabe", "empfaenger", "eins", "Zwei",
                                                         "verleiher", "fern"));
}

TEST(SqlScript, TakesWhatBelongsToTheDatabaseAsAWhole) {
  const auto needs = read_needs(R"sql(
SET default_tablespace = '';
CREATE DATABASE "pra xis" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C' TABLESPACE = "schnelle Platte";
ALTER DATABASE "pra xis" OWNER TO praxis;
\connect "pra xis"
SET default_tablespace = langsam;
COMMENT ON DATABASE "pra xis" IS 'die {} DATABASE "pra xis"';
ALTER DATABASE "pra xis" SET search_path TO 'a', 'b';
ALTER ROLE "DATABASE" IN DATABASE "pra xis" SET work_mem TO '1MB';
ALTER DATABASE other SET work_mem TO '1MB';
SET SESSION AUTHORIZATION praxis;
GRANT CONNECT ON DATABASE "pra xis" TO leser;
RESET SESSION AUTHORIZATION;
GRANT SELECT ON TABLE public."DATABASE" TO leser;
)sql");
  EXPECT_EQ(needs.database, "pra xis");
  EXPECT_EQ(needs.create, "CREATE DATABASE {} WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C' TABLESPACE = \"schnelle Platte\"");
  EXPECT_THAT(needs.tablespaces, ElementsAre("langsam", "schnelle Platte"));
  EXPECT_THAT(needs.properties,
              ElementsAre("ALTER DATABASE {} OWNER TO praxis", "COMMENT ON DATABASE {} IS 'die {{}} DATABASE \"pra xis\"'",
                          "ALTER DATABASE {} SET search_path TO 'a', 'b'", "ALTER ROLE \"DATABASE\" IN DATABASE {} SET work_mem TO '1MB'",
                          "SET SESSION AUTHORIZATION praxis", "GRANT CONNECT ON DATABASE {} TO leser", "RESET SESSION AUTHORIZATION"));
}

}  // namespace
}  // namespace verbund::backup
