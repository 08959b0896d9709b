#pragma once
/// Looks at the Patroni cluster once a second and remembers what it saw. Nothing here decides: PostgreSQL says who may write.
/// Threads: one of its own; `seen` from any thread.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/counters.h"
#include "base/log.h"
#include "node/patroni/rest.h"

namespace verbund::node {

struct PatroniSeen {
  std::optional<mirror::PatroniView> view;  ///< the last one; none: never
  std::optional<nanoseconds> age;           ///< of the last answer
  std::string error;                        ///< why there is no newer one; empty: there is
  std::string scope, version, system_id;    ///< empty: not known yet
};

class PatroniWatch {
 public:
  PatroniWatch(PatroniRest rest, const Clock& clock, Log& log, Counters& counters);
  ~PatroniWatch();
  [[nodiscard]] PatroniSeen seen() const;

 private:
  void run();
  void look();
  void count(const mirror::PatroniView* view);

  PatroniRest rest_;
  const Clock& clock_;
  Log& log_;
  Gauge& reachable_;
  Gauge& members_;
  Gauge& running_;
  Gauge& timeline_;
  Gauge& lag_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // this and the next two: under mutex_
  PatroniSeen seen_;
  std::optional<TimePoint> answered_;
  std::string leader_;  // the thread's
  std::jthread thread_;
};

}  // namespace verbund::node
