#include "sync/server/bound.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/messages.h"
#include "feed/tables.h"
#include "platform/os/random.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

/// Columns of the rule, or all; the key is always among them.
Status choose_columns(Bound& bound) {
  const auto& table = bound.table;
  for (std::size_t at = 0; at < table.columns.size(); ++at) {
    const auto& column = table.columns[at];
    const bool wanted = bound.rule.columns.empty() || std::ranges::find(bound.rule.columns, column.name) != bound.rule.columns.end();
    if (!wanted) continue;
    bound.places.push_back(at);
    bound.kinds.push_back(kind_of(column.type));
    bound.layout.columns.push_back({column.name, column.type_name, bound.kinds.back(), column.not_null});
  }
  for (const auto place : table.key) {
    const auto found = std::ranges::find(bound.places, place);
    if (found == bound.places.end()) {
      return fail(ErrorCode::kBadConfig, phrase("subscription {}: its columns lack {}, which is part of the primary key", bound.rule.name, table.columns[place].name));
    }
    bound.layout.key.push_back(static_cast<std::uint32_t>(found - bound.places.begin()));
  }
  for (const auto& name : bound.rule.columns) {
    if (find_column(table, name) == nullptr) return fail(ErrorCode::kBadConfig, phrase("subscription {}: {} has no column {} any more", bound.rule.name, table.name, name));
  }
  return {};
}

/// The filter's tables and bucket, and the user's values for it.
class Selecting {
 public:
  Selecting(Bound& bound, const FindTable& find, const Rules& rules, const DeviceIdentity& device) : bound_(bound), find_(find), rules_(rules), device_(device) {}

  Status run() {
    user_ = rules_.user(device_.user);
    if (user_ == nullptr) return fail(ErrorCode::kForbidden, phrase("subscription {}: there is no user {}", bound_.rule.name, device_.user));
    bound_.selection.sources.push_back({bound_.table, 0, {}, {}, {}});
    return add(bound_.rule.filter, 0);
  }

 private:
  Status add(const Filter& filter, std::size_t source) {
    for (const auto& comparison : filter) {
      if (auto there = check(source, comparison.column); !there) return there;
      auto added = comparison.op == Comparison::Op::kIn ? add_membership(comparison, source) : add_comparison(comparison, source);
      if (!added) return added;
    }
    return {};
  }

  Status add_membership(const Comparison& comparison, std::size_t source) {
    const auto& in = comparison.in.front();
    auto table = find_(in.schema, in.table);
    if (!table) return pass(table);
    auto& sources = bound_.selection.sources;
    sources.push_back({std::move(*table), source, comparison.column, in.column, {}});
    const auto place = sources.size() - 1;
    if (auto there = check(place, in.column); !there) return there;
    return add(in.filter, place);
  }

  Status add_comparison(const Comparison& comparison, std::size_t source) {
    bound_.selection.sources[source].filter.push_back(comparison);
    if (comparison.with == Comparison::With::kConstant) return {};
    bound_.selection.bucket_columns.push_back({source, comparison.column});
    if (comparison.with == Comparison::With::kUser) {
      bound_.bucket.push_back(device_.user);
      return {};
    }
    auto value = rules_.parameter(*user_, comparison.operand);
    if (!value) return fail(ErrorCode::kForbidden, phrase("subscription {}: nobody has said what {} is for {}", bound_.rule.name, ":" + comparison.operand, device_.user));
    bound_.bucket.push_back(std::move(*value));
    return {};
  }

  [[nodiscard]] Status check(std::size_t source, const std::string& column) const {
    const auto& table = bound_.selection.sources[source].table;
    if (find_column(table, column) != nullptr) return {};
    return fail(ErrorCode::kBadConfig, phrase("subscription {}: {} has no column {} any more", bound_.rule.name, table.name, column));
  }

  Bound& bound_;
  const FindTable& find_;
  const Rules& rules_;
  const DeviceIdentity& device_;
  const SyncUser* user_ = nullptr;
};

/// A session's rows are of another shape when any of this is another.
std::string shape_of(const Bound& bound, const DeviceIdentity& device) {
  constexpr std::size_t kDigits = 16;
  auto rows = fmt::format("{}\n{}\n", bound.layout.table, device.generation);
  for (const auto& column : bound.layout.columns) rows += fmt::format("{}:{}:{}\n", column.name, column.type, column.not_null);
  for (const auto place : bound.layout.key) rows += fmt::format("{}\n", place);
  auto all = fmt::format("{}\n{}\n", bound.rule.name, bound.version);
  for (const auto& reference : bound.layout.references) all += fmt::format("{} {}\n", reference.table, fmt::join(reference.columns, ","));
  for (const auto& value : bound.bucket) all += fmt::format("{}:{}\n", value.size(), value);
  return os::blake2b_hex(rows).substr(0, kDigits) + "-" + os::blake2b_hex(all).substr(0, kDigits);
}

/// The parent's rows are all on the device, so the reference holds there, too.
bool whole(const Bound& bound) { return bound.rule.filter.empty() && bound.down(); }

void add_references(Bound& bound, const std::vector<Bound>& all) {
  for (const auto& key : bound.table.foreign_keys) {
    for (const auto& parent : all) {
      if (parent.table.schema != key.schema || parent.table.name != key.table || !whole(parent)) continue;
      std::set<std::string> own(key.parent_columns.begin(), key.parent_columns.end()), primary;
      for (const auto place : parent.table.key) primary.insert(parent.table.columns[place].name);
      const bool carried = std::ranges::all_of(key.columns, [&](const std::string& name) { return std::ranges::find(bound.layout.columns, name, &LayoutColumn::name) != bound.layout.columns.end(); });
      if (own == primary && carried) bound.layout.references.push_back({key.columns, parent.layout.table, key.parent_columns, key.on_delete});
    }
  }
}

}  // namespace

bool same_rows(std::string_view shape, std::string_view other) { return shape.contains('-') && shape.substr(0, shape.find('-')) == other.substr(0, other.find('-')); }

std::string array_parameter(const std::vector<std::string>& values) {
  feed::TextArray array;
  for (const auto& value : values) array.add(value);
  return array.take();
}

std::string Bound::shadow() const { return selection.shadow(0); }

std::string Bound::condition(std::string_view alias) const {
  return selection.condition(alias, bucket, [this](std::size_t source) { return selection.shadow(source); });
}

Result<std::string> Bound::key_of(const std::vector<Value>& values) const {
  std::vector<std::string> parts;
  for (const auto place : layout.key) {
    auto text = text_of(kinds[place], values[place]);
    if (!text) return pass(text);
    if (!*text) return fail(ErrorCode::kBadMessage, phrase("read a row of a device: its key is NULL"));
    parts.push_back(std::move(**text));
  }
  const std::vector<std::string_view> views(parts.begin(), parts.end());
  return feed::join_key(views);
}

Result<std::vector<Value>> Bound::key_values(std::string_view key) const {
  const auto parts = layout.key.size() == 1 ? std::vector{std::string(key)} : split_key(key);
  if (parts.size() != layout.key.size()) return fail(ErrorCode::kInternal, fmt::format("key of {}: {} parts", table.name, parts.size()));
  std::vector<Value> values;
  for (std::size_t at = 0; at < parts.size(); ++at) {
    auto value = value_of(kinds[layout.key[at]], parts[at]);
    if (!value) return pass(value);
    values.push_back(std::move(*value));
  }
  return values;
}

Result<Bound> bind(const Subscription& rule, std::uint64_t version, const FindTable& find, const Rules& rules, const DeviceIdentity& device) {
  auto table = find(rule.schema, rule.table);
  if (!table) return pass(table);
  Bound bound;
  bound.rule = rule;
  bound.version = version;
  bound.table = std::move(*table);
  bound.layout.table = bound.table.name;
  if (auto chosen = choose_columns(bound); !chosen) return pass(chosen);
  if (auto selected = Selecting(bound, find, rules, device).run(); !selected) return pass(selected);
  return bound;
}

void relate(std::vector<Bound>& all, const DeviceIdentity& device) {
  for (auto& bound : all) add_references(bound, all);
  for (auto& bound : all) bound.shape = shape_of(bound, device);
  // Parents first; what refers to each other stays in its order.
  std::vector<Bound> ordered;
  std::set<std::pair<std::string, std::string>> waiting;
  for (const auto& bound : all) waiting.emplace(bound.table.schema, bound.table.name);
  while (!all.empty()) {
    auto next = std::ranges::find_if(all, [&](const Bound& bound) {
      return std::ranges::none_of(bound.table.foreign_keys, [&](const SourceTable::ForeignKey& key) {
        return (key.schema != bound.table.schema || key.table != bound.table.name) && waiting.contains({key.schema, key.table});
      });
    });
    if (next == all.end()) next = all.begin();
    waiting.erase({next->table.schema, next->table.name});
    ordered.push_back(std::move(*next));
    all.erase(next);
  }
  all = std::move(ordered);
}

}  // namespace verbund::sync::server
