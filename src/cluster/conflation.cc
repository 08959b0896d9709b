#include "cluster/conflation.h"

#include <algorithm>
#include <utility>

namespace verbund::cluster {

using protocol::ChangeOp;

namespace {

void add_tables(std::vector<std::string>& to, const std::vector<std::string>& from) {
  for (const auto& table : from) {
    if (std::ranges::find(to, table) == to.end()) to.push_back(table);
  }
}

}  // namespace

void Conflation::add(const protocol::Changes& changes) {
  if (!any_) {
    merged_.by = changes.by;
  } else if (merged_.by != changes.by) {
    merged_.by = {};
  }
  any_ = true;
  merged_.cursor = changes.cursor;
  merged_.lsn = changes.lsn;
  merged_.time = changes.time;
  for (const auto& type : changes.truncated) truncate(type);
  for (const auto& change : changes.changes) apply(change);
  for (const auto& bulk : changes.bulk) bulk_[bulk.type] += bulk.count;
}

Conflation::Fate& Conflation::touch(const RecordKey& key, bool existed) {
  const auto [place, added] = fates_.try_emplace(key);
  auto& fate = place->second;
  if (added) {
    order_.push_back(key);
    fate.existed = fate.alive = existed && !truncated_.contains(key.type);
    if (fate.existed) fate.origin = key;
  }
  return fate;
}

void Conflation::apply(const protocol::RecordChange& change) {
  if (change.op == ChangeOp::kDelete) {
    auto& fate = touch(change.key, true);
    fate.alive = false;
    fate.origin.reset();
    add_tables(fate.tables, change.tables);
    return;
  }
  if (change.op == ChangeOp::kUpdate && change.was && *change.was != change.key) {
    auto& before = touch(*change.was, true);
    const auto origin = before.origin;
    const auto tables = std::move(before.tables);
    before.alive = false;
    before.origin.reset();
    before.tables.clear();
    auto& fate = touch(change.key, false);
    fate.alive = true;
    fate.origin = origin;
    add_tables(fate.tables, tables);
    add_tables(fate.tables, change.tables);
    return;
  }
  auto& fate = touch(change.key, change.op == ChangeOp::kUpdate);
  if (!fate.alive && fate.existed) fate.origin = change.key;
  fate.alive = true;
  add_tables(fate.tables, change.tables);
}

void Conflation::truncate(const std::string& type) {
  truncated_.insert(type);
  bulk_.erase(type);
  std::erase_if(fates_, [&](const auto& fate) { return fate.first.type == type; });
  std::erase_if(order_, [&](const RecordKey& key) { return key.type == type; });
}

bool Conflation::gone(const RecordKey& key) const {
  const auto found = fates_.find(key);
  return found != fates_.end() && !found->second.alive;
}

protocol::Changes Conflation::take() {
  auto event = std::exchange(merged_, {});
  std::set<RecordKey> moved;  // told by a `was`
  for (const auto& key : order_) {
    const auto& fate = fates_.at(key);
    if (fate.alive && fate.origin && *fate.origin != key && gone(*fate.origin)) moved.insert(*fate.origin);
  }
  for (const auto& key : order_) {
    auto& fate = fates_.at(key);
    protocol::RecordChange change{key, ChangeOp::kUpdate, {}, std::move(fate.tables)};
    if (!fate.alive) {
      if (!fate.existed || moved.contains(key)) continue;
      change.op = ChangeOp::kDelete;
    } else if (fate.origin && moved.contains(*fate.origin)) {
      change.was = *fate.origin;
    } else if (!fate.existed) {
      change.op = ChangeOp::kInsert;
    }
    event.changes.push_back(std::move(change));
  }
  for (const auto& [type, count] : bulk_) event.bulk.push_back({type, count});
  event.truncated.assign(truncated_.begin(), truncated_.end());
  fates_.clear();
  order_.clear();
  bulk_.clear();
  truncated_.clear();
  any_ = false;
  return event;
}

std::optional<protocol::Changes> only_types(const protocol::Changes& changes, const std::set<std::string>& types) {
  protocol::Changes kept{changes.cursor, changes.lsn, changes.time, changes.by, {}, {}, {}};
  for (const auto& change : changes.changes) {
    if (types.contains(change.key.type)) kept.changes.push_back(change);
  }
  for (const auto& bulk : changes.bulk) {
    if (types.contains(bulk.type)) kept.bulk.push_back(bulk);
  }
  for (const auto& type : changes.truncated) {
    if (types.contains(type)) kept.truncated.push_back(type);
  }
  if (kept.changes.empty() && kept.bulk.empty() && kept.truncated.empty()) return std::nullopt;
  return kept;
}

}  // namespace verbund::cluster
