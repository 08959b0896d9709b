// Says whether a server that somebody else runs takes connections.
#include <poll.h>

#include <thread>

#include "base/messages.h"
#include "mirror/agent_base.h"
#include "platform/postgres/connection.h"

namespace verbund::mirror {
namespace {

constexpr milliseconds kRetryEvery{500};
constexpr milliseconds kLookEvery{100};
/// Also finds out about a peer that is gone without a word (TCP_USER_TIMEOUT of the connection).
constexpr seconds kAskEvery{5};

class WatchingAgent final : public AgentBase {
 public:
  WatchingAgent(const std::filesystem::path& directory, os::FileLock lock, postgres::ConnectionSettings server, Log& log,
                const Clock& clock)
      : AgentBase(directory, std::move(lock), log, clock), settings_(std::move(server)), thread_([this] { run(); }) {}

  ~WatchingAgent() override {
    {
      const std::lock_guard guard(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Status start(Deadline deadline) override {
    std::unique_lock guard(mutex_);
    watching_ = true;
    failure_.reset();
    changed_.notify_all();
    const auto hopeless = [&] { return failure_ && failure_->code != ErrorCode::kDatabaseDown; };
    if (wait_until(guard, deadline, [&] { return state_ == ServerState::kRunning || hopeless(); }) && !hopeless()) return {};
    if (failure_) return std::unexpected(*failure_);
    return fail(ErrorCode::kTimedOut, phrase("reach PostgreSQL {}: no answer yet", settings_.shown()));
  }

  Status stop(Deadline deadline) override {
    std::unique_lock guard(mutex_);
    watching_ = false;
    changed_.notify_all();
    if (wait_until(guard, deadline, [&] { return state_ == ServerState::kStopped; })) return {};
    return fail(ErrorCode::kTimedOut, phrase("stop watching PostgreSQL: it does not answer"));
  }

  void begin_stop() override {
    {
      const std::lock_guard guard(mutex_);
      watching_ = false;
    }
    changed_.notify_all();
  }

  Status with_server(const std::function<Status(postgres::OwnedServer&)>&) override {
    return fail(ErrorCode::kUnsupported, phrase("change PostgreSQL: it is somebody else's server"));
  }

 private:
  void run() {
    std::optional<postgres::Connection> connection;
    TimePoint asked{};
    while (pause(connection ? kLookEvery : kRetryEvery)) {
      if (!wanted()) {
        connection.reset();
        change(ServerState::kStopped, {});
      } else if (!connection) {
        connect(connection);
        asked = clock_.now();
      } else if (ended(*connection) || (clock_.now() - asked >= kAskEvery && !answers(*connection, asked))) {
        connection.reset();
        change(ServerState::kCrashed, "the server has ended the connection");
      }
    }
  }

  void connect(std::optional<postgres::Connection>& connection) {
    auto opened = postgres::Connection::open(settings_, seconds{5});
    if (opened) {
      connection = std::move(*opened);
      change(ServerState::kRunning, {});
      return;
    }
    {
      const std::lock_guard guard(mutex_);
      failure_ = opened.error();
    }
    changed_.notify_all();
    change(ServerState::kCrashed, opened.error().message);
  }

  /// An idle connection on which something can be read has been ended.
  static bool ended(postgres::Connection& connection) {
    pollfd entry{connection.socket(), POLLIN, 0};
    return !connection.healthy() || ::poll(&entry, 1, 0) != 0;
  }

  bool answers(postgres::Connection& connection, TimePoint& asked) {
    asked = clock_.now();
    return connection.query("SELECT 1").has_value();
  }

  bool wanted() {
    const std::lock_guard guard(mutex_);
    return watching_;
  }

  /// False when the agent ends. Ends early when `start` or `stop` is called.
  bool pause(nanoseconds span) {
    std::unique_lock guard(mutex_);
    const bool before = watching_looked_at_;
    (void)wait_until(guard, Deadline::in(clock_, span), [&] { return ending_ || watching_ != before; });
    watching_looked_at_ = watching_;
    return !ending_;
  }

  void change(ServerState state, const std::string& reason) {
    if (this->state() != state) announce(state, reason);
  }

  const postgres::ConnectionSettings settings_;
  bool watching_ = false;            // guarded by mutex_, as are the next two
  bool watching_looked_at_ = false;
  std::optional<Error> failure_;
  std::thread thread_;               // last: it uses all the others
};

}  // namespace

Result<std::unique_ptr<Agent>> Agent::watch(const std::filesystem::path& directory,
                                            const postgres::ConnectionSettings& server, Log& log, const Clock& clock) {
  auto lock = AgentBase::lock(directory);
  if (!lock) return pass(lock);
  return std::make_unique<WatchingAgent>(directory, std::move(*lock), server, log, clock);
}

}  // namespace verbund::mirror
