#include "feed/tables.h"

#include "base/messages.h"
#include "feed/catalog.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

class Loader {
 public:
  Loader(Connection& source, Tables& tables, const std::vector<TrackedTable>& wanted, const FormerTables& former)
      : source_(source), tables_(tables), former_(former) {
    for (const TrackedTable& table : wanted) wanted_.emplace(table.schema, table.table);
  }

  /// Index of the table, loaded when it wasn't; nullopt when it is left out.
  Result<std::optional<std::size_t>> table(const std::string& schema, const std::string& name) {
    const TableName wanted(schema, name);
    if (const auto known = indexes_.find(wanted); known != indexes_.end()) return known->second;
    const auto before = former_.find(wanted);
    auto found = find_table(source_, wanted, before == former_.end() ? 0 : before->second.relation);
    if (!found) return pass(found, phrase("table {}", shown_name(schema, name)));
    std::string reason = found->reason;
    if (found->root && wanted_.contains(*found->root)) {
      reason = translated(Language::kEnglish, "it is a partition of {}, which is captured", shown_name(found->root->first, found->root->second));
    }
    const bool was_captured = before != former_.end();
    if (reason.empty() && was_captured) reason = before->second.paused;
    if (!reason.empty()) {
      tables_.excluded.emplace_back(shown_name(schema, name), reason);
      tables_.left_out.push_back({wanted, std::move(reason), was_captured && found->table.relation != 0});
      return indexes_[wanted] = std::nullopt;
    }
    if (const auto same = tables_.find(found->table.relation)) return indexes_[wanted] = same;
    tables_.all.push_back(std::move(found->table));
    return indexes_[wanted] = tables_.all.size() - 1;
  }

  Status add(TrackedTable wanted) {
    auto index = table(wanted.schema, wanted.table);
    if (!index) return pass(index);
    if (*index) {
      const CapturedTable& child = tables_.all[**index];
      std::tie(wanted.schema, wanted.table) = std::tie(child.schema, child.table);
      tables_.all[**index].images |= wanted.images;
      if (!wanted.record_type.empty()) {
        auto mapping = way(wanted, **index);
        if (!mapping) return pass(mapping);
        if (*mapping) {
          tables_.all[**index].has_parents |= !(*mapping)->hops.empty();
          tables_.all[**index].mappings.push_back(std::move(**mapping));
        }
      }
    }
    tables_.tracked.push_back(std::move(wanted));
    return {};
  }

 private:
  /// The way from a table to its record; puts the present names into `wanted`. nullopt: there is none for now.
  Result<std::optional<Mapping>> way(TrackedTable& wanted, std::size_t child) {
    Mapping mapping{wanted.record_type, {}};
    std::size_t at = child;
    for (Hop& hop : wanted.path) {
      auto parent = table(hop.parent_schema, hop.parent_table);
      if (!parent) return pass(parent);
      if (!*parent) {
        tables_.excluded.emplace_back(
            fmt::format("{} → {}", tables_.all[child].shown, wanted.record_type),
            translated(Language::kEnglish, "its way leads through {}, which is not captured", shown_name(hop.parent_schema, hop.parent_table)));
        tables_.all[child].complaints.push_back(
            translated(Language::kEnglish, "its way to {} leads through {}, which is not captured", wanted.record_type, shown_name(hop.parent_schema, hop.parent_table)));
        return std::nullopt;
      }
      auto resolved = resolve(tables_.all[at], hop, **parent);
      if (!resolved && was_resolved(child, at, **parent)) {
        tables_.all[child].complaints.push_back(translated(Language::kEnglish, "no way to {} any more: {}", wanted.record_type, resolved.error().message));
        return std::nullopt;
      }
      if (!resolved) return pass(resolved);
      mapping.hops.push_back(std::move(*resolved));
      std::tie(hop.parent_schema, hop.parent_table) = std::tie(tables_.all[**parent].schema, tables_.all[**parent].table);
      at = **parent;
    }
    return mapping;
  }

  /// They have been captured already: the configuration was right once.
  bool was_resolved(std::size_t child, std::size_t from, std::size_t to) const {
    return std::ranges::all_of(std::array{child, from, to}, [&](std::size_t at) { return former_.contains(tables_.all[at].configured); });
  }

  /// The column's place; under its present name when it was renamed.
  [[nodiscard]] std::optional<std::size_t> position(const CapturedTable& table, const std::string& name) const {
    const auto place = [&](const auto& column) { return static_cast<std::size_t>(column - table.columns.begin()); };
    const auto column = std::ranges::find(table.columns, name, &Column::name);
    if (column != table.columns.end()) return place(column);
    const auto before = former_.find(table.configured);
    if (before == former_.end() || !before->second.layout || before->second.relation != table.relation) return std::nullopt;
    const Layout::Column* was = before->second.layout->named(name);
    if (was == nullptr) return std::nullopt;
    const auto renamed = std::ranges::find(table.columns, was->number, &Column::number);
    return renamed == table.columns.end() ? std::nullopt : std::optional(place(renamed));
  }

  Result<std::vector<std::size_t>> positions(const CapturedTable& table, const std::vector<std::string>& names) const {
    std::vector<std::size_t> found;
    for (const std::string& name : names) {
      const auto column = position(table, name);
      if (!column) return fail(ErrorCode::kBadConfig, phrase("feed, table {}: there is no column {}", table.shown, name));
      found.push_back(*column);
    }
    return found;
  }

  /// Puts the columns' present names into `hop`.
  Result<ResolvedHop> resolve(const CapturedTable& child, Hop& hop, std::size_t parent) {
    const CapturedTable& target = tables_.all[parent];
    auto own = positions(child, hop.columns);
    auto referenced = positions(target, hop.parent_columns);
    if (!own) return pass(own);
    if (!referenced) return pass(referenced);
    if (own->size() != referenced->size() || own->empty()) {
      return fail(ErrorCode::kBadConfig, phrase("feed, {} → {}: the numbers of columns differ", child.shown, target.shown));
    }
    for (std::size_t i = 0; i < own->size(); ++i) {
      hop.columns[i] = child.columns[(*own)[i]].name;
      hop.parent_columns[i] = target.columns[(*referenced)[i]].name;
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
  const FormerTables& former_;
  std::set<TableName> wanted_;
  std::map<TableName, std::optional<std::size_t>> indexes_;
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

std::optional<std::size_t> Tables::find(std::uint32_t relation) const {
  const auto found = std::ranges::find(all, relation, &CapturedTable::relation);
  return found == all.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - all.begin()));
}

Result<Tables> Tables::load(Connection& source, const std::vector<TrackedTable>& wanted, const FormerTables& former) {
  Tables tables;
  Loader loader(source, tables, wanted, former);
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
  const auto broken = [] { return fail(ErrorCode::kInternal, phrase("an array of the journal is broken")); };
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
