// From record types to trigger functions.
#include "guard/mapping.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/messages.h"

namespace verbund::guard {
namespace {

using postgres::Connection;
using records::ForeignKey;
using records::RecordType;

const auto quote = Connection::quote_identifier;

void add(std::vector<Mapped>& tables, std::string schema, std::string table, std::vector<ForeignKey> way) {
  auto found = std::ranges::find_if(tables, [&](const Mapped& known) { return known.schema == schema && known.table == table; });
  if (found == tables.end()) found = tables.insert(tables.end(), Mapped{std::move(schema), std::move(table), {}});
  const auto same = [&](const std::vector<ForeignKey>& other) {
    return std::ranges::equal(other, way, [](const ForeignKey& a, const ForeignKey& b) {
      return a.columns == b.columns && a.parent_schema == b.parent_schema && a.parent_table == b.parent_table &&
             a.parent_columns == b.parent_columns;
    });
  };
  if (std::ranges::none_of(found->ways, same)) found->ways.push_back(std::move(way));
}

/// Types whose values have one text each, and the same one as other types of their group.
std::string_view exact_group(const ColumnType& type) {
  if (!type.exact) return {};
  for (const char* whole : {"smallint", "integer", "bigint"}) {
    if (type.name == whole) return "number";
  }
  for (const char* text : {"text", "character varying"}) {
    if (type.name == text) return "text";
  }
  for (const char* other : {"uuid", "boolean", "date", "timestamp without time zone", "timestamp with time zone"}) {
    if (type.name == other) return other;
  }
  return {};
}

bool depends_on_settings(const ColumnType& type) {
  const auto group = exact_group(type);
  return group != "number" && group != "text" && group != "uuid" && group != "boolean";
}

/// Writes the statements of one table's function. Every function, operator and type in them is named with its schema: that is as
/// safe as a pinned search_path, which costs each row 35 µs. Only where other settings must be pinned anyway it is, too.
class Writer {
 public:
  Writer(const RecordType& type, const Mapped& table, const ColumnTypes& types, Mode mode)
      : type_(type), table_(table), types_(types), mode_(mode) {}

  Result<std::string> write(const std::string& function) {
    for (const auto& way : table_.ways) {
      if (auto can = check_way(way); !can) return pass(can);
    }
    std::string body = usual_case() + "  DECLARE\n    verbund_shown pg_catalog.text[] := pg_catalog.string_to_array(pg_catalog.replace("
                                      "pg_catalog.current_setting('verbund.token', true), ' ', ''), ',');\n"
                                      "    verbund_was pg_catalog.text;\n    verbund_is pg_catalog.text;\n  BEGIN\n";
    for (const auto& way : table_.ways) body += blocks(way);
    body += "  END;\n";
    const bool settings = std::ranges::any_of(type_.key, [&](const std::string& column) { return depends_on_settings(root_type(column)); });
    if (mode_ == Mode::kWarn) {
      // Warn mode fails nobody, whatever becomes of the tables: a column that is gone is met as a warning, too.
      body = fmt::format("  BEGIN\n{}  EXCEPTION WHEN undefined_column OR undefined_table OR undefined_function THEN\n"
                         "    PERFORM verbund_guard.warn({}, {}, 'mapping');\n  END;\n",
                         body, Connection::quote_literal(type_.type), relation());
    }
    return fmt::format(
        "CREATE OR REPLACE FUNCTION verbund_guard.{}() RETURNS trigger\nLANGUAGE plpgsql SECURITY DEFINER{} AS {}",
        quote(function), settings ? kExactText : "",
        Connection::quote_literal(fmt::format("BEGIN\n{}  RETURN NULL;\nEND", body)));
  }

 private:
  /// Keys are written as the feed writes them, whatever the session has set.
  static constexpr const char* kExactText =
      " SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET timezone = 'UTC' SET extra_float_digits = 3"
      " SET bytea_output = 'hex'";

  [[nodiscard]] const ColumnType& type_of(const std::string& schema, const std::string& table, const std::string& column) const {
    static const ColumnType unknown{"", false, false};
    const auto found = types_.find(column_name(schema, table, column));
    return found == types_.end() ? unknown : found->second;
  }
  [[nodiscard]] const ColumnType& root_type(const std::string& column) const {
    return type_of(type_.schema, type_.table, column);
  }
  [[nodiscard]] std::string relation() const {
    return Connection::quote_literal(fmt::format("{}.{}", table_.schema, table_.table));
  }

  /// One part of the record's id, as records::join_key writes it.
  static std::string part(const std::string& value, const ColumnType& type) {
    const auto group = exact_group(type);
    if (!group.empty() && group != "text") return value + "::pg_catalog.text";
    // A collation that ignores case can't be searched in.
    return fmt::format(R"(pg_catalog.replace(pg_catalog.replace({}::pg_catalog.text COLLATE pg_catalog."C", E'\\', E'\\\\'), ',', E'\\,'))", value);
  }

  /// The columns of `way`'s last table but the root that hold the root's key: the root itself need not be read.
  [[nodiscard]] std::optional<std::vector<std::string>> key_before_root(const std::vector<ForeignKey>& way) const {
    if (way.empty()) return std::nullopt;
    const auto& last = way.back();
    const auto [schema, table] = table_before_root(way);
    std::vector<std::string> columns;
    for (const auto& key : type_.key) {
      const auto at = std::ranges::find(last.parent_columns, key) - last.parent_columns.begin();
      if (at == std::ssize(last.parent_columns)) return std::nullopt;
      const auto& column = last.columns[static_cast<std::size_t>(at)];
      const auto group = exact_group(root_type(key));
      if (group.empty() || group != exact_group(type_of(schema, table, column))) return std::nullopt;
      columns.push_back(column);
    }
    return columns;
  }
  [[nodiscard]] std::pair<std::string, std::string> table_before_root(const std::vector<ForeignKey>& way) const {
    if (way.size() == 1) return {table_.schema, table_.table};
    const auto& step = way[way.size() - 2];
    return {step.parent_schema, step.parent_table};
  }

  Status check_way(const std::vector<ForeignKey>& way) const {
    const auto steps = key_before_root(way) ? way.size() - 1 : way.size();
    for (std::size_t i = 0; i < steps; ++i) {
      for (const auto& column : way[i].parent_columns) {
        if (type_of(way[i].parent_schema, way[i].parent_table, column).builtin) continue;
        return fail(ErrorCode::kUnsupported,
                    phrase("guard {}: column {} of {}.{} has a type of an extension, rows of {}.{} can't be led to their record",
                           type_.type, column, way[i].parent_schema, way[i].parent_table, table_.schema, table_.table));
      }
    }
    return {};
  }

  /// One statement and one expression for a row of one record whose key stays and whose token alone is shown: each further one would
  /// cost such a write some percent. What it does not let pass is looked at closely below. Empty: the table leads to its records otherwise.
  [[nodiscard]] std::string usual_case() const {
    if (table_.ways.size() != 1) return {};
    const auto& way = table_.ways.front();
    const auto direct = key_before_root(way);
    if (!way.empty() && (way.size() > 1 || !direct)) return {};
    const auto& columns = direct ? *direct : type_.key;
    std::vector<std::string> parts, same;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto column = quote(columns[i]);
      const auto& type = root_type(type_.key[i]);
      // Of the row that was, else of the one that is: INSERT has no OLD. A key that was NULL in part is never the same below.
      parts.push_back(part(fmt::format("COALESCE(OLD.{0}, NEW.{0})", column), type));
      const auto* compared = exact_group(type).empty() ? R"(::pg_catalog.text COLLATE pg_catalog."C")" : "";
      same.push_back(fmt::format("NEW.{0}{1} OPERATOR(pg_catalog.=) OLD.{0}{1}", column, compared));
    }
    return fmt::format(
        "  PERFORM FROM verbund_guard.lock AS l WHERE l.type OPERATOR(pg_catalog.=) {}\n"
        "    AND l.id OPERATOR(pg_catalog.=) ({}) COLLATE pg_catalog.\"C\"\n"
        "    AND l.token::pg_catalog.text OPERATOR(pg_catalog.=) pg_catalog.current_setting('verbund.token', true){};\n"
        "  IF FOUND AND (({}) OR TG_OP OPERATOR(pg_catalog.<>) 'UPDATE') THEN RETURN NULL; END IF;\n",
        Connection::quote_literal(type_.type), fmt::join(parts, " OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) "), share(),
        fmt::join(same, " AND "));
  }

  /// The next holder's token waits for the end of this transaction, and this one waits for a token that is just being
  /// written and sees the new one. FOR KEY SHARE would let a late write slip.
  [[nodiscard]] const char* share() const { return mode_ == Mode::kEnforce ? " FOR SHARE" : ""; }

  /// SQL expression of the record's id for the row NEW or OLD; NULL when the way leads nowhere (yet, or any more): then the
  /// parent's own row is written in the same transaction and guarded.
  [[nodiscard]] std::string key_expression(const std::vector<ForeignKey>& way, const std::string& row) const {
    const auto direct = key_before_root(way);
    const auto steps = way.empty() ? 0 : direct ? way.size() - 1 : way.size();
    const auto end = steps == 0 ? row : fmt::format("t{}", steps);
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < type_.key.size(); ++i) {
      parts.push_back(part(fmt::format("{}.{}", end, quote(direct ? (*direct)[i] : type_.key[i])), root_type(type_.key[i])));
    }
    const auto id = fmt::format("{}", fmt::join(parts, " OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) "));
    if (steps == 0) return id;
    std::string from;
    for (std::size_t i = 0; i < steps; ++i) {
      std::string on;
      for (std::size_t column = 0; column < way[i].columns.size(); ++column) {
        on += fmt::format("{}t{}.{} OPERATOR(pg_catalog.=) {}.{}", column > 0 ? " AND " : "", i + 1, quote(way[i].parent_columns[column]),
                          i == 0 ? row : fmt::format("t{}", i), quote(way[i].columns[column]));
      }
      from += fmt::format("{}{}.{} AS t{} ON {}", i == 0 ? " FROM (VALUES (1)) AS one JOIN " : " JOIN ", quote(way[i].parent_schema),
                          quote(way[i].parent_table), i + 1, on);
    }
    return fmt::format("(SELECT {}{})", id, from);
  }

  [[nodiscard]] std::string check(const std::string& variable) const {
    const auto type = Connection::quote_literal(type_.type);
    const bool enforce = mode_ == Mode::kEnforce;
    return fmt::format(
        "    PERFORM FROM verbund_guard.lock AS l WHERE l.type OPERATOR(pg_catalog.=) {} AND l.id OPERATOR(pg_catalog.=) {}\n"
        "      AND l.token::pg_catalog.text OPERATOR(pg_catalog.=) ANY (verbund_shown){};\n"
        "    IF NOT FOUND THEN PERFORM verbund_guard.{}; END IF;\n",
        type, variable, share(),
        enforce ? fmt::format("refuse({}, {}, {}, TG_OP)", type, variable, relation())
                : fmt::format("warn({}, {}, TG_OP)", type, relation()));
  }

  [[nodiscard]] std::string blocks(const std::vector<ForeignKey>& way) const {
    return fmt::format(
        "  verbund_was := NULL;\n"
        "  IF TG_OP OPERATOR(pg_catalog.<>) 'INSERT' THEN verbund_was := {}; END IF;\n"
        "  IF verbund_was IS NOT NULL THEN\n{}  END IF;\n"
        "  verbund_is := NULL;\n"
        "  IF TG_OP OPERATOR(pg_catalog.<>) 'DELETE' THEN verbund_is := {}; END IF;\n"
        "  IF verbund_is IS NOT NULL AND (verbund_was IS NULL OR verbund_is OPERATOR(pg_catalog.<>) verbund_was) THEN\n{}  END IF;\n",
        key_expression(way, "OLD"), check("verbund_was"), key_expression(way, "NEW"), check("verbund_is"));
  }

  const RecordType& type_;
  const Mapped& table_;
  const ColumnTypes& types_;
  Mode mode_;
};

std::string empty_function(const std::string& function) {
  return fmt::format("CREATE OR REPLACE FUNCTION verbund_guard.{}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                     quote(function));
}

}  // namespace

std::vector<Mapped> tables_of(const RecordType& type) {
  std::vector<Mapped> tables;
  add(tables, type.schema, type.table, {});
  for (const auto& child : type.children) {
    add(tables, child.schema, child.table, child.path);
    for (std::size_t i = 0; i + 1 < child.path.size(); ++i) {
      const auto rest = child.path.begin() + static_cast<std::ptrdiff_t>(i) + 1;
      add(tables, child.path[i].parent_schema, child.path[i].parent_table, {rest, child.path.end()});
    }
  }
  return tables;
}

std::string column_name(const std::string& schema, const std::string& table, const std::string& column) {
  return schema + '\n' + table + '\n' + column;
}

Result<std::string> trigger_function(const std::string& function, const RecordType& type, const Mapped& table,
                                     const ColumnTypes& types, Mode mode) {
  if (mode == Mode::kOff) return empty_function(function);
  return Writer(type, table, types, mode).write(function);
}

std::string truncate_function(const std::string& function, const std::string& type, Mode mode) {
  if (mode == Mode::kOff) return empty_function(function);
  const auto name = Connection::quote_literal(type);
  const auto body = mode == Mode::kWarn
                        ? fmt::format("  PERFORM verbund_guard.warn({}, format('%s.%s', TG_TABLE_SCHEMA, TG_TABLE_NAME), TG_OP);\n"
                                      "  RETURN NULL;\n", name)
                        : fmt::format("  RAISE EXCEPTION USING ERRCODE = 'VG001',\n"
                                      "    MESSAGE = format('verbund guard: TRUNCATE on %s.%s refused: it holds rows of guarded records (%s)',"
                                      " TG_TABLE_SCHEMA, TG_TABLE_NAME, {}),\n"
                                      "    HINT = 'Delete the rows under the work locks of their records, or: verbund guard disable.';\n", name);
  return fmt::format("CREATE OR REPLACE FUNCTION verbund_guard.{}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
                     " SET search_path = pg_catalog, pg_temp AS {}",
                     quote(function), Connection::quote_literal(fmt::format("BEGIN\n{}END", body)));
}

}  // namespace verbund::guard
