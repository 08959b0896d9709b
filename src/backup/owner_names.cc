#include "backup/owner_names.h"

#include <cerrno>
#include <vector>

#include <grp.h>
#include <pwd.h>

namespace verbund::backup {
namespace {

/// A group with thousands of members needs more than a page.
constexpr std::size_t kLargestEntryBytes = 4 * 1024 * 1024;

/// Calls the reentrant look-up with a buffer that grows until the entry fits.
template <typename Entry, typename Call>
std::optional<Entry> ask(std::vector<char>& buffer, Call call) {
  for (buffer.resize(4096);; buffer.resize(buffer.size() * 2)) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = call(&entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return entry;
    if (error != ERANGE || buffer.size() >= kLargestEntryBytes) return std::nullopt;
  }
}

}  // namespace

const std::string& OwnerNames::user(std::uint32_t id) {
  const auto [at, fresh] = users_.try_emplace(id);
  std::vector<char> buffer;
  if (fresh) {
    const auto entry = ask<passwd>(buffer, [&](auto... rest) { return ::getpwuid_r(id, rest...); });
    if (entry) at->second = entry->pw_name;
  }
  return at->second;
}

const std::string& OwnerNames::group(std::uint32_t id) {
  const auto [at, fresh] = groups_.try_emplace(id);
  std::vector<char> buffer;
  if (fresh) {
    const auto entry = ask<struct group>(buffer, [&](auto... rest) { return ::getgrgid_r(id, rest...); });
    if (entry) at->second = entry->gr_name;
  }
  return at->second;
}

std::optional<std::uint32_t> OwnerNames::user_id(const std::string& name) {
  const auto [at, fresh] = user_ids_.try_emplace(name);
  std::vector<char> buffer;
  if (fresh && !name.empty()) {
    const auto entry = ask<passwd>(buffer, [&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); });
    if (entry) at->second = entry->pw_uid;
  }
  return at->second;
}

std::optional<std::uint32_t> OwnerNames::group_id(const std::string& name) {
  const auto [at, fresh] = group_ids_.try_emplace(name);
  std::vector<char> buffer;
  if (fresh && !name.empty()) {
    const auto entry = ask<struct group>(buffer, [&](auto... rest) { return ::getgrnam_r(name.c_str(), rest...); });
    if (entry) at->second = entry->gr_gid;
  }
  return at->second;
}

}  // namespace verbund::backup
