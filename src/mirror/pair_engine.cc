#include "mirror/pair_engine.h"

#include <algorithm>
#include <cassert>

#include "base/messages.h"

namespace verbund::mirror {

namespace {
constexpr std::size_t kSentKept = 64;
}  // namespace

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::kServing: return "serving";
    case Stage::kHandedOver: return "handed_over";
    case Stage::kFenced: return "fenced";
    case Stage::kFollowing: return "following";
    case Stage::kPromoting: return "promoting";
    case Stage::kRejoining: return "rejoining";
  }
  return "?";
}

std::string_view to_string(Task task) {
  switch (task) {
    case Task::kCheckpoint: return "checkpoint";
    case Task::kDrain: return "drain";
    case Task::kStop: return "stop";
    case Task::kOpen: return "open";
    case Task::kFollow: return "follow";
    case Task::kPromote: return "promote";
    case Task::kRejoin: return "rejoin";
  }
  return "?";
}

std::vector<pair::Action> PairEngine::handle(const pair::Event& event, TimePoint now) {
  actions_.clear();
  now_ = now;
  std::visit([&](const auto& which) { on(which, now); }, event);
  keep_lease(now);
  while (!doing_ && now >= not_before_ && decide(now)) {
  }
  call(now);
  if (say_ || now - sent_at_ >= tuning_.beat_every) send(now);
  return std::move(actions_);
}

bool PairEngine::decide(TimePoint now) {
  switch (record_.stage) {
    case Stage::kServing: return serve(now);
    case Stage::kHandedOver: return hand_over(now);
    case Stage::kFenced: return stay_fenced();
    case Stage::kFollowing: return follow();
    case Stage::kPromoting: return promote(now);
    case Stage::kRejoining: return rejoin();
  }
  return false;
}

void PairEngine::on(const pair::Booted& booted, TimePoint now) {
  record_ = booted.record;
  server_ = booted.server;
  begun_ = booted.begun;
  booted_at_ = entered_at_ = now;
  entered_ = record_.stage;
  // Seen and lived are on disk before a word is said: an answer to an older life is told from one to this.
  ++record_.boots;
  if (booted.open && record_.stage == Stage::kServing && record_.seen <= record_.term) open_ = cleared_ = true;
  if (open_ && record_.candidate != 0) held_from_ = booted.leased - lease();
  lapsed_ = record_.stage == Stage::kPromoting && (booted.age < nanoseconds{0} || booted.age > tuning_.lapse_after);
  write("boot");
}

void PairEngine::on(const pair::Observed& observed, TimePoint) {
  server_ = observed.server;
  if (open_ && !doing_ && (!server_.running || server_.standby)) open_ = false;  // it has crashed: opened anew
}

void PairEngine::on(const pair::Heard& heard, TimePoint now) {
  const PairStatus& status = heard.status;
  if (status.member == record_.member || status.member == 0) return;
  if (heard.asked) say_ = true;
  if (peer_ && peer_->member != status.member) peer_.reset(), heard_at_.reset(), answered_from_.reset();  // another machine has taken its place
  const auto order = [](const PairStatus& each) { return std::pair(each.boots, each.sequence); };
  if (peer_ && order(status) <= order(*peer_)) return;
  peer_ = status;
  heard_at_ = now;
  salvaged_.reset();  // it is not switched off
  see(std::max(status.seen, status.term));
  if (status.stage == Stage::kServing && status.beat.position.value != 0) {
    if (meter_term_ != status.term) meter_ = {};
    meter_term_ = status.term;
    const auto known = std::ranges::find(sent_, status.heard_sequence, &std::pair<std::uint64_t, TimePoint>::first);
    const bool ours = status.heard_boots == record_.boots && known != sent_.end();
    meter_.heard(status.beat, now, ours ? std::optional(known->second) : std::nullopt);
  }
  if (record_.stage != Stage::kServing) return;
  const auto said = std::ranges::find(sent_, status.heard_sequence, &std::pair<std::uint64_t, TimePoint>::first);
  if (status.heard_boots == record_.boots && said != sent_.end()) answered_from_ = std::max(answered_from_.value_or(said->second), said->second);
  if (!answered(status, now)) return;
  if (status.seen <= record_.term && status.term <= record_.term && status.stage != Stage::kPromoting) cleared_ = true;
  // From here on it may be promoted without production being asked: production asks again at its next start.
  const bool follows = status.stage == Stage::kFollowing && status.following && status.term == record_.term;
  if (record_.alone && follows && record_.seen <= record_.term) {
    record_.alone = false;
    write("the mirror follows: the next start asks it");
  }
}

bool PairEngine::answered(const PairStatus& status, TimePoint now) const {
  if (status.heard_boots != record_.boots) return false;
  const auto said = std::ranges::find(sent_, status.heard_sequence, &std::pair<std::uint64_t, TimePoint>::first);
  return said != sent_.end() && now - said->second <= tuning_.answer_within;
}

void PairEngine::on(const pair::TermSeen& seen, TimePoint) { see(seen.term); }

/// Production's promise to ask before it opens was made to its mirror, and that is another machine now.
void PairEngine::on(const pair::Disowned&, TimePoint) {
  peer_.reset(), heard_at_.reset();
  if (record_.stage != Stage::kFollowing || !record_.peer_asks) return;
  record_.peer_asks = false;
  write("production has another mirror");
}

/// The new one has not followed yet: what it does not have it can't have gone on with.
void PairEngine::on(const pair::Replaced&, TimePoint) {
  peer_.reset(), heard_at_.reset(), answered_from_.reset();
  if (record_.stage != Stage::kServing || !open_ || record_.alone) return;
  record_.alone = true;
  write("another mirror is let in");
}

bool PairEngine::see(Term term) {
  if (term <= record_.seen) return false;
  record_.seen = term;
  if (record_.stage == Stage::kServing && term > record_.term) {
    close();
    record_.stage = Stage::kFenced;
    record_.end = {};
    switch_ = Switch::kNone;
    wish_ = Wish::kNone;
    write("fenced: a higher term has begun");
    actions_.emplace_back(pair::Tell{"fenced", msgid("a higher term has begun")});
  } else {
    write("a higher term has been heard of");
  }
  return true;
}

void PairEngine::on(const pair::Done& done, TimePoint now) {
  assert(doing_ == done.task);
  doing_.reset();
  server_ = done.server;
  say_ = true;
  switch (done.task) {
    case Task::kOpen:
      // Fenced meanwhile: the rules of that stage stop it again; it has not been opened for writes.
      open_ = record_.stage == Stage::kServing && !lapsed(now);
      if (record_.stage == Stage::kServing) cleared_ = true;
      break;
    case Task::kPromote: promoted(); break;
    case Task::kRejoin:
      record_.stage = Stage::kFollowing;
      record_.candidate = 0;
      if (peer_) record_.term = std::max(record_.term, peer_->term);
      record_.end = {};
      write("rejoined");
      break;
    case Task::kCheckpoint:
      if (switch_ == Switch::kCheckpoint) switch_ = Switch::kDrain;
      break;
    case Task::kDrain:
      if (switch_ == Switch::kDrain) switch_ = Switch::kStop;
      break;
    case Task::kStop:
      if (switch_ == Switch::kStop) switch_ = Switch::kAwait;
      break;
    case Task::kFollow: break;
  }
  if (switch_ != Switch::kNone && now >= switch_until_) give_up_switch(msgid("it took too long"));
}

void PairEngine::on(const pair::Failed& failed, TimePoint now) {
  assert(doing_ == failed.task);
  doing_.reset();
  server_ = failed.server;
  not_before_ = now + tuning_.retry_after;
  if (switch_ != Switch::kNone) {
    not_before_ = now;
    return give_up_switch(failed.reason);
  }
  if (failed.task == Task::kPromote) return not_promoted(failed.reason);
  actions_.emplace_back(pair::Tell{std::string(to_string(failed.task)), failed.reason});
}

LossReport PairEngine::report(TimePoint now) const {
  const bool same_term = meter_term_ == record_.term;
  return (same_term ? meter_ : LossMeter{}).report(record_.term, server_.beat.position, stopped(), now);
}

/// Production's end as it told it in a stage that it can't leave without us, unless a person says that we are off.
std::optional<Beat> PairEngine::stopped() const {
  if (salvaged_ && salvaged_->first == record_.term) return salvaged_->second;
  if (!peer_ || peer_->term != record_.term || peer_->wish == Wish::kWithdraw) return std::nullopt;
  if (peer_->heard_boots != record_.boots) return std::nullopt;  // said to an earlier life: it may have gone on since
  if (peer_->stage != Stage::kFenced && peer_->stage != Stage::kHandedOver) return std::nullopt;
  if (peer_->beat.position.value == 0) return std::nullopt;
  return peer_->beat;
}

/// Above everything that anybody has begun, offered or declined.
Term PairEngine::next() const {
  Term above = std::max({record_.term, record_.seen, record_.offered, record_.declined, begun_});
  if (peer_) above = std::max({above, peer_->term, peer_->seen, peer_->offered, peer_->declined});
  return next_term(record_.member, above);
}

bool PairEngine::released() const {
  // A machine that rejoins can't take over before it follows again, and what it has declined it has written down.
  const bool mirror = peer_ && (peer_->stage == Stage::kFollowing || peer_->stage == Stage::kRejoining);
  return wish_ == Wish::kWithdraw && mirror && peer_->declined >= wish_term_ &&
         peer_->heard_boots == record_.boots && peer_->heard_sequence >= wish_from_;
}

void PairEngine::ask_release(Term term) {
  wish_ = Wish::kWithdraw;
  wish_term_ = term;
  wish_from_ = sequence_ + 1;
  say_ = true;
}

void PairEngine::write(std::string why) {
  if (record_.stage != entered_) {
    entered_ = record_.stage;
    entered_at_ = now_;
  }
  say_ = true;
  actions_.emplace_back(pair::Record{record_, std::move(why)});
}

void PairEngine::begin(Task task, Term term) {
  doing_ = task;
  actions_.emplace_back(pair::Do{task, term});
}

void PairEngine::close() {
  if (open_) actions_.emplace_back(pair::Close{});
  open_ = false;
}

void PairEngine::refuse(std::string reason) { actions_.emplace_back(pair::Reply{false, std::move(reason)}); }

void PairEngine::send(TimePoint now) {
  say_ = false;
  sent_at_ = now;
  sent_.emplace_back(++sequence_, now);
  if (sent_.size() > kSentKept) sent_.pop_front();
  actions_.emplace_back(pair::Send{status()});
}

PairStatus PairEngine::status() const {
  PairStatus status;
  status.member = record_.member;
  status.boots = record_.boots;
  status.sequence = sequence_;
  if (peer_) status.heard_boots = peer_->boots, status.heard_sequence = peer_->sequence;
  status.stage = record_.stage;
  status.term = record_.term;
  status.seen = record_.seen;
  status.offered = record_.offered;
  status.declined = record_.declined;
  status.open = open_;
  status.asks = !record_.alone;
  status.following = record_.stage == Stage::kFollowing && server_.running && server_.standby;
  const bool ended = record_.stage == Stage::kHandedOver || record_.stage == Stage::kFenced;
  status.beat = ended ? record_.end : server_.beat;
  status.ready_for = ready_for_;
  status.wish = wish_;
  status.wish_term = wish_term_;
  if (record_.stage == Stage::kServing && record_.candidate != 0) status.lease = lease();
  return status;
}

}  // namespace verbund::mirror
