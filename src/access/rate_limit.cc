#include "access/rate_limit.h"

#include <algorithm>

namespace verbund::access {

std::optional<milliseconds> RateLimit::wait(std::string_view key, TimePoint now) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end() || found->second->blocked_until <= now) return std::nullopt;
  return std::chrono::ceil<milliseconds>(found->second->blocked_until - now);
}

void RateLimit::failed(std::string_view key, TimePoint now) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (entries_.size() >= limits_.max_entries) forget_oldest();
    entries_.push_front({std::string(key), 0, now, now});
    by_key_.emplace(entries_.front().key, entries_.begin());
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  Entry& entry = entries_.front();
  if (now - entry.last >= kForgottenAfter) entry.failures = 0;
  entry.last = now;
  ++entry.failures;
  if (entry.failures < limits_.free_tries) return;
  const auto doublings = std::min(entry.failures - limits_.free_tries, 30U);
  entry.blocked_until = now + std::min<nanoseconds>(kFirstWait * (std::int64_t{1} << doublings), kLongestWait);
}

void RateLimit::clear(std::string_view key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  const auto entry = found->second;
  by_key_.erase(found);
  entries_.erase(entry);
}

void RateLimit::forget_oldest() {
  by_key_.erase(entries_.back().key);
  entries_.pop_back();
}

}  // namespace verbund::access
