#include "node/mirror/follow_sync.h"

#include "base/messages.h"

namespace verbund::node {
namespace {

using mirror::SyncAction;
using mirror::SyncState;

constexpr milliseconds kLookEvery{250};
constexpr seconds kPatience{2};
constexpr seconds kEngageWithin{10};
/// From letting the old mirror go to letting the new one in; a join that fails in between leaves the old one.
constexpr seconds kLetInWithin{30};
/// A mirror's node that spoke so lately follows.
constexpr seconds kFollowsFor{5};
/// A start takes a moment; what lasts is told.
constexpr seconds kQuietAtFirst{10};

}  // namespace

SyncKeeper::SyncKeeper(SyncKeeperSettings settings, const Clock& clock, Log& log, Counters& counters)
    : settings_(std::move(settings)),
      member_(settings_.member),
      clock_(clock),
      log_(log),
      synchronous_(counters.gauge("verbund_mirror_synchronous", "1: commits wait for the mirror; 0: they do not; -1: they should and do not")),
      engine_(mirror::SyncTuning{.fall_back_after = settings_.fall_back_after}) {}

SyncKeeper::~SyncKeeper() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

Status SyncKeeper::start(bool wanted) {
  auto booted = mirror::found_engaged(settings_.server);
  if (!booted) return pass(booted);
  booted->wanted = wanted;
  if (booted->engaged) log_.info("mirror.commits_wait", {{"since", "the last start"}});
  handle(*booted);
  thread_ = std::jthread([this] { run(); });
  return {};
}

void SyncKeeper::want(bool wanted) {
  const std::lock_guard guard(mutex_);
  wish_ = mirror::sync::Wanted{wanted};
  changed_.notify_all();
}

void SyncKeeper::heard(bool follows) {
  const std::lock_guard guard(mutex_);
  if (deaf_until_ && clock_.now() < *deaf_until_) return;
  follows_at_ = follows ? std::optional(clock_.now()) : std::nullopt;
}

Status SyncKeeper::let_go() {
  std::unique_lock guard(mutex_);
  follows_at_.reset();
  deaf_until_ = clock_.now() + settings_.fall_back_after + kLetInWithin;
  if (!engine_.wanted() && engine_.state() == SyncState::kAsynchronous) return {};
  replaced_ = true;
  changed_.notify_all();
  const auto gone = [this] { return stopping_ || (!replaced_ && engine_.state() == SyncState::kAsynchronous); };
  if (changed_.wait_for(guard, settings_.fall_back_after + kEngageWithin * 2, gone)) return {};
  return fail(ErrorCode::kTimedOut, phrase("let another machine be the mirror: commits still wait for the old one"));
}

void SyncKeeper::let_in(mirror::Member mirror) {
  member_ = mirror;
  const std::lock_guard guard(mutex_);
  deaf_until_.reset();
}

std::optional<nanoseconds> SyncKeeper::promise() {
  const std::lock_guard guard(mutex_);
  // One that is about to be taken back can't be given.
  if (replaced_ || (wish_ && !wish_->wanted)) return std::nullopt;
  return engine_.promise(clock_.now());
}

SyncSeen SyncKeeper::seen() const {
  const std::lock_guard guard(mutex_);
  SyncSeen seen;
  seen.wanted = wish_ ? wish_->wanted : engine_.wanted();
  seen.state = engine_.state();
  seen.since = clock_.now() - engine_.since();
  seen.reason = engine_.reason();
  seen.waiting = waiting_;
  seen.fallen_back = fallen_back_;
  return seen;
}

std::string SyncKeeper::alarm() const {
  const std::lock_guard guard(mutex_);
  return told_;
}

SyncAction SyncKeeper::handle(const mirror::sync::Event& event) {
  const std::lock_guard guard(mutex_);
  return engine_.handle(event, clock_.now());
}

void SyncKeeper::run() {
  while (true) {
    {
      std::unique_lock guard(mutex_);
      const bool idle = !engine_.wanted() && engine_.state() == SyncState::kAsynchronous;
      const auto woken = [this] { return stopping_ || wish_ || replaced_; };
      if (idle) changed_.wait(guard, woken);
      else changed_.wait_for(guard, kLookEvery, woken);
      if (stopping_) return;
    }
    look();
    tell();
    changed_.notify_all();
  }
}

Result<mirror::SyncFacts> SyncKeeper::facts() {
  if (!connection_ || !connection_->healthy()) {
    connection_.reset();
    auto superuser = settings_.superuser();
    if (!superuser) return pass(superuser);
    auto opened = postgres::Connection::open(*superuser, kPatience);
    if (!opened) return pass(opened);
    if (auto bounded = opened->execute("SET statement_timeout = '2s'"); !bounded) return pass(bounded);
    connection_ = std::move(*opened);
  }
  auto waiting = mirror::waiting_commits(*connection_);
  if (!waiting) return pass(waiting);
  auto facts = mirror::read_sync_facts(*connection_, member_.load());
  const std::lock_guard guard(mutex_);
  waiting_ = *waiting;
  if (facts) facts->follows = follows_at_ && clock_.now() - *follows_at_ < kFollowsFor;
  return facts;
}

SyncAction SyncKeeper::take_wishes() {
  const std::lock_guard guard(mutex_);
  auto action = SyncAction::kNone;
  if (const auto wish = std::exchange(wish_, std::nullopt)) action = engine_.handle(*wish, clock_.now());
  if (action == SyncAction::kNone && std::exchange(replaced_, false)) action = engine_.handle(mirror::sync::Replaced{}, clock_.now());
  return action;
}

void SyncKeeper::look() {
  perform(take_wishes());
  auto seen = facts();
  perform(seen ? handle(mirror::sync::Looked{*seen}) : handle(mirror::sync::Missed{}));
}

Result<mirror::sync::Event> SyncKeeper::carry_out(SyncAction action) {
  if (action == SyncAction::kRelease) {
    if (!connection_ || !connection_->healthy()) {
      if (auto again = facts(); !again) return pass(again);
    }
    if (auto released = mirror::release_mirror(settings_.server, *connection_); !released) return pass(released);
    return mirror::sync::Event{mirror::sync::Released{}};
  }
  auto superuser = settings_.superuser();
  if (!superuser) return pass(superuser);
  auto position = mirror::engage_mirror(settings_.server, *superuser, member_.load(), settings_.fall_back_after, kEngageWithin, clock_);
  if (!position) return pass(position);
  return mirror::sync::Event{mirror::sync::Engaged{*position}};
}

void SyncKeeper::perform(SyncAction action) {
  while (action != SyncAction::kNone) {
    auto outcome = carry_out(action);
    if (!outcome) log_.error("mirror.waiting_not_changed", {{"engage", action == SyncAction::kEngage}, {"error", outcome.error().message}});
    if (outcome && action == SyncAction::kRelease) {
      const std::lock_guard guard(mutex_);
      if (engine_.wanted()) ++fallen_back_;
      log_.warning("mirror.commits_do_not_wait", {{"reason", engine_.wanted() ? engine_.reason() : "switched off"}});
    }
    if (outcome && action == SyncAction::kEngage) log_.info("mirror.commits_wait", {{"since", "now"}});
    action = handle(outcome ? *outcome : mirror::sync::Event{mirror::sync::Failed{}});
  }
}

/// Whoever has to know, once.
void SyncKeeper::tell() {
  const SyncSeen now = seen();
  const bool waits = now.state == SyncState::kSynchronous || now.state == SyncState::kCatchingUp;
  synchronous_.set(waits ? 1 : now.wanted ? -1 : 0);
  std::string alarm;
  if (now.wanted && now.state == SyncState::kAsynchronous && (now.fallen_back > 0 || now.since > kQuietAtFirst)) alarm = now.reason;
  {
    const std::lock_guard guard(mutex_);
    if (now.state == SyncState::kEngaging || now.state == SyncState::kReleasing || alarm == told_) return;
    told_ = alarm;
  }
  if (settings_.on_alarm) settings_.on_alarm(alarm);
}

}  // namespace verbund::node
