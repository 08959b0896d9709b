#include "records/catalog_snapshot.h"

#include <cstdlib>
#include <map>

namespace verbund::records {
namespace {

using postgres::Connection;

/// Ordinary tables of people's own schemas.
#define VERBUND_TABLES                                                                                             \
  "SELECT c.oid, n.nspname, c.relname, c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"   \
  " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'"     \
  " AND n.nspname NOT IN ('information_schema', 'verbund', 'verbund_guard', 'verbund_feed') AND c.relname <> 'verbund_migrations'" \
  " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"

class Reader {
 public:
  explicit Reader(Connection& source) : source_(source) {}

  Result<CatalogSnapshot> read() {
    for (const auto step : {&Reader::tables, &Reader::columns, &Reader::keys, &Reader::foreign_keys}) {
      if (auto done = (this->*step)(); !done) return pass(done, "read the catalog");
    }
    return std::move(snapshot_);
  }

 private:
  SnapshotTable* table(std::string_view oid) {
    const auto found = places_.find(std::string(oid));
    return found == places_.end() ? nullptr : &snapshot_.tables[found->second];
  }

  Status tables() {
    auto rows = source_.query(VERBUND_TABLES " ORDER BY n.nspname, c.relname");
    if (!rows) return pass(rows);
    for (int row = 0; row < rows->size(); ++row) {
      places_[std::string(rows->text(row, 0))] = snapshot_.tables.size();
      SnapshotTable found;
      found.schema = rows->text(row, 1);
      found.table = rows->text(row, 2);
      found.rows = std::strtod(std::string(rows->text(row, 3)).c_str(), nullptr);
      snapshot_.tables.push_back(std::move(found));
    }
    return {};
  }

  Status columns() {
    auto rows = source_.query(
        "SELECT a.attrelid, a.attname, format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL), a.attnotnull"
        " FROM (" VERBUND_TABLES ") AS wanted JOIN pg_attribute a ON a.attrelid = wanted.oid JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum");
    if (!rows) return pass(rows);
    for (int row = 0; row < rows->size(); ++row) {
      if (auto* found = table(rows->text(row, 0))) {
        found->columns.push_back({std::string(rows->text(row, 1)), std::string(rows->text(row, 2)), rows->text(row, 3) == "t"});
      }
    }
    return {};
  }

  Status keys() {
    auto rows = source_.query(
        "SELECT i.indrelid, i.indexrelid, i.indisprimary, a.attname FROM (" VERBUND_TABLES ") AS wanted"
        " JOIN pg_index i ON i.indrelid = wanted.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL"
        " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
        " WHERE k.place <= i.indnkeyatts ORDER BY i.indrelid, i.indexrelid, k.place");
    if (!rows) return pass(rows);
    for (int row = 0; row < rows->size(); ++row) {
      auto* found = table(rows->text(row, 0));
      if (!found) continue;
      const bool next = row == 0 || rows->text(row, 1) != rows->text(row - 1, 1);
      if (rows->text(row, 2) == "t") {
        found->key.emplace_back(rows->text(row, 3));
      } else {
        if (next) found->uniques.emplace_back();
        found->uniques.back().emplace_back(rows->text(row, 3));
      }
    }
    return {};
  }

  Status foreign_keys() {
    auto rows = source_.query(
        "SELECT c.conrelid, c.oid, n.nspname, p.relname, own.attname, theirs.attname FROM (" VERBUND_TABLES ") AS wanted"
        " JOIN pg_constraint c ON c.conrelid = wanted.oid AND c.contype = 'f'"
        " JOIN pg_class p ON p.oid = c.confrelid JOIN pg_namespace n ON n.oid = p.relnamespace"
        " CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(own, theirs, place)"
        " JOIN pg_attribute own ON own.attrelid = c.conrelid AND own.attnum = k.own"
        " JOIN pg_attribute theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = k.theirs"
        " ORDER BY c.conrelid, c.conname, c.oid, k.place");
    if (!rows) return pass(rows);
    for (int row = 0; row < rows->size(); ++row) {
      auto* found = table(rows->text(row, 0));
      if (!found) continue;
      if (row == 0 || rows->text(row, 1) != rows->text(row - 1, 1)) {
        found->foreign_keys.push_back({{}, std::string(rows->text(row, 2)), std::string(rows->text(row, 3)), {}});
      }
      found->foreign_keys.back().columns.emplace_back(rows->text(row, 4));
      found->foreign_keys.back().parent_columns.emplace_back(rows->text(row, 5));
    }
    return {};
  }
#undef VERBUND_TABLES

  Connection& source_;
  CatalogSnapshot snapshot_;
  std::map<std::string, std::size_t> places_;
};

}  // namespace

Result<CatalogSnapshot> read_catalog(Connection& source) { return Reader(source).read(); }

}  // namespace verbund::records
