#pragma once
/// The node's own nights: the scheduler that starts `backup night` when a run is due, and beside it, independent of it, the round that says
/// when none has happened. In a pair both machines have them (backup/night/maker.h). Both are processes of this program: what hangs or dies there, the node does not.
/// Threads: two of its own; the owner's calls from one thread. `[plan] scheduler` of config/backup.toml is read anew at each look.
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "alarm/alarm.h"
#include "backup/config.h"
#include "backup/night/maker.h"
#include "backup/night/outlook.h"
#include "base/log.h"
#include "platform/os/watched_child.h"

namespace verbund::node {

struct NightsSettings {
  std::filesystem::path directory;                      ///< of the installation
  alarm::Config alarm;                                  ///< as the node has read it at its start
  std::function<std::vector<alarm::State>()> feed;      ///< what the feed and devices need a person for; from a thread of ours; a mirror's says nothing
  std::filesystem::path program = "/proc/self/exe";     ///< ours
};

class Nights {
 public:
  Nights(NightsSettings settings, const Clock& clock, Log& log);
  ~Nights();  ///< stops
  void start();
  /// Ends what runs and returns at once; `stopped` is called from a thread of ours when all has ended. Once. `signal`: what a run is ended with; SIGINT, in order:
  /// it starts first what it has stopped.
  void begin_stop(std::function<void()> stopped, int signal = SIGINT);

 private:
  /// What a look has found, until one of the files it was taken from changes.
  struct Look {
    std::string seen;                                   // sizes and times of those files
    backup::Scheduler scheduler = backup::Scheduler::kOff;
    backup::Outlook outlook;
    backup::PlanRules plan;
    bool copies_open = false;
    bool readable = false;
  };
  void schedule();
  void look_round();
  bool wait(nanoseconds span);                          ///< false: it is to stop
  Look look();
  /// In a pair: whose run it is, and whether it is due. What can't be read is nobody's turn, and logged.
  backup::NightTurn turn(const Look& seen);
  [[nodiscard]] std::string files_now() const;
  void run(const char* what, os::WatchedChild& child);
  void hold(std::string_view source, const std::vector<alarm::State>& states);

  const NightsSettings settings_;
  const Clock& clock_;
  Log& log_;
  os::WatchedChild night_, round_;
  std::string turn_error_;                              // the scheduler's
  std::mutex mutex_;                                    // what follows
  std::condition_variable changed_;
  bool stopping_ = false, round_wanted_ = false;
  std::jthread scheduler_, rounds_, stopper_;
};

}  // namespace verbund::node
