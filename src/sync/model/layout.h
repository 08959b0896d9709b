#pragma once
/// What a subscription looks like on a device: the table, its columns, its key, its references. Pure; any thread.
#include <cstdint>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

#include "base/result.h"
#include "sync/model/value.h"

namespace verbund::sync {

struct LayoutColumn {
  std::string name;
  std::string type;       ///< PostgreSQL's, as format_type prints it; for people
  Kind kind = Kind::kText;
  bool not_null = false;
  friend bool operator==(const LayoutColumn&, const LayoutColumn&) = default;
};

/// columns → parent_columns of `table`, which is on the device too.
struct Reference {
  std::vector<std::string> columns;
  std::string table;
  std::vector<std::string> parent_columns;
  std::string on_delete;  ///< "CASCADE", "SET NULL", "NO ACTION" …
  friend bool operator==(const Reference&, const Reference&) = default;
};

struct TableLayout {
  std::string table;                 ///< its name on the device
  std::vector<LayoutColumn> columns; ///< in the order in which rows have their values
  std::vector<std::uint32_t> key;    ///< positions of the primary key's columns, in its order; not empty
  std::vector<Reference> references;
  friend bool operator==(const TableLayout&, const TableLayout&) = default;
};

boost::json::value to_json(const TableLayout& layout);
/// Errors: kBadMessage.
Result<TableLayout> read_layout(const boost::json::value& text);

}  // namespace verbund::sync
