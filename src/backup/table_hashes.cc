#include "backup/table_hashes.h"

#include "base/ids.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

using postgres::Connection;

/// Also for regclass and its like, money, and quoted names in their text.
constexpr const char* kPinned = R"sql(
SET LOCAL search_path = '';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL timezone = 'UTC';
SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = 'hex';
SET LOCAL lc_monetary = 'C';
SET LOCAL quote_all_identifiers = off;
SET LOCAL row_security = off;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL jit = off;
)sql";

/// Columns by name: a restored child of an inherited table has them in another order. Generated ones are no part of a dump.
/// Tables of extensions neither, nor what a standby can't read.
constexpr const char* kTables = R"sql(
SELECT n.nspname, c.relname,
       coalesce((SELECT string_agg('t.' || quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE "C")
                   FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)'
   AND (c.relpersistence = 'p' OR NOT pg_is_in_recovery())
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2
)sql";

/// A row's image as a number of 64 bits. Added up, so that the order of rows does not matter, and two equal rows do not cancel out.
/// PostgreSQL's own hash takes half the time of MD5, but no documentation promises that it stays: it is asked for known values first
/// (docs/adr/0016). The digit in front of a hash says which one it is.
struct RowHash {
  const char* sql;
  char digit;
};
constexpr RowHash kOwnHash{R"(hashtextextended(({})::text COLLATE "C", 0))", 'a'};
constexpr RowHash kMd5{"('x' || left(md5(({})::text), 16))::bit(64)::bigint", 'b'};
constexpr const char* kIsKnown = R"sql(
SELECT hashtextextended('' COLLATE "C", 0) = -6939563903564495251
   AND hashtextextended('verbund' COLLATE "C", 0) = -7233621352137216699
   AND hashtextextended('(1,"line",,t) and more than twelve bytes' COLLATE "C", 0) = 7163634082352546713
)sql";
constexpr const char* kSum = "count(*), coalesce(sum({}), 0)";

/// In pieces, so that none has to lie in memory as a whole. By content, since holes are not kept by a dump.
constexpr const char* kLargeObjects = R"sql(
SELECT count(DISTINCT o.oid), coalesce(sum(('x' || left(md5(o.oid || ':' || piece || ':' ||
       md5(lo_get(o.oid, piece * 8388608, 8388608))), 16))::bit(64)::bigint), 0)
  FROM (SELECT oid, lo_lseek64(fd, 0, 2) AS bytes, lo_close(fd) AS closed
          FROM (SELECT m.oid, lo_open(m.oid, 262144) AS fd FROM pg_largeobject_metadata m OFFSET 0) opened OFFSET 0) o,
       generate_series(0, o.bytes / 8388608) AS piece
)sql";

std::string relation(const HashedTable& table) {
  return Connection::quote_identifier(table.schema) + "." + Connection::quote_identifier(table.table);
}

/// A sum of 64-bit numbers, as two's complement of 128 bits: at most 2^63 rows fit.
std::string hex_of(std::string_view decimal) {
  const bool negative = decimal.starts_with('-');
  unsigned __int128 value = 0;
  for (const char c : decimal.substr(negative ? 1 : 0)) value = value * 10 + static_cast<unsigned>(c - '0');
  if (negative) value = ~value + 1;
  return fmt::format("{:016x}{:016x}", static_cast<std::uint64_t>(value >> 64), static_cast<std::uint64_t>(value));
}

Result<TableHash> hash_of(postgres::Rows rows, char digit, std::string schema, std::string table) {
  auto count = parse_u64(rows.text(0, 0));
  if (!count) return pass(count);
  return TableHash{std::move(schema), std::move(table), *count, digit + hex_of(rows.text(0, 1))};
}

Result<RowHash> row_hash(Connection& connection) {
  auto known = connection.query(kIsKnown);
  if (!known) return pass(known, "look at the server's hash function");
  return known->text(0, 0) == "t" ? kOwnHash : kMd5;
}

}  // namespace

Status pin_text_forms(Connection& connection) { return connection.execute(kPinned); }

Result<std::vector<HashedTable>> hashed_tables(Connection& connection) {
  auto rows = connection.query(kTables);
  if (!rows) return pass(rows, "tables of the database");
  std::vector<HashedTable> tables;
  for (int row = 0; row < rows->size(); ++row) {
    tables.push_back({std::string(rows->text(row, 0)), std::string(rows->text(row, 1)), fmt::format("ROW({})", rows->text(row, 2))});
  }
  return tables;
}

Status lock_tables(Connection& connection, const std::vector<HashedTable>& tables) {
  constexpr std::size_t kAtOnce = 500;
  for (std::size_t begin = 0; begin < tables.size(); begin += kAtOnce) {
    std::string names;
    for (const HashedTable& table : std::span(tables).subspan(begin, std::min(kAtOnce, tables.size() - begin))) {
      names += (names.empty() ? "ONLY " : ", ONLY ") + relation(table);
    }
    if (auto locked = connection.execute("LOCK TABLE " + names + " IN ACCESS SHARE MODE"); !locked) return pass(locked, "lock the tables for reading");
  }
  return {};
}

Result<std::vector<TableHash>> hash_all(Connection& connection, const std::vector<HashedTable>& tables, const std::atomic<bool>& give_up) {
  auto function = row_hash(connection);
  if (!function) return pass(function);
  std::vector<TableHash> hashes;
  for (const HashedTable& table : tables) {
    if (give_up) return fail(ErrorCode::kCancelled, phrase("hash the tables: cancelled"));
    const auto number = fmt::format(fmt::runtime(function->sql), table.row);
    auto rows = connection.query(fmt::format("SELECT {} FROM ONLY {} t", fmt::format(fmt::runtime(kSum), number), relation(table)));
    if (!rows) return pass(rows, phrase("hash table {}.{}", table.schema, table.table));
    auto hash = hash_of(std::move(*rows), function->digit, table.schema, table.table);
    if (!hash) return pass(hash);
    hashes.push_back(std::move(*hash));
  }
  auto any = connection.query("SELECT EXISTS (SELECT FROM pg_largeobject_metadata)");
  if (!any) return pass(any, "large objects");
  if (any->text(0, 0) != "t" || give_up) return hashes;
  auto rows = connection.query(kLargeObjects);
  if (!rows) return pass(rows, "hash the large objects");
  auto hash = hash_of(std::move(*rows), kMd5.digit, "pg_catalog", "pg_largeobject");
  if (!hash) return pass(hash);
  hashes.push_back(std::move(*hash));
  return hashes;
}

Result<std::vector<TableHash>> hash_tables(Connection& database) {
  std::optional<Connection::Transaction> own;
  if (!database.in_transaction()) {
    auto begun = database.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!begun) return pass(begun);
    own.emplace(std::move(*begun));
  }
  if (auto pinned = pin_text_forms(database); !pinned) return pass(pinned);
  auto tables = hashed_tables(database);
  if (!tables) return pass(tables);
  const std::atomic<bool> never = false;
  auto hashes = hash_all(database, *tables, never);
  if (own && hashes) {
    if (auto ended = own->commit(); !ended) return pass(ended);
  }
  return hashes;
}

Status compare_hashes(const std::vector<TableHash>& expected, const std::vector<TableHash>& found) {
  const auto by_name = [](const std::vector<TableHash>& tables) {
    std::map<std::pair<std::string, std::string>, const TableHash*> map;
    for (const TableHash& table : tables) map[{table.schema, table.table}] = &table;
    return map;
  };
  const auto wanted = by_name(expected), there = by_name(found);
  for (const auto& [name, table] : wanted) {
    const auto other = there.find(name);
    const bool other_function = other != there.end() && table->hash.substr(0, 1) != other->second->hash.substr(0, 1);
    if (other_function) return fail(ErrorCode::kUnsupported, phrase("compare tables: this server computes other hashes than the one that was dumped"));
  }
  constexpr std::size_t kNamed = 10;
  std::vector<std::string> differ;
  for (const auto& [name, table] : wanted) {
    const auto other = there.find(name);
    const bool same = other != there.end() && other->second->rows == table->rows && other->second->hash == table->hash;
    if (!same) differ.push_back(fmt::format("{}.{} ({} / {})", name.first, name.second, table->rows, other == there.end() ? "-" : std::to_string(other->second->rows)));
  }
  for (const auto& [name, table] : there) {
    if (!wanted.contains(name)) differ.push_back(fmt::format("{}.{} (- / {})", name.first, name.second, table->rows));
  }
  if (differ.empty()) return {};
  const auto shown = fmt::format("{}{}", fmt::join(std::span(differ).first(std::min(kNamed, differ.size())), ", "), differ.size() > kNamed ? ", …" : "");
  return fail(ErrorCode::kDamaged, phrase("compare tables: {} of {} are not what was dumped (rows then / now): {}", differ.size(), wanted.size(), shown));
}

}  // namespace verbund::backup
