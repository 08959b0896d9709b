#include "node/nights.h"

#include <csignal>

#include <sys/stat.h>
#include <unistd.h>

#include "backup/night/copies.h"
#include "base/messages.h"
#include "node/drill.h"
#include "node/office_backup.h"
#include "platform/os/clock.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

/// A clock that was set, a configuration that was changed: seen within this time.
constexpr seconds kLookEvery{60}, kTurnEvery{5};
constexpr seconds kRoundEvery{600};
/// A run that left its night due (another command is at work) is tried again after this, then after ever longer pauses.
constexpr seconds kFirstPause{600}, kLongestPause{7200};
/// A copy outside the house that has failed.
constexpr seconds kCopyPause{3600};
/// What the two commands end with when they have done their work, whatever it has come to.
constexpr int kWorked[] = {0, 10, 20, 30, 40, 50};

Result<backup::Office> office_in(const fs::path& directory) {
  auto installation = Installation::load(directory);
  if (!installation) return pass(installation);
  return office_of(*installation);
}

}  // namespace

Nights::Nights(NightsSettings settings, const Clock& clock, Log& log) : settings_(std::move(settings)), clock_(clock), log_(log) {}

Nights::~Nights() {
  begin_stop([] {});
}

void Nights::start() {
  // What a drill has restored is nobody's office.
  if (is_drill(settings_.directory)) return;
  scheduler_ = std::jthread([this] { schedule(); });
  rounds_ = std::jthread([this] { look_round(); });
}

void Nights::begin_stop(std::function<void()> stopped, int signal) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  changed_.notify_all();
  night_.end(signal);
  round_.end(SIGTERM);
  stopper_ = std::jthread([this, stopped = std::move(stopped)] {
    if (scheduler_.joinable()) scheduler_.join();
    if (rounds_.joinable()) rounds_.join();
    stopped();
  });
}

bool Nights::wait(nanoseconds span) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, span, [this] { return stopping_; });
  return !stopping_;
}

std::string Nights::files_now() const {
  std::string seen;
  const auto add = [&](const fs::path& file) {
    struct stat status{};
    if (::stat((settings_.directory / file).c_str(), &status) != 0) return;
    seen += fmt::format("{} {} {}.{}\n", file.native(), status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  };
  for (const auto* file : {"config/backup.toml", "config/verbund.toml", "backup/ledger.jsonl", "backup/nights.since", "backup/offsite"}) add(file);
  return seen;
}

Nights::Look Nights::look() {
  Look found;
  found.seen = files_now();
  const auto now = os::local_time(clock_.wall());
  auto office = office_in(settings_.directory);
  auto outlook = office ? backup::outlook_of(*office, now) : Result<backup::Outlook>(pass(office));
  // Nothing was due before the first look.
  if (outlook && outlook->configured) {
    if (auto begun = backup::begin_nights(settings_.directory, now); !begun) outlook = std::unexpected(begun.error());
  }
  if (!outlook) {
    log_.warning("nights.not_known", {{"error", outlook.error().message}});
    return found;
  }
  const auto open = backup::open_copies(*office);
  found.scheduler = office->config.scheduler;
  found.outlook = std::move(*outlook);
  found.plan = office->config.plan;
  found.copies_open = open && !open->empty();
  found.readable = true;
  return found;
}

backup::NightTurn Nights::turn(const Look& seen) {
  auto found = backup::turn_now(settings_.directory, seen.outlook, seen.plan, os::local_time(clock_.wall()));
  const std::string error = found ? std::string() : found.error().message;
  if (error != turn_error_ && !error.empty()) log_.warning("nights.turn_not_known", {{"error", error}});
  turn_error_ = error;
  return found ? std::move(*found) : backup::NightTurn{backup::Turn::kNobodys, false, false, {}};
}

void Nights::schedule() {
  Look seen = look();
  TimePoint not_before = clock_.now(), copies_again = clock_.now();
  nanoseconds pause = kFirstPause;
  while (true) {
    auto now = os::local_time(clock_.wall());
    if (seen.seen != files_now() || now < seen.outlook.now) seen = look();
    const bool ours = seen.readable && seen.scheduler == backup::Scheduler::kNode && seen.outlook.configured;
    const bool due = ours && turn(seen).due && clock_.now() >= not_before;
    if (due || (ours && seen.copies_open && clock_.now() >= copies_again)) {
      run("night", night_);
      copies_again = clock_.now() + kCopyPause;
      seen = look();
      now = os::local_time(clock_.wall());
      const bool still_due = turn(seen).due;
      not_before = clock_.now() + (still_due ? pause : nanoseconds{0});
      pause = still_due ? std::min<nanoseconds>(pause * 2, kLongestPause) : nanoseconds{kFirstPause};
      const std::lock_guard lock(mutex_);
      round_wanted_ = true;
      changed_.notify_all();
    }
    // A night that has come and is not this machine's, or not yet: that may change any time.
    const auto until_next = !ours ? nanoseconds{kLookEvery} : seen.outlook.next > now ? nanoseconds{seen.outlook.next - now} : nanoseconds{kTurnEvery};
    if (!wait(std::clamp<nanoseconds>(until_next, milliseconds{100}, kLookEvery))) return;
  }
}

void Nights::look_round() {
  std::optional<std::vector<std::string>> told;  // by this node; what an earlier one has told may have ended meanwhile
  TimePoint next = clock_.now();
  while (true) {
    const auto feed = settings_.feed();
    std::vector<std::string> now_said;
    for (const auto& state : feed) now_said.push_back(state.text.english());
    const bool round = clock_.now() >= next;
    if (now_said != told || (round && !feed.empty())) hold("feed", feed);
    told = std::move(now_said);
    if (round) {
      const Look seen = look();
      const bool ours = !seen.readable || seen.scheduler == backup::Scheduler::kNode;
      if (ours && (!seen.readable || seen.outlook.configured || settings_.alarm.smtp)) run("check", round_);
      next = clock_.now() + kRoundEvery;
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLookEvery, [this] { return stopping_ || round_wanted_; });
    if (stopping_) return;
    if (std::exchange(round_wanted_, false)) next = clock_.now();
  }
}

void Nights::run(const char* what, os::WatchedChild& child) {
  os::Command command;
  command.argv = {settings_.program.native(), "--dir", settings_.directory.native(), "backup", what};
  if (std::string_view(what) == "night") command.argv.insert(command.argv.end(), {"--parent", std::to_string(::getpid())});
  else command.argv.emplace_back("--quiet");
  const auto file = settings_.directory / "log" / "nights.log";
  const auto code = child.run(command, file);
  if (!code && code.error().code == ErrorCode::kCancelled) return;
  log_.info("nights.ended", {{"command", what}, {"exit_code", code ? *code : -1}});
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
  const bool worked = code && std::ranges::find(kWorked, *code) != std::end(kWorked);
  std::vector<alarm::State> states;
  if (!code) states.push_back({fmt::format("nights/{}", what), phrase("`verbund backup {}` can't be started: {}", what, phrase_of(code.error())), {}, {}});
  else if (!worked) states.push_back({fmt::format("nights/{}", what), phrase("`verbund backup {}` ends with {}: its words are in {}", what, *code, file.native()), {}, {}});
  hold(fmt::format("nights-{}", what), states);
}

void Nights::hold(std::string_view source, const std::vector<alarm::State>& states) {
  const auto directory = settings_.directory / "alarm";
  if (states.empty() && alarm::states_in(directory, source).empty()) return;
  auto alarm = alarm::Alarm::open(directory, settings_.alarm, log_);
  const auto held = alarm ? alarm->hold(source, states, clock_) : Status(std::unexpected(alarm.error()));
  if (!held) return log_.error("nights.alarm", {{"error", held.error().message}});
  if (auto left = alarm->deliver(clock_); !left) log_.error("nights.alarm", {{"error", left.error().message}});
}

}  // namespace verbund::node
