#pragma once
/// Who held a record's lock at a moment a few seconds ago: changes are attributed to them. Pure, one thread.
#include <deque>
#include <unordered_map>

#include "cluster/actions.h"

namespace verbund::cluster {

class RecentHolders {
 public:
  static constexpr seconds kRemembered{10};
  static constexpr std::size_t kMost = 16'384;  ///< bounds memory under a storm of locks; the oldest go first

  void released(const LockRecord& lock, const std::string& workstation, const std::string& user, WallTime until);
  /// The last one released; null when none held it at `commit`.
  [[nodiscard]] const protocol::ChangeAuthor* find(const RecordKey& key, WallTime commit) const;
  [[nodiscard]] std::vector<RecordKey> keys_of(std::string_view type) const;
  void forget_before(WallTime time);

 private:
  struct Recent {
    protocol::ChangeAuthor author;
    WallTime since, until;
    std::uint64_t number = 0;
  };
  std::unordered_map<RecordKey, Recent> recent_;
  std::deque<std::pair<std::uint64_t, RecordKey>> order_;
  std::uint64_t released_ = 0;
};

}  // namespace verbund::cluster
