// Sessions that the store has to forget. A lost one keeps its locks until then: if the node died between granting them to
// others and forgetting it, it could claim them again after the restart with its old token.
#include "cluster/service_impl.h"

namespace verbund::cluster {

namespace {
constexpr milliseconds kRetry{1000};
/// Without a database nobody can wait for ever: as long as the store itself waits for a connection.
constexpr milliseconds kLongestWait{10'000};
}  // namespace

void Service::Impl::remove_stored(SessionId session, bool holds_locks) {
  const auto time = around.clock.now();
  const auto [place, added] = removals.try_emplace(session, Removal{time, time, false, holds_locks});
  if (!added) return;
  try_removal(session);
}

void Service::Impl::try_removal(SessionId session) {
  removals.at(session).under_way = true;
  around.sessions.remove(session, [this, guard = std::weak_ptr(alive), session](const Status& removed) {
    if (guard.expired()) return;
    const auto found = removals.find(session);
    if (found == removals.end()) return;
    if (!removed) {
      found->second.under_way = false;
      found->second.next = around.clock.now() + kRetry;
      return;
    }
    const bool holds_locks = found->second.holds_locks;
    removals.erase(found);
    if (!holds_locks || shutting_down) return;
    engine.forget(session, now());
    carry_out();
    schedule_fan_out();
  });
}

void Service::Impl::look_after_removals(TimePoint time) {
  std::vector<SessionId> due, overdue;
  for (auto& [session, removal] : removals) {
    if (!removal.under_way && time >= removal.next) due.push_back(session);
    if (!removal.holds_locks || time - removal.since < kLongestWait) continue;
    removal.holds_locks = false;
    overdue.push_back(session);
  }
  for (const auto session : due) try_removal(session);
  for (const auto session : overdue) {
    around.log.warning("session.loss_not_stored", {{"session", session.value}, {"waited_ms", kLongestWait.count()}});
    engine.forget(session, now());
  }
  if (!overdue.empty()) carry_out();
}

}  // namespace verbund::cluster
