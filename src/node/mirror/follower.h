#pragma once
/// A mirror's heartbeat: once a second tells production how far this machine is and hears how far production is.
///
/// Threads: one of its own does all I/O; `state` from any thread.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/counters.h"
#include "base/log.h"
#include "base/time.h"
#include "mirror/following.h"
#include "mirror/loss.h"
#include "mirror/replay_meter.h"
#include "node/mirror/follow_folder_copy.h"
#include "node/mirror/follow_shipping.h"
#include "node/mirror/pair_watch.h"
#include "platform/net/client.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

struct FollowerSettings {
  net::Endpoint production;                    ///< its node
  std::string secret;                          ///< of this mirror
  postgres::ConnectionSettings database;       ///< our own server, as superuser
  std::uint16_t port = 0;                      ///< of our node
  LogFetcher* fetcher = nullptr;               ///< borrowed; absent: the log comes by streaming alone
  FolderFetcher* folders = nullptr;            ///< borrowed; absent: no folders are copied
  std::function<void(Term, TimePoint)> on_promise = {};  ///< commits wait until then; from our thread, must not block
  PairWatch* watch = nullptr;                  ///< borrowed; absent: nothing is told of the machines
};

/// What is known now.
struct FollowState {
  std::optional<mirror::Received> received;    ///< absent: our PostgreSQL has not answered yet
  std::string database_error;                  ///< why not (any more)
  std::optional<mirror::Beat> beat;            ///< production's last
  std::string production_name, production_version;
  std::string production_error;                ///< why it does not answer now
  Term term;                                   ///< production's
  std::optional<mirror::Behind> behind;        ///< `age` is that of the last beat
  mirror::LossReport loss;                     ///< of a promotion now
  std::optional<mirror::SlotSafety> slot;      ///< as production said last
  std::optional<FollowMode> mode;              ///< the same
  std::string log_error;                       ///< why the log's files do not come
  std::vector<FolderState> folders;            ///< copies of production's [mirror] folders
  std::string folders_error;                   ///< why nothing is known of them
  std::optional<milliseconds> to_promote;      ///< about so long would a promotion take
};

class Follower {
 public:
  Follower(FollowerSettings settings, const Clock& clock, Log& log, Counters& counters);
  ~Follower();  ///< stops
  void start();
  void stop();
  [[nodiscard]] FollowState state() const;

 private:
  void run();
  Status look();
  Status hear();
  /// `asked`: when the question was sent.
  Status take(const std::string& body, TimePoint asked);
  void note(std::string& into, const Status& outcome, std::string_view event);
  void count();

  FollowerSettings settings_;
  net::HttpClient line_{settings_.production};  // of the thread; stays open: what is asked each second costs no handshake
  const Clock& clock_;
  Log& log_;
  Gauge &folder_files_, &folder_bytes_, &bytes_, &seconds_, &age_, &streaming_, &safe_, &promote_;
  std::optional<postgres::Connection> connection_;  // the thread's
  mirror::Received seen_;                           // the thread's: as PostgreSQL says
  mutable std::mutex mutex_;                        // what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  FollowState state_;
  mirror::LossMeter meter_;
  mirror::ReplayMeter replay_;
  std::stop_source stop_;
  std::jthread thread_;
};

}  // namespace verbund::node
