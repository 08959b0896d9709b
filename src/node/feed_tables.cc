#include "node/feed_tables.h"

#include "base/messages.h"

namespace verbund::node {

std::vector<feed::TrackedTable> tracked_tables(const records::RecordTypes& types, const std::vector<std::string>& history) {
  std::vector<feed::TrackedTable> tables;
  for (const auto& type : types.all()) {
    const bool images = std::ranges::find(history, type.type) != history.end();
    tables.push_back({type.schema, type.table, type.type, {}, images});
    for (const auto& child : type.children) {
      feed::TrackedTable tracked{child.schema, child.table, type.type, {}, images};
      for (const auto& key : child.path) {
        tracked.path.push_back({key.columns, key.parent_schema, key.parent_table, key.parent_columns});
      }
      tables.push_back(std::move(tracked));
    }
  }
  return tables;
}

Result<std::vector<std::string>> history_types(const records::RecordTypes& types, const std::optional<std::vector<std::string>>& wanted) {
  std::vector<std::string> chosen;
  if (!wanted) {
    for (const auto& type : types.all()) chosen.push_back(type.type);
    return chosen;
  }
  for (const std::string& type : *wanted) {
    if (types.find(type) == nullptr) {
      return fail(ErrorCode::kBadConfig, phrase("read [history] types: there is no record type {}", type),
                  phrase("Record types are configured by [[record]] in config/verbund.toml."));
    }
    chosen.push_back(type);
  }
  return chosen;
}

}  // namespace verbund::node
