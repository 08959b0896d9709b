#include "node/feed_tables.h"

namespace verbund::node {

std::vector<feed::TrackedTable> tracked_tables(const records::RecordTypes& types) {
  std::vector<feed::TrackedTable> tables;
  for (const auto& type : types.all()) {
    tables.push_back({type.schema, type.table, type.type, {}});
    for (const auto& child : type.children) {
      feed::TrackedTable tracked{child.schema, child.table, type.type, {}};
      for (const auto& key : child.path) {
        tracked.path.push_back({key.columns, key.parent_schema, key.parent_table, key.parent_columns});
      }
      tables.push_back(std::move(tracked));
    }
  }
  return tables;
}

}  // namespace verbund::node
