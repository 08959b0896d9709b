#pragma once
/// Names of users and groups of this machine, each asked for once. One thread. For this folder's units only.
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace verbund::backup {

class OwnerNames {
 public:
  /// Empty: that number has none.
  const std::string& user(std::uint32_t id);
  const std::string& group(std::uint32_t id);
  std::optional<std::uint32_t> user_id(const std::string& name);
  std::optional<std::uint32_t> group_id(const std::string& name);

 private:
  std::map<std::uint32_t, std::string> users_, groups_;
  std::map<std::string, std::optional<std::uint32_t>> user_ids_, group_ids_;
};

}  // namespace verbund::backup
