#include "node/mirror/replay_gate.h"

#include <unistd.h>

#include "base/messages.h"

namespace verbund::node {
namespace {

constexpr seconds kPatience{3}, kPauseWithin{30}, kLookEvery{1};
constexpr const char* kFile = "mirror/paused";

Result<postgres::Connection> open(const postgres::ConnectionSettings& superuser) {
  auto opened = postgres::Connection::open(superuser, kPatience);
  if (!opened) return pass(opened);
  if (auto bounded = opened->execute("SET statement_timeout = '3s'"); !bounded) return pass(bounded);
  return opened;
}

}  // namespace

ReplayGate::ReplayGate(std::filesystem::path directory, postgres::ConnectionSettings superuser, const Clock& clock, Log& log)
    : file_(std::move(directory) / kFile), superuser_(std::move(superuser)), clock_(clock), log_(log) {}

ReplayGate::~ReplayGate() {
  copied();
  {
    const std::lock_guard guard(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

Result<Lsn> ReplayGate::pause(Deadline deadline) {
  auto lock = os::FileLock::acquire(file_, fmt::format("verbund backup, pid {}", ::getpid()));
  if (!lock) return pass(lock);
  auto connection = open(superuser_);
  if (!connection) return pass(connection);
  const auto within = std::min(deadline.time(), clock_.now() + kPauseWithin);
  if (auto paused = mirror::pause_replay(*connection, Deadline::at(within), clock_); !paused) return pass(paused);
  auto seen = mirror::read_pause(*connection);
  const std::lock_guard guard(mutex_);
  lock_ = std::move(*lock);
  connection_ = std::move(*connection);
  if (!seen) return pass(seen);
  return seen->replayed;
}

backup::FeedGate::Held ReplayGate::hold(Deadline deadline, seconds) {
  const auto paused = pause(deadline);
  if (!paused) {
    copied();
    return {.held = false, .lsn = {}, .why_not = paused.error().message, .mirror = true};
  }
  log_.info("mirror.replay_paused", {{"position", to_string(*paused)}});
  watch_ = std::jthread([this] { watch(); });
  return {.held = true, .lsn = to_string(*paused), .why_not = {}, .mirror = true};
}

bool ReplayGate::release() {
  const std::lock_guard guard(mutex_);
  return lock_.has_value();
}

void ReplayGate::copied() {
  const std::lock_guard guard(mutex_);
  resume("all is read");
}

/// Under mutex_: the pause is ours until then.
void ReplayGate::resume(std::string_view why) {
  if (!lock_) return;
  const auto resumed = connection_ ? mirror::resume_replay(*connection_) : Status{};
  if (resumed) {
    log_.info("mirror.replay_resumed", {{"why", why}});
  } else {
    log_.error("mirror.replay_not_resumed", {{"error", resumed.error().message}});  // the node's guard does it, once our lock is gone
  }
  connection_.reset();
  std::error_code ignored;
  if (resumed) std::filesystem::remove(file_, ignored);
  lock_.reset();
}

void ReplayGate::watch() {
  std::unique_lock guard(mutex_);
  while (!changed_.wait_for(guard, kLookEvery, [this] { return ended_ || !lock_; })) {
    const auto pause = mirror::read_pause(*connection_);
    if (!pause) return resume("PostgreSQL does not answer");
    if (!pause->paused || bound_.over(*pause, clock_.now())) return resume(pause->paused ? "it has lasted too long" : "somebody else has ended it");
  }
}

PauseGuard::PauseGuard(std::filesystem::path directory, postgres::ConnectionSettings superuser, const Clock& clock, Log& log)
    : file_(std::move(directory) / kFile), superuser_(std::move(superuser)), clock_(clock), log_(log) {}

void PauseGuard::look() {
  if (!connection_ || !connection_->healthy()) {
    connection_.reset();
    auto opened = open(superuser_);
    if (!opened) return;  // the heartbeat says why
    connection_ = std::move(*opened);
  }
  const auto pause = mirror::read_pause(*connection_);
  if (!pause) return connection_.reset();
  const bool over = bound_.over(*pause, clock_.now());
  if (!pause->paused) return;
  std::error_code error;
  // Whoever has paused by hand has no file: only the bound ends that.
  std::optional<os::FileLock> nobodys;
  if (std::filesystem::exists(file_, error)) {
    if (auto lock = os::FileLock::acquire(file_, "verbund node")) nobodys = std::move(*lock);
  }
  if (!over && !nobodys) return;
  const auto resumed = mirror::resume_replay(*connection_);
  if (resumed && nobodys) std::filesystem::remove(file_, error);
  log_.warning("mirror.replay_resumed", {{"why", over ? "it has lasted too long" : "its backup is gone"}, {"error", resumed ? "" : resumed.error().message}});
}

}  // namespace verbund::node
