#include "backup/table_hashes.h"

#include <algorithm>

#include "backup/row_sum.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

using postgres::Connection;

/// Names of objects in full, as pg_dump has them; everything else that a value's text depends on as pg_dump sets it, or as
/// kPinnedOptions tell it to. lc_monetary is left: a dump is only read where it is the same.
constexpr const char* kPinned = R"sql(
SET LOCAL search_path = '';
SET LOCAL datestyle = 'ISO';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL timezone = 'UTC';
SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = 'hex';
SET LOCAL quote_all_identifiers = off;
SET LOCAL row_security = off;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL jit = off;
)sql";

constexpr const char* kTables = R"sql(
SELECT n.nspname, c.relname, a.attname, c.relpersistence = 'u'
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)'
   AND (c.relpersistence = 'p' OR NOT pg_is_in_recovery())
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", a.attnum
)sql";

/// In pieces, so that none has to lie in memory as a whole; holes are read as zeros, as pg_dump reads them.
constexpr const char* kLargeObjects = R"sql(
COPY (SELECT s.oid, lo_get(s.oid, s.piece * 1048576, 1048576)
        FROM (SELECT o.oid, piece
                FROM (SELECT oid, lo_lseek64(fd, 0, 2) AS bytes, lo_close(fd) AS closed
                        FROM (SELECT m.oid, lo_open(m.oid, 262144) AS fd FROM pg_largeobject_metadata m OFFSET 0) opened OFFSET 0) o,
                     generate_series(0, o.bytes / 1048576) AS piece
               ORDER BY 1, 2 OFFSET 0) s) TO STDOUT
)sql";

std::string relation(const HashedTable& table) {
  return Connection::quote_identifier(table.schema) + "." + Connection::quote_identifier(table.table);
}

/// As they were read when the hash to compare with was made, if they are the same ones.
std::vector<std::string> columns_of(const HashedTable& table, const std::vector<TableHash>& like) {
  const auto other = std::ranges::find_if(like, [&](const TableHash& each) { return each.schema == table.schema && each.table == table.table; });
  const bool same = other != like.end() && std::ranges::is_permutation(other->columns, table.columns);
  return same ? other->columns : table.columns;
}

/// UTF-8 whatever the database's encoding, so that hashes can be told from a text that was written so.
std::string copy_of(const HashedTable& table, const std::vector<std::string>& columns) {
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "" : ", ") + Connection::quote_identifier(column);
  return fmt::format("COPY {} {} TO STDOUT (ENCODING 'UTF8')", relation(table), list.empty() ? list : "(" + list + ")");
}

std::optional<unsigned char> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned char>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned char>(c - 'a' + 10);
  return std::nullopt;
}

/// "OID<tab>\\\\x00ff": the text form of COPY. False: it is not.
bool read_piece(std::string_view line, std::string& oid, std::string& bytes) {
  constexpr std::string_view kHex = "\\\\x";
  const auto tab = line.find('\t');
  if (tab == std::string_view::npos || !line.ends_with('\n')) return false;
  oid = line.substr(0, tab);
  line = line.substr(tab + 1, line.size() - tab - 2);
  if (!line.starts_with(kHex) || line.size() % 2 != kHex.size() % 2) return false;
  line.remove_prefix(kHex.size());
  bytes.resize(line.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = digit(line[2 * i]), low = digit(line[2 * i + 1]);
    if (!high || !low) return false;
    bytes[i] = static_cast<char>(*high << 4 | *low);
  }
  return true;
}

/// Each object's hash is that of ArchiveRows.
class LargeObjects {
 public:
  bool take(std::string_view line) {
    std::string oid;
    if (!read_piece(line, oid, bytes_)) return false;
    if (oid != oid_) {
      end();
      oid_ = std::move(oid);
      ++count_;
      hash_.begin();
      hash_.update(oid_ + ':');
    }
    hash_.update(bytes_);
    return true;
  }
  TableHash done() {
    end();
    return {"pg_catalog", "pg_largeobject", count_, sum_.text(), {}};
  }

 private:
  void end() {
    if (!oid_.empty()) sum_.add(hash_.value());
  }
  std::string oid_, bytes_;
  Hash64 hash_;
  HashSum sum_;
  std::uint64_t count_ = 0;
};

Status gave_up() { return fail(ErrorCode::kCancelled, phrase("hash the tables: cancelled")); }

Result<TableHash> hash_one(Connection& connection, const HashedTable& table, std::vector<std::string> columns, const std::function<bool()>& cancelled) {
  constexpr std::uint64_t kAskedEvery = 4096;
  RowSum sum;
  auto copied = connection.copy_out(copy_of(table, columns), [&](std::string_view row) {
    sum.take(row);
    return sum.rows() % kAskedEvery != 0 || !cancelled();
  });
  if (!copied && copied.error().code == ErrorCode::kCancelled) return std::unexpected(gave_up().error());
  if (!copied) return pass(copied, phrase("hash table {}.{}", table.schema, table.table));
  return TableHash{table.schema, table.table, sum.rows(), sum.text(), std::move(columns), table.unlogged};
}

Result<TableHash> hash_large_objects(Connection& connection, const std::function<bool()>& cancelled) {
  LargeObjects objects;
  bool understood = true;
  auto copied = connection.copy_out(kLargeObjects, [&](std::string_view line) {
    understood = understood && objects.take(line);
    return understood && !cancelled();
  });
  if (!understood) return fail(ErrorCode::kInternal, phrase("hash the large objects: the server's answer is not understood"));
  if (!copied && copied.error().code == ErrorCode::kCancelled) return std::unexpected(gave_up().error());
  if (!copied) return pass(copied, "hash the large objects");
  return objects.done();
}

}  // namespace

const char* const kPinnedOptions = "-c timezone=UTC -c bytea_output=hex -c quote_all_identifiers=off -c jit=off";

Status pin_text_forms(Connection& connection) { return connection.execute(kPinned); }

Result<std::vector<HashedTable>> hashed_tables(Connection& connection) {
  auto rows = connection.query(kTables);
  if (!rows) return pass(rows, "tables of the database");
  std::vector<HashedTable> tables;
  for (int row = 0; row < rows->size(); ++row) {
    const auto schema = rows->text(row, 0), table = rows->text(row, 1);
    if (tables.empty() || tables.back().schema != schema || tables.back().table != table) tables.push_back({std::string(schema), std::string(table), {}, rows->text(row, 3) == "t"});
    if (!rows->null(row, 2)) tables.back().columns.emplace_back(rows->text(row, 2));
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

Result<std::vector<TableHash>> hash_all(Connection& connection, const std::vector<HashedTable>& tables, const std::vector<TableHash>& like,
                                        const std::function<bool()>& cancelled) {
  std::vector<TableHash> hashes;
  for (const HashedTable& table : tables) {
    if (cancelled()) return std::unexpected(gave_up().error());
    auto hash = hash_one(connection, table, columns_of(table, like), cancelled);
    if (!hash) return pass(hash);
    hashes.push_back(std::move(*hash));
  }
  auto any = connection.query("SELECT EXISTS (SELECT FROM pg_largeobject_metadata)");
  if (!any) return pass(any, "large objects");
  if (any->text(0, 0) != "t") return hashes;
  auto objects = hash_large_objects(connection, cancelled);
  if (!objects) return pass(objects);
  hashes.push_back(std::move(*objects));
  return hashes;
}

Result<std::vector<TableHash>> hash_tables(Connection& database, const std::vector<TableHash>& like) {
  std::optional<Connection::Transaction> own;
  if (!database.in_transaction()) {
    auto begun = database.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!begun) return pass(begun);
    own.emplace(std::move(*begun));
  }
  if (auto pinned = pin_text_forms(database); !pinned) return pass(pinned);
  auto tables = hashed_tables(database);
  if (!tables) return pass(tables);
  auto hashes = hash_all(database, *tables, like, [] { return false; });
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
  const auto other_function = [](const TableHash& table) { return !table.hash.starts_with('c'); };
  if (std::ranges::any_of(expected, other_function)) {
    return fail(ErrorCode::kUnsupported, phrase("compare tables: the set was made with a hash function that this version does not know"));
  }
  constexpr std::size_t kNamed = 10;
  std::vector<std::string> differ;
  for (const auto& [name, table] : wanted) {
    const auto other = there.find(name);
    const bool same = other != there.end() && other->second->rows == table->rows && other->second->hash == table->hash;
    if (!same) differ.push_back(fmt::format("{}.{} ({} / {})", name.first, name.second, table->rows, other == there.end() ? "-" : std::to_string(other->second->rows)));
  }
  for (const auto& [name, table] : there) {
    // A set that was made on a mirror has such a table without rows, and no hash of it.
    const bool left_out = table->unlogged && table->rows == 0;
    if (!wanted.contains(name) && !left_out) differ.push_back(fmt::format("{}.{} (- / {})", name.first, name.second, table->rows));
  }
  if (differ.empty()) return {};
  const auto shown = fmt::format("{}{}", fmt::join(std::span(differ).first(std::min(kNamed, differ.size())), ", "), differ.size() > kNamed ? ", …" : "");
  return fail(ErrorCode::kDamaged, phrase("compare tables: {} of {} are not what was dumped (rows then / now): {}", differ.size(), wanted.size(), shown));
}

}  // namespace verbund::backup
