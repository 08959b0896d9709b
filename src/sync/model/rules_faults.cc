// faults_of: what the rules say against themselves.
#include <algorithm>
#include <set>

#include "base/messages.h"
#include "sync/model/rules.h"

namespace verbund::sync {
namespace {

template <typename T>
void look_for_twins(std::vector<Phrase>& to, std::string_view kind, const std::vector<T>& list) {
  std::set<std::string_view> seen;
  for (const auto& one : list) {
    if (!seen.insert(one.name).second) to.push_back(phrase("{} '{}' stands there twice", kind, one.name));
  }
}

void check_files(std::vector<Phrase>& to, const Subscription& one, const Rules& rules) {
  if (!is_path_part(one.name)) to.push_back(phrase("subscription '{}': on the device a folder is called so, which does not begin with a dot", one.name));
  for (const auto& part : path_parts(one.files.path)) {
    if (!is_path_part(part) || part == ":") to.push_back(phrase("subscription '{}': path '{}' is none below a folder", one.name, one.files.path));
  }
  for (const auto& name : one.files.names) {
    if (name.find_first_of("[]{}") != std::string::npos) to.push_back(phrase("subscription '{}': in names only * and ? stand for others, not '{}'", one.name, name));
  }
  if (one.files.of.empty()) return;
  const auto* of = rules.subscription(one.files.of);
  if (of == nullptr || of->kind != SubscriptionKind::kReplication || !of->rights.read) to.push_back(phrase("subscription '{}': there is no subscription '{}' whose rows a device reads", one.name, one.files.of));
}

void check_rights(std::vector<Phrase>& to, const Subscription& one) {
  const auto& rights = one.rights;
  const bool writes = rights.insert || rights.update || rights.remove;
  if (one.kind == SubscriptionKind::kUpload) {
    if (rights != Rights{false, true, false, false}) to.push_back(phrase("subscription '{}': an upload has the right 'insert' and no other", one.name));
    if (!one.filter.empty()) to.push_back(phrase("subscription '{}': an upload has no filter", one.name));
    return;
  }
  if (one.direction == Direction::kDown && writes) {
    to.push_back(phrase("subscription '{}': direction 'down' goes with the right 'read' alone", one.name));
  }
  if (one.direction != Direction::kDown && !writes) {
    to.push_back(phrase("subscription '{}': direction '{}' needs the right 'insert', 'update' or 'delete'", one.name, to_wire(one.direction)));
  }
  if (one.direction != Direction::kUp && !rights.read) {
    to.push_back(phrase("subscription '{}': direction '{}' needs the right 'read'", one.name, to_wire(one.direction)));
  }
  if (one.direction == Direction::kUp && rights.read) {
    to.push_back(phrase("subscription '{}': direction 'up' goes without the right 'read'", one.name));
  }
}

void check_columns(std::vector<Phrase>& to, const Subscription& one) {
  const auto has = [&](const std::string& column) { return one.columns.empty() || std::ranges::find(one.columns, column) != one.columns.end(); };
  for (const auto& [column, value] : one.defaults) {
    if (has(column)) to.push_back(phrase("subscription '{}': column {} has a default and is not left out", one.name, column));
  }
  if (!one.defaults.empty() && !one.rights.insert) to.push_back(phrase("subscription '{}': defaults go with the right 'insert'", one.name));
}

/// What a group's subscriptions ask for: parameter → the first one that does, and whether as a part of a path.
struct Asking {
  std::string_view subscription;
  bool as_path = false;
};
std::map<std::string, Asking> asked_by(const Rules& rules, const Group& group) {
  std::map<std::string, Asking> asked;
  for (const auto& name : group.sets) {
    const auto* set = rules.set(name);
    for (const auto& member : set == nullptr ? std::vector<std::string>{} : set->subscriptions) {
      const auto* subscription = rules.subscription(member);
      if (subscription == nullptr) continue;
      for (const auto* one : every_comparison(subscription->filter)) {
        if (one->with == Comparison::With::kParameter) asked.emplace(one->operand, Asking{subscription->name});
      }
      for (const auto& part : path_parts(subscription->files.path)) {
        if (part.starts_with(':')) asked[part.substr(1)] = {subscription->name, true};
      }
    }
  }
  return asked;
}

void check_users(std::vector<Phrase>& to, const Rules& rules) {
  std::map<std::string_view, std::map<std::string, Asking>> asked;
  for (const auto& group : rules.groups) asked.emplace(group.name, asked_by(rules, group));
  for (const auto& user : rules.users) {
    const auto its = asked.find(user.group);
    if (its == asked.end()) {
      to.push_back(phrase("user '{}': there is no group '{}'", user.name, user.group));
      continue;
    }
    for (const auto& [parameter, asking] : its->second) {
      const auto value = parameter == "user" ? std::optional(user.name) : rules.parameter(user, parameter);
      if (!value) to.push_back(phrase("user '{}' has no parameter '{}' and its group has none: subscription '{}' asks for it", user.name, parameter, asking.subscription));
      if (value && asking.as_path && !is_path_part(*value)) to.push_back(phrase("user '{}': '{}' can't be a folder, and the path of subscription '{}' asks for it", user.name, *value, asking.subscription));
    }
  }
}

}  // namespace

std::vector<Phrase> faults_of(const Rules& rules) {
  std::vector<Phrase> faults;
  look_for_twins(faults, "subscription", rules.subscriptions);
  look_for_twins(faults, "set", rules.sets);
  look_for_twins(faults, "group", rules.groups);
  look_for_twins(faults, "user", rules.users);
  for (const auto& one : rules.subscriptions) {
    if (one.kind == SubscriptionKind::kFiles) {
      check_files(faults, one, rules);
      continue;
    }
    check_rights(faults, one);
    check_columns(faults, one);
  }
  for (const auto& one : rules.sets) {
    for (const auto& name : one.subscriptions) {
      if (rules.subscription(name) == nullptr) faults.push_back(phrase("set '{}': there is no subscription '{}'", one.name, name));
    }
  }
  for (const auto& one : rules.groups) {
    if (one.lease_days > kMaxLeaseDays) faults.push_back(phrase("group '{}': lease_days is at most {}", one.name, kMaxLeaseDays));
    for (const auto& name : one.sets) {
      if (rules.set(name) == nullptr) faults.push_back(phrase("group '{}': there is no set '{}'", one.name, name));
    }
  }
  check_users(faults, rules);
  return faults;
}

}  // namespace verbund::sync
