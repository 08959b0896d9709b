#include "feed/renamed.h"

#include "base/messages.h"
#include "feed/tables.h"

namespace verbund::feed {

Result<std::vector<std::pair<std::string, std::string>>> renamed_tables(postgres::Connection& source, postgres::Connection& mid_tier) {
  std::vector<std::pair<std::string, std::string>> renamed;
  auto there = mid_tier.query("SELECT to_regclass('feed.source_table') IS NOT NULL");
  if (!there) return pass(there, "tables of the feed");
  if (there->text(0, 0) != "t") return renamed;
  auto known = mid_tier.query("SELECT relation, quote_ident(schema_name) || '.' || quote_ident(table_name) FROM feed.source_table"
                              " UNION SELECT relation, unnest(former) FROM feed.source_table");
  if (!known) return pass(known, "tables of the feed");
  TextArray relations, names;
  for (int row = 0; row < known->size(); ++row) {
    relations.add(known->text(row, 0));
    names.add(known->text(row, 1));
  }
  auto rows = source.query(
      "SELECT k.name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM unnest($1::bigint[], $2::text[]) AS k(relation, name)"
      "  JOIN pg_class c ON c.oid = k.relation::oid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE to_regclass(k.name) IS NULL ORDER BY 1",
      {relations.take(), names.take()});
  if (!rows) return pass(rows, "catalog of the source");
  for (int row = 0; row < rows->size(); ++row) renamed.emplace_back(rows->text(row, 0), rows->text(row, 1));
  return renamed;
}

}  // namespace verbund::feed
