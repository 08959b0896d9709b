// RecordTypes::load: configuration against catalog.
#include "records/record_types.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/messages.h"
#include "records/catalog.h"
#include "records/statements.h"

namespace verbund::records {
namespace {

using os::ConfigFile;
using postgres::Connection;

/// "FILE:LINE" of a key; of one that is missing the file and which record.
Phrase place(const ConfigFile& config, const std::string& record, const std::string& field) {
  if (const int line = config.line(record + field); line != 0) return verbatim(fmt::format("{}:{}", config.name(), line));
  return phrase("{}: [[record]] number {}", config.name(), std::stoul(record.substr(record.find('.') + 1)) + 1);
}

std::vector<std::string> names_of(const std::vector<CatalogColumn>& columns) {
  std::vector<std::string> names;
  for (const auto& column : columns) names.push_back(column.name);
  return names;
}

bool has_column(const CatalogTable& table, const std::string& name) {
  return std::ranges::find(table.columns, name, &CatalogColumn::name) != table.columns.end();
}

/// A column of a table, as a step of a path names it.
struct ColumnName {
  TableName table;
  std::string column;
};

Result<TableName> table_name(std::string_view text) {
  auto parts = split_name(text);
  if (!parts) return pass(parts);
  if (parts->size() == 1) return TableName{"public", (*parts)[0]};
  if (parts->size() == 2) return TableName{(*parts)[0], (*parts)[1]};
  return fail(ErrorCode::kBadConfig, phrase("'{}' is not of the form schema.table", text));
}

Result<ColumnName> column_name(std::string_view text) {
  auto parts = split_name(text);
  if (!parts) return pass(parts);
  if (parts->size() == 2) return ColumnName{{"public", (*parts)[0]}, (*parts)[1]};
  if (parts->size() == 3) return ColumnName{{(*parts)[0], (*parts)[1]}, (*parts)[2]};
  return fail(ErrorCode::kBadConfig, phrase("'{}' is not of the form schema.table.column", text));
}

/// "a.b.c > d.e.f" at the '>' outside of quotes, without the blanks around.
std::vector<std::string> steps(std::string_view text) {
  std::vector<std::string> parts(1);
  bool inside = false;
  for (const char c : text) {
    if (c == '"') inside = !inside;
    if (c == '>' && !inside) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  for (auto& part : parts) {
    part.erase(0, part.find_first_not_of(" \t"));
    part.erase(part.find_last_not_of(" \t") + 1);
  }
  return parts;
}

std::string shown(const TableName& from, const ForeignKey& key) {
  return fmt::format("{}.{} > {}", records::shown(from), fmt::join(key.columns, ","),
                     records::shown(TableName{key.parent_schema, key.parent_table}));
}

/// The foreign key of `table` that has `column` and leads to `parent`.
Result<ForeignKey> step(const CatalogTable& table, const std::string& column, const TableName& parent) {
  if (!has_column(table, column)) {
    return fail(ErrorCode::kBadConfig, phrase("table {} has no column {}", records::shown(table.name), column),
                phrase("Nearest: {}", nearest(column, names_of(table.columns))));
  }
  std::vector<const ForeignKey*> fitting;
  std::vector<std::string> existing;
  for (const auto& key : table.foreign_keys) {
    existing.push_back(shown(table.name, key));
    if (TableName{key.parent_schema, key.parent_table} == parent &&
        std::ranges::find(key.columns, column) != key.columns.end()) {
      fitting.push_back(&key);
    }
  }
  if (fitting.empty()) {
    return fail(ErrorCode::kBadConfig,
                phrase("no foreign key leads from {}.{} to {}", records::shown(table.name), column, records::shown(parent)),
                existing.empty() ? phrase("The table has no foreign key.") : phrase("Foreign keys of the table: {}", nearest("", existing, 10)));
  }
  const bool same = std::ranges::all_of(fitting, [&](const ForeignKey* key) {
    return key->columns == fitting[0]->columns && key->parent_columns == fitting[0]->parent_columns;
  });
  if (!same) {
    return fail(ErrorCode::kBadConfig,
                phrase("several foreign keys lead from {}.{} to {}", records::shown(table.name), column, records::shown(parent)),
                phrase("Name a column that only one of them has: {}", nearest("", existing, 10)));
  }
  return *fitting[0];
}

Result<ChildTable> child(Connection& source, std::string_view text, const TableName& root) {
  std::vector<ColumnName> columns;
  for (const auto& part : steps(text)) {
    auto column = column_name(part);
    if (!column) return pass(column);
    columns.push_back(std::move(*column));
  }
  ChildTable found{columns[0].table.schema, columns[0].table.table, {}, {}};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    auto table = read_table(source, columns[i].table);
    if (!table) return pass(table);
    if (i == 0) found.key = names_of(table->key);
    auto key = step(*table, columns[i].column, i + 1 < columns.size() ? columns[i + 1].table : root);
    if (!key) return pass(key);
    found.path.push_back(std::move(*key));
  }
  return found;
}

/// Reads one [[record]]; `at` is its prefix in the configuration, "record.0.".
class Reader {
 public:
  Reader(ConfigFile& config, Connection& source, std::string at) : config_(config), source_(source), at_(std::move(at)) {}

  Result<RecordType> read() {
    if (auto done = names(); !done) return pass(done);
    if (auto done = root(); !done) return pass(done);
    if (auto done = search(); !done) return pass(done);
    if (auto done = children(); !done) return pass(done);
    if (auto done = expressions(); !done) return pass(done);
    return std::move(type_);
  }

 private:
  std::unexpected<Error> refuse(const std::string& field, Error error) {
    if (error.code != ErrorCode::kBadConfig) return std::unexpected(std::move(error).in("read record types"));
    return std::unexpected(std::move(error).in(phrase("{}: record '{}', {}", place(config_, at_, field), type_.type, field)));
  }
  std::unexpected<Error> refuse(const std::string& field, Phrase why, Phrase hint = {}) {
    return refuse(field, make_error(ErrorCode::kBadConfig, std::move(why), std::move(hint)));
  }
  Status text(const std::string& field, std::string& into, std::string fallback) {
    auto value = config_.text(at_ + field, std::move(fallback));
    if (!value) return pass(value);
    into = std::move(*value);
    return {};
  }

  Status names() {
    if (auto read = text("type", type_.type, ""); !read) return read;
    if (auto valid = parse_record_key(type_.type + "/1"); !valid || type_.type.find('/') != std::string::npos) {
      return refuse("type", phrase("a type has 1 to {} bytes without '/' and control characters", kMaxRecordTypeBytes));
    }
    return text("label", type_.label, type_.type);
  }

  Status root() {
    std::string name;
    if (auto read = text("table", name, ""); !read) return read;
    auto parsed = table_name(name);
    if (!parsed) return refuse("table", parsed.error());
    auto table = read_table(source_, *parsed);
    if (!table) return refuse("table", table.error());
    if (table->key.empty()) {
      return refuse("table", phrase("table {} has no primary key", shown(*parsed)),
                    phrase("ALTER TABLE {} ADD PRIMARY KEY (…);", quoted(*parsed)));
    }
    root_ = std::move(*table);
    type_.schema = root_.name.schema;
    type_.table = root_.name.table;
    for (const auto& column : root_.key) {
      type_.key.push_back(column.name);
      type_.key_types.push_back(column.type);
    }
    return {};
  }

  Status search() {
    auto columns = config_.list(at_ + "search", {});
    if (!columns) return pass(columns);
    for (const auto& column : *columns) {
      if (!has_column(root_, column)) {
        return refuse("search", phrase("table {} has no column {}", shown(root_.name), column),
                      phrase("Nearest: {}", nearest(column, names_of(root_.columns))));
      }
    }
    type_.search_columns = std::move(*columns);
    return {};
  }

  Status children() {
    auto paths = config_.list(at_ + "children", {});
    if (!paths) return pass(paths);
    for (const auto& path : *paths) {
      auto found = child(source_, path, root_.name);
      if (!found) return refuse("children", found.error());
      type_.children.push_back(std::move(*found));
    }
    return {};
  }

  /// Prepared, not run: PostgreSQL itself says what is wrong with them.
  Status expressions() {
    auto collation = german_collation(source_);
    if (!collation) return pass(collation);
    type_.collation = std::move(*collation);
    if (auto read = text("label_sql", type_.label_sql, key_expression(type_)); !read) return read;
    if (auto read = text("group_sql", type_.group_sql, "''"); !read) return read;
    for (const auto& [field, expression] : {std::pair{"label_sql", type_.label_sql}, {"group_sql", type_.group_sql}}) {
      auto probed = source_.query(fmt::format("SELECT ({}\n)::text FROM {} AS r LIMIT 0", expression, quoted(root_.name)));
      // Names and syntax are looked at before rights. What rights are missing is said elsewhere, all at once (feed/preflight.h).
      if (probed || probed.error().code == ErrorCode::kForbidden) continue;
      if (probed.error().code == ErrorCode::kDatabaseDown) return pass(probed);
      return refuse(field, verbatim(probed.error().message),
                    phrase("Columns of {}: {}", shown(root_.name), fmt::format("{}", fmt::join(names_of(root_.columns), ", "))));
    }
    return {};
  }

  ConfigFile& config_;
  Connection& source_;
  std::string at_;
  RecordType type_;
  CatalogTable root_;
};

}  // namespace

Result<RecordTypes> RecordTypes::load(ConfigFile& config, Connection& source) {
  RecordTypes types;
  for (std::size_t i = 0; i < config.count("record"); ++i) {
    const auto at = fmt::format("record.{}.", i);
    auto type = Reader(config, source, at).read();
    if (!type) return pass(type);
    if (types.find(type->type) != nullptr) {
      return fail(ErrorCode::kBadConfig, phrase("{}: record type '{}' stands there twice", place(config, at, "type"), type->type));
    }
    types.types_.push_back(std::move(*type));
  }
  return types;
}

const RecordType* RecordTypes::find(std::string_view type) const {
  const auto found = std::ranges::find(types_, type, &RecordType::type);
  return found == types_.end() ? nullptr : &*found;
}

}  // namespace verbund::records
