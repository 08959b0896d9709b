// Rules: finding things in them.
#include "sync/model/rules.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::sync {
namespace {

template <typename T>
const T* find(const std::vector<T>& list, std::string_view name) {
  const auto found = std::ranges::find(list, name, &T::name);
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

std::string_view to_wire(SubscriptionKind kind) {
  switch (kind) {
    case SubscriptionKind::kReplication: return "replication";
    case SubscriptionKind::kUpload: return "upload";
    case SubscriptionKind::kFiles: return "files";
  }
  return "replication";
}

std::vector<std::string> path_parts(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    parts.emplace_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return parts;
}

bool is_path_part(std::string_view part) {
  constexpr std::size_t kMaxBytes = 200;
  const auto odd = [](char c) { return c == '/' || c == '\0'; };
  return !part.empty() && part.size() <= kMaxBytes && part.front() != '.' && std::ranges::none_of(part, odd);
}

std::string_view to_wire(Direction direction) {
  switch (direction) {
    case Direction::kBoth: return "both";
    case Direction::kDown: return "down";
    case Direction::kUp: return "up";
  }
  return "both";
}

const Subscription* Rules::subscription(std::string_view name) const { return find(subscriptions, name); }
const SubscriptionSet* Rules::set(std::string_view name) const { return find(sets, name); }
const Group* Rules::group(std::string_view name) const { return find(groups, name); }
const SyncUser* Rules::user(std::string_view name) const { return find(users, name); }

Result<std::vector<const Subscription*>> Rules::of(std::string_view user_name, std::string_view set_name) const {
  const auto* who = user(user_name);
  if (who == nullptr || who->disabled) return fail(ErrorCode::kNotFound, phrase("look up subscriptions: nobody syncs as '{}'", user_name));
  const auto* its = group(who->group);
  if (its == nullptr) return fail(ErrorCode::kNotFound, phrase("look up subscriptions: the rules know no group '{}'", who->group));
  if (!set_name.empty() && std::ranges::find(its->sets, set_name) == its->sets.end()) {
    return fail(ErrorCode::kNotFound, phrase("look up subscriptions: group '{}' has no set '{}'", its->name, set_name));
  }
  std::vector<const Subscription*> found;
  for (const auto& name : its->sets) {
    if (!set_name.empty() && name != set_name) continue;
    const auto* part = set(name);
    if (part == nullptr) return fail(ErrorCode::kNotFound, phrase("look up subscriptions: the rules know no set '{}'", name));
    for (const auto& member : part->subscriptions) {
      const auto* subscribed = subscription(member);
      if (subscribed == nullptr) return fail(ErrorCode::kNotFound, phrase("look up subscriptions: the rules know no subscription '{}'", member));
      if (std::ranges::find(found, subscribed) == found.end()) found.push_back(subscribed);
    }
  }
  return found;
}

std::optional<std::string> Rules::parameter(const SyncUser& user, std::string_view name) const {
  if (const auto own = user.parameters.find(std::string(name)); own != user.parameters.end()) return own->second;
  const auto* its = group(user.group);
  if (its == nullptr) return std::nullopt;
  const auto shared = its->parameters.find(std::string(name));
  if (shared == its->parameters.end()) return std::nullopt;
  return shared->second;
}

}  // namespace verbund::sync
