#include "cluster/authors.h"

namespace verbund::cluster {

void RecentHolders::released(const LockRecord& lock, const std::string& workstation, const std::string& user,
                             WallTime until) {
  const auto number = ++released_;
  recent_[lock.key] = {{protocol::ChangeAuthor::How::kLock, lock.session, workstation, user}, lock.since, until, number};
  order_.emplace_back(number, lock.key);
  while (order_.size() > kMost) {
    const auto found = recent_.find(order_.front().second);
    if (found != recent_.end() && found->second.number == order_.front().first) recent_.erase(found);
    order_.pop_front();
  }
}

const protocol::ChangeAuthor* RecentHolders::find(const RecordKey& key, WallTime commit) const {
  const auto found = recent_.find(key);
  if (found == recent_.end() || commit < found->second.since || commit > found->second.until) return nullptr;
  return &found->second.author;
}

std::vector<RecordKey> RecentHolders::keys_of(std::string_view type) const {
  std::vector<RecordKey> keys;
  for (const auto& [key, recent] : recent_) {
    if (key.type == type) keys.push_back(key);
  }
  return keys;
}

void RecentHolders::forget_before(WallTime time) {
  while (!order_.empty()) {
    const auto found = recent_.find(order_.front().second);
    if (found != recent_.end() && found->second.number == order_.front().first) {
      if (found->second.until >= time) return;
      recent_.erase(found);
    }
    order_.pop_front();
  }
}

}  // namespace verbund::cluster
