#include "feed/table_states.h"

#include <set>

namespace verbund::feed {
namespace {

std::vector<std::string> types_of(const Tables& tables, const TableName& name) {
  std::set<std::string> types;
  for (const TrackedTable& table : tables.tracked) {
    if (TableName(table.schema, table.table) == name && !table.record_type.empty()) types.insert(table.record_type);
  }
  return {types.begin(), types.end()};
}

}  // namespace

std::vector<TableStatus> table_states(const Tables& tables) {
  std::map<TableName, TableStatus> states;
  for (const CapturedTable& table : tables.all) {
    TableStatus state{table.schema, table.table, TableState::kCaptured, {}, types_of(tables, {table.schema, table.table})};
    for (const std::string& complaint : table.complaints) state.reason += (state.reason.empty() ? "" : "; ") + complaint;
    states.try_emplace({table.schema, table.table}, std::move(state));
  }
  for (const LeftOut& out : tables.left_out) {
    states.try_emplace(out.name, TableStatus{out.name.first, out.name.second, out.paused ? TableState::kPaused : TableState::kExcluded,
                                             out.reason, types_of(tables, out.name)});
  }
  std::vector<TableStatus> all;
  for (auto& [name, state] : states) all.push_back(std::move(state));
  return all;
}

}  // namespace verbund::feed
