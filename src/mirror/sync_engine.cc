#include "mirror/sync_engine.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::mirror {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

/// Of the positions that are waited for; more are merged into the older one, which only makes a fall-back earlier.
constexpr std::size_t kMaxWritten = 1024;

}  // namespace

std::string_view to_string(SyncState state) {
  switch (state) {
    case SyncState::kAsynchronous: return "asynchronous";
    case SyncState::kEngaging: return "engaging";
    case SyncState::kCatchingUp: return "catching_up";
    case SyncState::kSynchronous: return "synchronous";
    case SyncState::kReleasing: return "releasing";
  }
  return "?";
}

void SyncEngine::enter(SyncState state, TimePoint now) {
  state_ = state;
  since_ = now;
}

void SyncEngine::boot(const sync::Booted& booted, TimePoint now) {
  wanted_ = booted.wanted;
  since_ = engaged_at_ = now;
  reason_ = wanted_ ? msgid("commits do not wait for the mirror: it has not caught up yet") : "";
  if (!booted.engaged) return;
  state_ = SyncState::kCatchingUp;
  heard_at_ = now;
  promised_until_ = now + std::max(booted.promises_of, tuning_.fall_back_after);
}

void SyncEngine::wish(bool wanted) {
  if (wanted && !wanted_) {
    steady_ = tuning_.steady_for;
    reason_ = msgid("commits do not wait for the mirror: it has not caught up yet");
  }
  wanted_ = wanted;
}

SyncAction SyncEngine::handle(const sync::Event& event, TimePoint now) {
  std::visit(Overloaded{[&](const sync::Booted& booted) { boot(booted, now); },
                        [&](const sync::Wanted& wanted) { wish(wanted.wanted); },
                        [&](const sync::Replaced&) {
                          replaced_ = true;
                          follows_ = false;
                        },
                        [&](const sync::Looked& looked) { take(looked.facts, now); },
                        [](const sync::Missed&) {},
                        [&](const sync::Engaged& engaged) {
                          catch_up_to_ = engaged.position;
                          engaged_at_ = now;
                          enter(SyncState::kCatchingUp, now);
                        },
                        [&](const sync::Released&) {
                          half_done_ = false;
                          caught_up_since_.reset();
                          enter(SyncState::kAsynchronous, now);
                        },
                        [&](const sync::Failed&) {
                          half_done_ = true;
                          not_before_ = now + tuning_.retry_after;
                          enter(SyncState::kCatchingUp, now);
                        }},
             event);
  return decide(now);
}

void SyncEngine::take(const SyncFacts& facts, TimePoint now) {
  const bool connected = facts.flushed.value != 0;
  if (connected && (facts.word != word_ || facts.flushed > flushed_)) heard_at_ = now;
  word_ = facts.word;
  flushed_ = facts.flushed;
  follows_ = facts.follows;
  if (facts.follows) replaced_ = false;
  if (connected && facts.flushed >= before_) {
    if (!caught_up_since_) caught_up_since_ = now;
  } else {
    caught_up_since_.reset();
  }
  before_ = facts.position;
  if (state_ == SyncState::kCatchingUp && !catch_up_to_) catch_up_to_ = facts.position;
  while (!unflushed_.empty() && connected && unflushed_.front().position <= flushed_) unflushed_.pop_front();
  const bool more = unflushed_.empty() ? facts.position > flushed_ : facts.position > unflushed_.back().position;
  if (!more) return;
  if (unflushed_.size() < kMaxWritten) {
    unflushed_.push_back({facts.position, now});
  } else {
    unflushed_.back().position = facts.position;
  }
}

/// Until when the mirror has time.
TimePoint SyncEngine::patience() const {
  TimePoint last = heard_at_.value_or(TimePoint{}) + tuning_.fall_back_after;
  if (!unflushed_.empty()) last = std::min(last, unflushed_.front().time + tuning_.fall_back_after);
  return last;
}

std::optional<nanoseconds> SyncEngine::promise(TimePoint now) {
  if (state_ != SyncState::kSynchronous || !wanted_ || replaced_ || patience() <= now) return std::nullopt;
  promised_until_ = std::max(promised_until_, patience());
  return patience() - now;
}

SyncAction SyncEngine::decide(TimePoint now) {
  switch (state_) {
    case SyncState::kAsynchronous:
      if (!wanted_) reason_ = "";
      return engage(now);
    case SyncState::kCatchingUp:
      if (const auto action = let_go(now); action != SyncAction::kNone) return action;
      if (catch_up_to_ && flushed_ >= *catch_up_to_ && wanted_ && !replaced_ && !half_done_) {
        enter(SyncState::kSynchronous, now);
        reason_ = "";
      }
      return SyncAction::kNone;
    case SyncState::kSynchronous: return let_go(now);
    case SyncState::kEngaging:
    case SyncState::kReleasing: return SyncAction::kNone;  // its outcome comes
  }
  return SyncAction::kNone;
}

SyncAction SyncEngine::engage(TimePoint now) {
  if (!wanted_ || replaced_ || !follows_ || now < not_before_) return SyncAction::kNone;
  if (!heard_at_ || now - *heard_at_ >= tuning_.fall_back_after) return SyncAction::kNone;
  if (!caught_up_since_ || now - *caught_up_since_ < steady_) return SyncAction::kNone;
  enter(SyncState::kEngaging, now);
  return SyncAction::kEngage;
}

SyncAction SyncEngine::let_go(TimePoint now) {
  if (now < not_before_) return SyncAction::kNone;
  if (wanted_ && !replaced_ && !half_done_ && now < patience()) return SyncAction::kNone;
  if (now < promised_until_) return SyncAction::kNone;
  if (wanted_) {
    const bool unheard = !heard_at_ || now - *heard_at_ >= tuning_.fall_back_after;
    reason_ = unheard ? msgid("commits do not wait for the mirror: it is not heard") : msgid("commits do not wait for the mirror: it does not keep up");
    if (half_done_ || replaced_) reason_ = msgid("commits do not wait for the mirror: it has not caught up yet");
    steady_ = !half_done_ && now - engaged_at_ < tuning_.calm_after ? std::min(steady_ * 2, tuning_.longest_steady) : tuning_.steady_for;
  }
  enter(SyncState::kReleasing, now);
  return SyncAction::kRelease;
}

}  // namespace verbund::mirror
