#include "sync/model/layout.h"

#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "sync/model/fields.h"
#include "sync/model/rows.h"

namespace verbund::sync {
namespace {

namespace json = boost::json;

json::array texts(const std::vector<std::string>& all) { return json::array(all.begin(), all.end()); }

void check(Fields& fields, const TableLayout& layout) {
  std::set<std::string> names;
  for (const auto& column : layout.columns) {
    if (column.name.empty() || !names.insert(column.name).second) fields.wrong("columns", "a name is empty or stands twice");
  }
  if (layout.table.empty()) fields.wrong("table", "it is empty");
  if (layout.key.empty()) fields.wrong("key", "it is empty");
  std::set<std::uint32_t> places;
  for (const auto place : layout.key) {
    if (place >= layout.columns.size() || !places.insert(place).second) fields.wrong("key", "it names what is no column, or one twice");
  }
}

}  // namespace

json::value to_json(const TableLayout& layout) {
  json::array columns, references, key;
  for (const auto& column : layout.columns) {
    columns.push_back(json::object{{"name", column.name}, {"type", column.type}, {"kind", name_of(column.kind)}, {"not_null", column.not_null}});
  }
  for (const auto place : layout.key) key.push_back(place);
  for (const auto& reference : layout.references) {
    references.push_back(json::object{{"columns", texts(reference.columns)}, {"table", reference.table}, {"parent_columns", texts(reference.parent_columns)}, {"on_delete", reference.on_delete}});
  }
  return json::object{{"table", layout.table}, {"columns", std::move(columns)}, {"key", std::move(key)}, {"references", std::move(references)}};
}

Result<TableLayout> read_layout(const json::value& value) {
  Fields fields(value, "layout");
  TableLayout layout;
  layout.table = fields.text("table");
  fields.each("columns", kMaxColumns, [&](Fields& inner) {
    const auto kind = kind_named(inner.text("kind"));
    if (!kind) inner.wrong("kind", "there is no such kind");
    layout.columns.push_back({inner.text("name"), inner.text("type"), kind.value_or(Kind::kText), inner.flag("not_null")});
  });
  const auto* key = fields.child("key");
  if (key == nullptr || !key->is_array() || key->get_array().size() > kMaxColumns) {
    fields.wrong("key", "it is no list, or too long");
  } else {
    for (const auto& place : key->get_array()) {
      boost::system::error_code failed;
      layout.key.push_back(place.to_number<std::uint32_t>(failed));
      if (failed) fields.wrong("key", "it holds what is no number");
    }
  }
  fields.each("references", kMaxColumns, [&](Fields& inner) {
    layout.references.push_back({inner.texts("columns", kMaxColumns), inner.text("table"), inner.texts("parent_columns", kMaxColumns), inner.optional_text("on_delete")});
  });
  check(fields, layout);
  if (!fields.status()) return std::unexpected(fields.status().error());
  return layout;
}

}  // namespace verbund::sync
