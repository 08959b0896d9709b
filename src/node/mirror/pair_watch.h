#pragma once
/// Watches the pair: what this machine and the other one say of themselves, what of it is unequal, scarce or old, and what a person is told.
///
/// On both machines, for as long as the part of the node runs that is production or mirror. The facts travel with the heartbeats.
/// Threads: one of its own looks, counts and tells; everything else from any, and returns at once.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/json.hpp>

#include "alarm/alarm.h"
#include "base/counters.h"
#include "mirror/pair_alarms.h"
#include "node/mirror/machine_look.h"

namespace verbund::node {

struct PairWatchSettings {
  bool production = false;                              ///< this machine is
  /// What the part of the node knows itself (findings apart); nothing: it is in no pair, and nothing is looked at. From our thread; may block
  /// for a few seconds.
  std::function<std::optional<mirror::Watched>()> pair;
};

class PairWatch {
 public:
  /// All borrowed.
  PairWatch(PairWatchSettings settings, const Installation& installation, const Clock& clock, Log& log, Counters& counters);
  ~PairWatch();  ///< stops
  void start();
  void stop();

  /// "machine" of a heartbeat to the other one; nothing before the first look.
  [[nodiscard]] std::optional<boost::json::object> message() const;
  /// A heartbeat of the other one. One without "machine" is of an older program; one that can't be read is logged.
  void hear(const boost::json::object& heartbeat);
  /// Adds "machines" and "findings" to what `mirror status` shows.
  void show(boost::json::object& root) const;

 private:
  void run();
  [[nodiscard]] std::vector<mirror::Finding> findings() const;  ///< under mutex_
  void count(const mirror::Watched& watched);
  void tell(const mirror::Watched& watched);
  [[nodiscard]] bool knows_enough(const mirror::Watched& watched) const;

  const PairWatchSettings settings_;
  const Installation& installation_;
  const Clock& clock_;
  Log& log_;
  Gauge &warnings_, &dangers_, &free_, &other_free_, &backup_age_, &witness_;
  /// Of the mirror, on production; on the mirror its heartbeat counts them.
  struct Followed {
    Gauge &bytes, &seconds, &heard, &safe;
  };
  std::optional<Followed> followed_;
  MachineLook look_;                      // the thread's, as the rest up to the mutex
  mirror::AlarmHold hold_;
  std::vector<mirror::PairAlarm> told_;
  std::optional<TimePoint> told_at_;
  mutable std::mutex mutex_;              // what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<mirror::MachineFacts> own_, other_;
  std::string unread_;
  int heard_without_ = 0;                 ///< heartbeats without "machine" since the start
  std::jthread thread_;
};

}  // namespace verbund::node
