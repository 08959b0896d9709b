#include "records/catalog.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/messages.h"

namespace verbund::records {
namespace {

using postgres::Connection;

/// Levenshtein, in bytes: good enough to find a slip of the finger.
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (left[i] == right[j] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

Result<std::vector<std::string>> all_tables(Connection& source) {
  auto rows = source.query(
      "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
      " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'"
      " ORDER BY 1 LIMIT 5000");
  if (!rows) return pass(rows, "read the catalog");
  std::vector<std::string> names;
  for (int row = 0; row < rows->size(); ++row) names.emplace_back(rows->text(row, 0));
  return names;
}

Result<std::vector<CatalogColumn>> columns(Connection& source, const std::string& oid) {
  // Type modifier -1: a cast of a parameter must not cut it to the column's length.
  auto rows = source.query(
      "SELECT attname, format_type(atttypid, -1) FROM pg_attribute"
      " WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
      {oid});
  if (!rows) return pass(rows, "read the catalog");
  std::vector<CatalogColumn> found;
  for (int row = 0; row < rows->size(); ++row) found.push_back({std::string(rows->text(row, 0)), std::string(rows->text(row, 1))});
  return found;
}

Result<std::vector<CatalogColumn>> primary_key(Connection& source, const std::string& oid) {
  auto rows = source.query(
      "SELECT a.attname, format_type(a.atttypid, -1) FROM pg_index i"
      " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)"
      " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
      " WHERE i.indrelid = $1::oid AND i.indisprimary AND k.position <= i.indnkeyatts ORDER BY k.position",
      {oid});
  if (!rows) return pass(rows, "read the catalog");
  std::vector<CatalogColumn> found;
  for (int row = 0; row < rows->size(); ++row) found.push_back({std::string(rows->text(row, 0)), std::string(rows->text(row, 1))});
  return found;
}

Result<std::vector<ForeignKey>> foreign_keys(Connection& source, const std::string& oid) {
  auto rows = source.query(
      "SELECT c.oid, n.nspname, p.relname, own.attname, theirs.attname FROM pg_constraint c"
      " JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace n ON n.oid = p.relnamespace"
      " CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(own, theirs, position)"
      " JOIN pg_attribute own ON own.attrelid = c.conrelid AND own.attnum = k.own"
      " JOIN pg_attribute theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = k.theirs"
      " WHERE c.conrelid = $1::oid AND c.contype = 'f' ORDER BY c.conname, c.oid, k.position",
      {oid});
  if (!rows) return pass(rows, "read the catalog");
  std::vector<ForeignKey> found;
  for (int row = 0; row < rows->size(); ++row) {
    if (row == 0 || rows->text(row, 0) != rows->text(row - 1, 0)) {
      found.push_back({{}, std::string(rows->text(row, 1)), std::string(rows->text(row, 2)), {}});
    }
    found.back().columns.emplace_back(rows->text(row, 3));
    found.back().parent_columns.emplace_back(rows->text(row, 4));
  }
  return found;
}

}  // namespace

std::string shown(const TableName& name) { return name.schema + '.' + name.table; }

std::string quoted(const TableName& name) {
  return Connection::quote_identifier(name.schema) + '.' + Connection::quote_identifier(name.table);
}

Result<std::vector<std::string>> split_name(std::string_view text) {
  const auto refuse = [&](const Phrase& why) {
    return fail(ErrorCode::kBadConfig, phrase("'{}': {}", text, why), phrase("Names look like schema.table or schema.\"odd.name\"."));
  };
  std::vector<std::string> parts(1);
  bool inside = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') {
      if (inside && at + 1 < text.size() && text[at + 1] == '"') {
        parts.back() += '"';
        ++at;
      } else {
        inside = !inside;
      }
    } else if (text[at] == '.' && !inside) {
      parts.emplace_back();
    } else {
      parts.back() += text[at];
    }
  }
  if (inside) return refuse(phrase("a quote is not closed"));
  if (std::ranges::any_of(parts, [](const std::string& part) { return part.empty(); })) return refuse(phrase("a part is empty"));
  return parts;
}

std::string nearest(std::string_view wanted, std::vector<std::string> candidates, std::size_t count) {
  std::ranges::stable_sort(candidates, {}, [&](const std::string& candidate) { return distance(wanted, candidate); });
  if (candidates.size() > count) candidates.resize(count);
  return fmt::format("{}", fmt::join(candidates, ", "));
}

Result<CatalogTable> read_table(Connection& source, const TableName& name) {
  auto rows = source.query(
      "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
      " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
      {name.schema, name.table});
  if (!rows) return pass(rows, "read the catalog");
  if (rows->size() == 0) {
    auto all = all_tables(source);
    if (!all) return pass(all);
    return fail(ErrorCode::kBadConfig, phrase("there is no table {}", shown(name)),
                all->empty() ? phrase("The database has no tables yet.") : phrase("Nearest: {}", nearest(shown(name), *all)));
  }
  const std::string oid(rows->text(0, 0));
  auto found_columns = columns(source, oid);
  if (!found_columns) return pass(found_columns);
  auto key = primary_key(source, oid);
  if (!key) return pass(key);
  auto references = foreign_keys(source, oid);
  if (!references) return pass(references);
  return CatalogTable{name, std::move(*found_columns), std::move(*key), std::move(*references)};
}

Result<std::string> german_collation(Connection& source) {
  auto rows = source.query(
      "SELECT 1 FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE n.nspname = 'pg_catalog'"
      " AND c.collname = 'de-x-icu'");
  if (!rows) return pass(rows, "read the catalog");
  return rows->size() > 0 ? std::string("de-x-icu") : std::string();
}

}  // namespace verbund::records
