#include "feed/record_set.h"

namespace verbund::feed {

RecordSet::Entry& RecordSet::fresh(std::optional<RecordKey> origin, std::optional<RecordKey> now) {
  entries_.push_back(std::make_unique<Entry>(Entry{std::move(origin), std::move(now), {}}));
  return *entries_.back();
}

RecordSet::Entry* RecordSet::find(const RecordKey& key) {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

void RecordSet::note(Entry& entry, const std::string& table) {
  if (!table.empty()) entry.tables.insert(table);
}

void RecordSet::inserted(const RecordKey& key, const std::string& table) {
  if (collapsed_) return count(key);
  Entry* entry = nullptr;
  if (const auto gone = deleted_.find(key); gone != deleted_.end()) {
    entry = gone->second;  // deleted and inserted again: the same record with other contents
    entry->now = key;
    deleted_.erase(gone);
  } else if (Entry* known = find(key); known != nullptr && known->now == key && known->origin == key) {
    entry = known;  // its children came first (deferred foreign key): it was not there before after all
    entry->origin.reset();
  } else {
    entry = &fresh(std::nullopt, key);
  }
  note(*entry, table);
  by_key_[key] = entry;
  collapse_if_large();
}

void RecordSet::touch(const RecordKey& key, const std::string& table) {
  if (collapsed_) return count(key);
  Entry* entry = find(key);
  if (entry == nullptr) {
    entry = &fresh(key, key);
    by_key_[key] = entry;
  }
  note(*entry, table);
  collapse_if_large();
}

void RecordSet::deleted(const RecordKey& key, const std::string& table) {
  if (collapsed_) return count(key);
  Entry* entry = find(key);
  if (entry == nullptr) {
    entry = &fresh(key, key);
    by_key_[key] = entry;
  }
  note(*entry, table);
  if (entry->now && *entry->now == key) {
    entry->now.reset();
    if (entry->origin) deleted_[*entry->origin] = entry;
  }
  collapse_if_large();
}

void RecordSet::renamed(const RecordKey& from, const RecordKey& to, const std::string& table) {
  if (collapsed_) return count(to);
  Entry* entry = find(from);
  if (entry == nullptr || entry->now != from) {
    entry = &fresh(from, from);
    by_key_[from] = entry;  // children that still name the former key mean this record
  }
  if (Entry* known = find(to); known != nullptr && known != entry && known->now == to && known->origin == to) {
    entry->tables.merge(known->tables);  // children under the new key came first: they meant this record
    known->now.reset();
    known->origin.reset();
  }
  entry->now = to;
  note(*entry, table);
  by_key_[to] = entry;
  collapse_if_large();
}

void RecordSet::truncated(const std::string& type) {
  const auto of_type = [&](const auto& item) { return item.first.type == type; };
  std::erase_if(by_key_, of_type);
  std::erase_if(deleted_, of_type);
  std::erase_if(entries_, [&](const auto& entry) {
    return (entry->now && entry->now->type == type) || (entry->origin && entry->origin->type == type);
  });
  bulk_.erase(type);
  last_counted_ = {};
  if (std::ranges::find(truncated_, type) == truncated_.end()) truncated_.push_back(type);
}

void RecordSet::counted(const std::string& type, std::uint64_t count) {
  if (count > 0) bulk_[type] += count;
}

void RecordSet::count(const RecordKey& key) {
  if (key == last_counted_) return;
  last_counted_ = key;
  ++bulk_[key.type];
}

void RecordSet::collapse_if_large() {
  if (entries_.size() <= limit_) return;
  collapsed_ = true;
  for (const RecordEvent& event : outcome()) ++bulk_[event.key.type];
  by_key_.clear();
  deleted_.clear();
  entries_.clear();
}

std::vector<RecordEvent> RecordSet::outcome() const {
  std::set<RecordKey> before;
  std::set<RecordKey> after;
  for (const auto& entry : entries_) {
    if (entry->origin) before.insert(*entry->origin);
    if (entry->now) after.insert(*entry->now);
  }
  std::vector<RecordEvent> events;
  std::set<RecordKey> renamed_away;
  for (const auto& entry : entries_) {
    if (!entry->now) continue;
    RecordEvent event{RecordEvent::Op::kUpdate, *entry->now, {}, {entry->tables.begin(), entry->tables.end()}};
    if (!before.contains(*entry->now)) {
      // `was` only while nobody else took the former key: a reader drops it without looking further.
      if (entry->origin && !after.contains(*entry->origin)) {
        event.was = entry->origin;
        renamed_away.insert(*entry->origin);
      } else {
        event.op = RecordEvent::Op::kInsert;
      }
    } else if (entry->origin && *entry->origin != *entry->now && !after.contains(*entry->origin)) {
      event.was = entry->origin;
      renamed_away.insert(*entry->origin);
    }
    events.push_back(std::move(event));
  }
  for (const auto& entry : entries_) {
    if (entry->now || !entry->origin) continue;
    if (after.contains(*entry->origin) || renamed_away.contains(*entry->origin)) continue;
    events.push_back({RecordEvent::Op::kDelete, *entry->origin, {}, {entry->tables.begin(), entry->tables.end()}});
  }
  return events;
}

void RecordSet::finish(TransactionEvent& event) {
  event.records = outcome();
  if (collapsed_) event.records.clear();
  event.bulk.assign(bulk_.begin(), bulk_.end());
  event.truncated = std::move(truncated_);
  *this = RecordSet(limit_);
}

}  // namespace verbund::feed
