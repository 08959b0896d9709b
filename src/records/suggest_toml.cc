// Suggestions as text for config/verbund.toml.
#include <algorithm>

#include <fmt/format.h>

#include "records/suggest.h"

namespace verbund::records {
namespace {

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) out += fmt::format("\\u{:04x}", byte);
    else out += c;
  }
  return out + '"';
}

/// SQL full of quoted names reads better between ''', where nothing is escaped.
std::string toml_sql(std::string_view sql) {
  const bool literal = sql.find('"') != std::string_view::npos && sql.find("'''") == std::string_view::npos && !sql.ends_with('\'') &&
                       std::ranges::none_of(sql, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return literal ? fmt::format("'''{}'''", sql) : toml_string(sql);
}

/// Nothing of a name may end the comment's line.
std::string comment_text(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

std::string part(std::string_view name) {
  return name.find_first_of(".\"> ") == std::string_view::npos ? std::string(name) : postgres::Connection::quote_identifier(name);
}

std::string block(const SuggestedRecord& record, Language language) {
  std::string text = fmt::format("\n# {}\n", translated(language, "{}: {} tables refer to it, {} belong to its records",
                                                        comment_text(record.schema + "." + record.table), record.referenced_by,
                                                        record.children.size()));
  text += fmt::format("[[record]]\ntype = {}\nlabel = {}\ntable = {}\n", toml_string(record.type), toml_string(record.label),
                      toml_string(part(record.schema) + "." + part(record.table)));
  if (record.label_sql.empty()) {
    text += fmt::format("# {}\n", translate(language, "label_sql: no column looks like a name; without it records are shown by their key"));
  } else {
    text += fmt::format("label_sql = {}\ngroup_sql = {}\n", toml_sql(record.label_sql), toml_sql(record.group_sql));
  }
  std::string columns;
  for (const auto& column : record.search) columns += (columns.empty() ? "" : ", ") + toml_string(column);
  if (!columns.empty()) text += fmt::format("search = [{}]\n", columns);
  if (record.children.empty()) return text;
  text += "children = [\n";
  for (const auto& child : record.children) {
    text += fmt::format("  {}{},{}\n", child.keyless ? "# " : "", toml_string(child.path),
                        child.keyless ? fmt::format("  # {}", translate(language, "no primary key: not captured")) : "");
  }
  return text + "]\n";
}

}  // namespace

std::string suggestions_toml(const std::vector<SuggestedRecord>& suggestions, const CatalogSnapshot& catalog, Language language) {
  std::string text = fmt::format("# {}\n", translated(language, "{} record types proposed from {} tables: check them, then paste what fits into config/verbund.toml",
                                                      suggestions.size(), catalog.tables.size()));
  for (const auto& record : suggestions) text += block(record, language);
  std::string keyless;
  std::size_t count = 0;
  for (const auto& table : catalog.tables) {
    if (!table.key.empty()) continue;
    ++count;
    keyless += fmt::format("#   {}\n", comment_text(table.schema + "." + table.table));
  }
  if (count > 0) text += fmt::format("\n# {}\n{}", translated(language, "{} tables have no primary key and can't be captured:", count), keyless);
  return text;
}

}  // namespace verbund::records
