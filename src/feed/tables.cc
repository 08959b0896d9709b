#include "feed/tables.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

std::string shown_name(std::string_view schema, std::string_view table) {
  return schema == "public" ? std::string(table) : fmt::format("{}.{}", schema, table);
}

/// Why a table can't be captured; empty: it can. Columns: relkind, relpersistence, relreplident, has a primary key,
/// the identity index is the primary key.
std::string reason_against(const postgres::Rows& rows) {
  if (rows.size() == 0) return "there is no such table";
  const auto is = [&](int column, std::string_view value) { return rows.text(0, column) == value; };
  if (!is(0, "r")) return is(0, "p") ? "it is partitioned; name its partitions instead" : "it is no table";
  if (!is(1, "p")) return "it is unlogged or temporary: its changes are not in the log";
  if (!is(3, "t")) return "it has no primary key: publishing it would make the application's UPDATE and DELETE fail";
  if (is(2, "n")) return "its replica identity is NOTHING: publishing it would make the application's UPDATE fail";
  if (is(2, "i") && !is(4, "t")) return "its replica identity is another index than the primary key";
  return {};
}

Status load_columns(Connection& source, CapturedTable& table) {
  // pgoutput leaves out generated columns.
  auto rows = source.query(
      "SELECT a.attname, a.atttypid, a.atttypmod, "
      // Behind indnkeyatts stand the columns of INCLUDE, which are not of the key. Places count from 0.
      "       coalesce(CASE WHEN array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts"
      "                     THEN array_position(i.indkey::int2[], a.attnum) END, -1)"
      "  FROM pg_attribute a JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary"
      " WHERE a.attrelid = (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
      "                      WHERE n.nspname = $1 AND c.relname = $2)"
      "   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum",
      {table.schema, table.table});
  if (!rows) return pass(rows, "columns of " + table.shown);
  std::map<int, std::size_t> key;
  for (int row = 0; row < rows->size(); ++row) {
    const auto type = parse_u64(rows->text(row, 1));
    if (!type) return std::unexpected(type.error());
    table.columns.push_back({std::string(rows->text(row, 0)), static_cast<std::uint32_t>(*type),
                             std::atoi(std::string(rows->text(row, 2)).c_str())});
    const int place = std::atoi(std::string(rows->text(row, 3)).c_str());
    if (place >= 0) key[place] = table.columns.size() - 1;
  }
  for (const auto& [place, column] : key) table.key.push_back(column);
  return {};
}

class Loader {
 public:
  Loader(Connection& source, Tables& tables) : source_(source), tables_(tables) {}

  /// Index of the table, loaded when it wasn't; nullopt when it is excluded.
  Result<std::optional<std::size_t>> table(const std::string& schema, const std::string& name) {
    if (const auto known = tables_.find(schema, name)) return known;
    const std::string shown = shown_name(schema, name);
    const auto named = [&](const auto& item) { return item.first == shown; };
    if (std::ranges::any_of(tables_.excluded, named)) return std::nullopt;
    auto rows = source_.query(
        "SELECT c.relkind, c.relpersistence, c.relreplident,"
        "       EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary),"
        "       EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary AND indisreplident)"
        "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        {schema, name});
    if (!rows) return pass(rows, "table " + shown);
    if (std::string reason = reason_against(*rows); !reason.empty()) {
      tables_.excluded.emplace_back(shown, std::move(reason));
      return std::nullopt;
    }
    CapturedTable table;
    table.schema = schema;
    table.table = name;
    table.shown = shown;
    if (auto loaded = load_columns(source_, table); !loaded) return pass(loaded);
    tables_.all.push_back(std::move(table));
    return tables_.all.size() - 1;
  }

  Status add(const TrackedTable& wanted) {
    auto index = table(wanted.schema, wanted.table);
    if (!index) return pass(index);
    if (!*index) return {};
    tables_.all[**index].images |= wanted.images;
    if (wanted.record_type.empty()) return {};
    Mapping mapping{wanted.record_type, {}};
    std::size_t at = **index;
    for (const Hop& hop : wanted.path) {
      auto parent = table(hop.parent_schema, hop.parent_table);
      if (!parent) return pass(parent);
      if (!*parent) {
        tables_.excluded.emplace_back(
            fmt::format("{} → {}", tables_.all[**index].shown, wanted.record_type),
            fmt::format("its way leads through {}, which is not captured", shown_name(hop.parent_schema, hop.parent_table)));
        return {};
      }
      auto resolved = resolve(tables_.all[at], hop, **parent);
      if (!resolved) return pass(resolved);
      mapping.hops.push_back(std::move(*resolved));
      at = **parent;
    }
    tables_.all[**index].has_parents |= !mapping.hops.empty();
    tables_.all[**index].mappings.push_back(std::move(mapping));
    return {};
  }

 private:
  static Result<std::vector<std::size_t>> positions(const CapturedTable& table, const std::vector<std::string>& names) {
    std::vector<std::size_t> found;
    for (const std::string& name : names) {
      const auto column = std::ranges::find(table.columns, name, &Column::name);
      if (column == table.columns.end()) {
        return fail(ErrorCode::kBadConfig, fmt::format("feed, table {}: there is no column {}", table.shown, name));
      }
      found.push_back(static_cast<std::size_t>(column - table.columns.begin()));
    }
    return found;
  }

  Result<ResolvedHop> resolve(const CapturedTable& child, const Hop& hop, std::size_t parent) {
    const CapturedTable& target = tables_.all[parent];
    auto own = positions(child, hop.columns);
    auto referenced = positions(target, hop.parent_columns);
    if (!own) return pass(own);
    if (!referenced) return pass(referenced);
    if (own->size() != referenced->size() || own->empty()) {
      return fail(ErrorCode::kBadConfig, fmt::format("feed, {} → {}: the numbers of columns differ", child.shown, target.shown));
    }
    Lookup lookup{parent, *referenced, std::ranges::is_permutation(*referenced, target.key)};
    ResolvedHop resolved{*own, 0};
    if (lookup.by_key) {
      // In the key's order, whatever the order of the foreign key.
      lookup.columns = target.key;
      for (std::size_t i = 0; i < target.key.size(); ++i) {
        const auto place = std::ranges::find(*referenced, target.key[i]) - referenced->begin();
        resolved.columns[i] = (*own)[static_cast<std::size_t>(place)];
      }
    }
    resolved.lookup = add_lookup(std::move(lookup));
    return resolved;
  }

  std::size_t add_lookup(Lookup lookup) {
    for (std::size_t i = 0; i < tables_.lookups.size(); ++i) {
      if (tables_.lookups[i].table == lookup.table && tables_.lookups[i].columns == lookup.columns) return i;
    }
    tables_.lookups.push_back(std::move(lookup));
    return tables_.lookups.size() - 1;
  }

  Connection& source_;
  Tables& tables_;
};

void note_path_columns(Tables& tables) {
  std::vector<std::set<std::size_t>> needed(tables.all.size());
  for (std::size_t i = 0; i < tables.all.size(); ++i) {
    needed[i].insert(tables.all[i].key.begin(), tables.all[i].key.end());
    for (const Mapping& mapping : tables.all[i].mappings) {
      std::size_t at = i;
      for (const ResolvedHop& hop : mapping.hops) {
        needed[at].insert(hop.columns.begin(), hop.columns.end());
        at = tables.lookups[hop.lookup].table;
        // The last hop to a root's primary key reads no row of the root.
        const bool direct = &hop == &mapping.hops.back() && tables.lookups[hop.lookup].by_key;
        auto& reading = tables.all[at].lookups;
        if (!direct && std::ranges::find(reading, hop.lookup) == reading.end()) reading.push_back(hop.lookup);
      }
    }
  }
  for (const Lookup& lookup : tables.lookups) needed[lookup.table].insert(lookup.columns.begin(), lookup.columns.end());
  for (std::size_t i = 0; i < tables.all.size(); ++i) tables.all[i].path_columns.assign(needed[i].begin(), needed[i].end());
}

void append_escaped(std::string& out, std::string_view part) {
  for (const char c : part) {
    if (c == ',' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
}

}  // namespace

std::string CapturedTable::layout() const {
  std::string text;
  for (const Column& column : columns) text += fmt::format("{}:{}:{}\n", column.name, column.type, column.modifier);
  text += "key";
  for (const std::size_t column : key) text += fmt::format(" {}", column);
  return text;
}

std::string CapturedTable::key_of(const Row& row) const {
  std::vector<std::string_view> parts;
  for (const std::size_t column : key) parts.push_back(row[column] ? *row[column] : std::string_view{});
  return join_key(parts);
}

std::optional<std::size_t> Tables::find(std::string_view schema, std::string_view table) const {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].table == table && all[i].schema == schema) return i;
  }
  return std::nullopt;
}

Result<Tables> Tables::load(Connection& source, const std::vector<TrackedTable>& wanted) {
  Tables tables;
  Loader loader(source, tables);
  for (const TrackedTable& table : wanted) {
    if (auto added = loader.add(table); !added) return pass(added);
  }
  note_path_columns(tables);
  return tables;
}

std::string join_key(std::span<const std::string_view> parts) {
  if (parts.size() == 1) return std::string(parts[0]);
  std::string joined;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) joined.push_back(',');
    append_escaped(joined, parts[i]);
  }
  return joined;
}

std::string lookup_expression(const CapturedTable& table, std::span<const std::size_t> columns) {
  std::string expression;
  for (const std::size_t column : columns) {
    const std::string name = Connection::quote_identifier(table.columns[column].name);
    if (columns.size() == 1) return name;
    if (!expression.empty()) expression += " || ',' || ";
    expression += fmt::format(R"(replace(replace({}, '\', '\\'), ',', '\,'))", name);
  }
  return "(" + expression + ")";
}

void TextArray::add(std::optional<std::string_view> value) {
  if (size_++ > 0) text_.push_back(',');
  if (!value) {
    text_ += "NULL";
    return;
  }
  text_.push_back('"');
  for (const char c : *value) {
    if (c == '"' || c == '\\') text_.push_back('\\');
    text_.push_back(c);
  }
  text_.push_back('"');
}

std::string TextArray::take() {
  text_.push_back('}');
  size_ = 0;
  return std::exchange(text_, "{");
}

Result<std::vector<std::optional<std::string>>> read_array(std::string_view literal) {
  const auto broken = [] { return fail(ErrorCode::kInternal, "an array of the journal is broken"); };
  if (literal.size() < 2 || literal.front() != '{' || literal.back() != '}') return broken();
  literal = literal.substr(1, literal.size() - 2);
  std::vector<std::optional<std::string>> values;
  while (!literal.empty()) {
    std::string value;
    const bool in_quotes = literal.front() == '"';
    std::size_t at = in_quotes ? 1 : 0;
    for (const char end = in_quotes ? '"' : ','; at < literal.size() && literal[at] != end; ++at) {
      if (literal[at] == '\\' && ++at == literal.size()) return broken();
      value.push_back(literal[at]);
    }
    if (in_quotes && at++ >= literal.size()) return broken();
    if (!in_quotes && value == "NULL") {
      values.emplace_back();
    } else {
      values.emplace_back(std::move(value));
    }
    if (at < literal.size() && literal[at] != ',') return broken();
    literal.remove_prefix(std::min(at + 1, literal.size()));
  }
  return values;
}

std::string quoted(std::string_view schema, std::string_view table) {
  return Connection::quote_identifier(schema) + "." + Connection::quote_identifier(table);
}

}  // namespace verbund::feed
