#include "feed/catalog.h"

#include <fnmatch.h>

#include "base/messages.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

/// $1, $2: schema and name; $3: oid, which counts when nothing has the name.
constexpr std::string_view kTable = R"(
  WITH named AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2),
  found AS (SELECT oid FROM named UNION ALL SELECT $3::oid WHERE NOT EXISTS (SELECT FROM named)),
  leaves AS (SELECT l.oid, l.relkind, l.relpersistence, l.relreplident FROM found f, pg_partition_tree(f.oid) t JOIN pg_class l ON l.oid = t.relid
              WHERE t.isleaf)
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, p.indexrelid IS NOT NULL,
         coalesce(p.indisreplident, false),
         CASE c.relkind WHEN 'p' THEN (SELECT coalesce(string_agg(oid || ':' || coalesce(pg_relation_filenode(oid), 0), ' ' ORDER BY oid), '') FROM leaves)
                        ELSE pg_relation_filenode(c.oid)::text END,
         c.relkind = 'p' AND EXISTS (SELECT FROM leaves WHERE relkind <> 'r' OR relpersistence <> 'p'),
         c.relkind = 'p' AND EXISTS (SELECT FROM leaves WHERE relreplident NOT IN ('d', 'f')), rn.nspname, r.relname, NOT coalesce(p.indimmediate, true)
    FROM found f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index p ON p.indrelid = c.oid AND p.indisprimary
    LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace)";

/// pgoutput leaves out generated columns. Behind indnkeyatts stand the columns of INCLUDE, which are not of the key.
/// Places in the key count from 0.
constexpr std::string_view kColumns = R"(
  SELECT a.attname, a.atttypid, a.atttypmod, a.attnum,
         coalesce(CASE WHEN array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts THEN array_position(i.indkey::int2[], a.attnum) END, -1),
         CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END
    FROM pg_attribute a JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
   WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum)";

/// Why a table can't be captured; empty: it can. The row is one of kTable.
std::string reason_against(const postgres::Rows& rows) {
  if (rows.size() == 0) return msgid("there is no such table");
  const auto is = [&](int column, std::string_view value) { return rows.text(0, column) == value; };
  if (!is(3, "r") && !is(3, "p")) return msgid("it is no table");
  if (!is(4, "p")) return msgid("it is unlogged or temporary: its changes are not in the log");
  if (is(9, "t")) return msgid("one of its partitions is foreign, unlogged or temporary: its changes are not in the log");
  if (!is(6, "t")) return msgid("it has no primary key: publishing it would make the application's UPDATE and DELETE fail");
  if (is(13, "t")) return msgid("its primary key is deferrable: publishing it would make the application's UPDATE and DELETE fail");
  if (is(5, "n")) return msgid("its replica identity is NOTHING: publishing it would make the application's UPDATE fail");
  if ((is(5, "i") && !is(7, "t")) || is(10, "t")) return msgid("its replica identity is another index than the primary key");
  return {};
}

Status load_columns(Connection& source, CapturedTable& table) {
  auto rows = source.query(kColumns, {std::to_string(table.relation)});
  if (!rows) return pass(rows, phrase("columns of {}", table.shown));
  std::map<int, std::size_t> key;
  const auto number = [&](int row, int column) { return std::atoi(std::string(rows->text(row, column)).c_str()); };
  for (int row = 0; row < rows->size(); ++row) {
    const auto type = parse_u64(rows->text(row, 1));
    if (!type) return std::unexpected(type.error());
    Column column{std::string(rows->text(row, 0)), static_cast<std::uint32_t>(*type), number(row, 2), number(row, 3), {}};
    if (!rows->null(row, 5)) column.missing = std::string(rows->text(row, 5));
    table.columns.push_back(std::move(column));
    if (const int place = number(row, 4); place >= 0) key[place] = table.columns.size() - 1;
  }
  for (const auto& [place, column] : key) table.key.push_back(column);
  return {};
}

bool fits(const TableName& name, std::string_view pattern) {
  return fnmatch(std::string(pattern).c_str(), (name.first + "." + name.second).c_str(), 0) == 0;
}

}  // namespace

std::string shown_name(std::string_view schema, std::string_view table) {
  return schema == "public" ? std::string(table) : fmt::format("{}.{}", schema, table);
}

Result<FoundTable> find_table(Connection& source, const TableName& name, std::uint32_t relation) {
  auto rows = source.query(kTable, {name.first, name.second, std::to_string(relation)});
  if (!rows) return pass(rows);
  FoundTable found;
  found.reason = reason_against(*rows);
  if (rows->size() == 0) return found;
  CapturedTable& table = found.table;
  table.relation = static_cast<std::uint32_t>(parse_u64(rows->text(0, 0)).value_or(0));
  table.schema = rows->text(0, 1);
  table.table = rows->text(0, 2);
  table.shown = shown_name(table.schema, table.table);
  table.configured = name;
  table.partitioned = rows->text(0, 3) == "p";
  table.files = rows->text(0, 8);
  if (!rows->null(0, 12)) found.root = TableName(rows->text(0, 11), rows->text(0, 12));
  if (!found.reason.empty()) return found;
  if (auto loaded = load_columns(source, table); !loaded) return pass(loaded);
  return found;
}

Result<std::vector<TableName>> tables_like(Connection& source, const std::vector<std::string>& patterns) {
  std::vector<TableName> names;
  if (patterns.empty()) return names;
  auto rows = source.query(
      "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
      " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'"
      "   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'verbund', 'verbund_guard', 'verbund_feed') ORDER BY 1, 2");
  if (!rows) return pass(rows, "tables of the source");
  for (int row = 0; row < rows->size(); ++row) {
    TableName name(rows->text(row, 0), rows->text(row, 1));
    bool wanted = false;
    bool refused = false;
    for (const std::string& pattern : patterns) {
      const bool negative = pattern.starts_with('!');
      if (fits(name, std::string_view(pattern).substr(negative ? 1 : 0))) (negative ? refused : wanted) = true;
    }
    if (wanted && !refused) names.push_back(std::move(name));
  }
  return names;
}

Result<std::string> table_mark(Connection& source, const CatalogQuestion& question) {
  TextArray relations;
  for (const std::uint32_t relation : question.relations) relations.add(std::to_string(relation));
  TextArray names;
  for (const TableName& name : question.names) names.add(name.first + "." + name.second);
  auto rows = source.query(R"(
    WITH tables AS (
      SELECT c.oid, hashtextextended(ROW(c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relispartition,
                                         c.relfilenode, i.indexrelid, i.indkey, i.indisreplident)::text, 1) AS mark
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
       WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         AND ($3::boolean OR c.oid = ANY($1::oid[]) OR n.nspname || '.' || c.relname = ANY($2::text[])
              OR (c.relispartition AND pg_partition_root(c.oid) = ANY($1::oid[]))))
    SELECT concat_ws(' ', (SELECT bit_xor(mark) FROM tables),
      (SELECT bit_xor(hashtextextended(ROW(a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated)::text, 2))
         FROM pg_attribute a JOIN tables t ON t.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped)))",
                           {relations.take(), names.take(), question.every_table ? "t" : "f"});
  if (!rows) return pass(rows, "catalog of the source");
  return std::string(rows->text(0, 0));
}

Result<std::string> publication_mark(Connection& source, const std::string& publication) {
  auto rows = source.query(R"(
    SELECT concat_ws(' ',
      (SELECT bit_xor(hashtextextended(p::text, 3)) FROM pg_publication p WHERE p.pubname = $1),
      (SELECT bit_xor(hashtextextended(r::text, 4)) FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1)))",
                           {publication});
  if (!rows) return pass(rows, "catalog of the source");
  return std::string(rows->text(0, 0));
}

}  // namespace verbund::feed
