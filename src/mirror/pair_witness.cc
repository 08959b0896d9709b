// The rules of a pair that has a witness: production's lease, and the mirror that takes over by itself.
#include <algorithm>

#include "base/messages.h"
#include "mirror/pair_engine.h"

namespace verbund::mirror {

namespace {
constexpr std::size_t kCallsKept = 64;
/// Of a production that is still bound by a witness which its settings no longer name.
constexpr nanoseconds kLeaseWithoutWitness = seconds{30};
/// A wish that was granted and could not be used: not at once again.
constexpr nanoseconds kAskAgainAfter = seconds{10};
}  // namespace

nanoseconds PairEngine::lease() const { return tuning_.lease > nanoseconds{0} ? tuning_.lease : kLeaseWithoutWitness; }

std::optional<TimePoint> PairEngine::leased_until() const {
  if (record_.stage != Stage::kServing || record_.candidate == 0) return std::nullopt;
  TimePoint from{};
  if (held_from_) from = *held_from_;
  // Another mirror than the one that may be given production has promised nothing.
  if (answered_from_ && peer_ && peer_->member == record_.candidate) from = std::max(from, *answered_from_);
  return from + lease();
}

bool PairEngine::lapsed(TimePoint now) const {
  const auto until = leased_until();
  return until && now >= *until;
}

/// Counted from when the renewal was sent: whoever gives production away counts from when it came, and longer.
void PairEngine::keep_lease(TimePoint now) {
  guard();
  if (!open_ || !lapsed(now)) return;
  close();
  switch_ = Switch::kNone;
  wish_ = Wish::kNone;
  say_ = true;
  actions_.emplace_back(pair::Tell{"lease", msgid("neither the mirror nor the witness has answered: it takes no writes until one does")});
}

/// What an earlier life has put in force stays so until this one knows better, and what has been fenced is not let go before it has stopped.
void PairEngine::guard() {
  const bool was_production = record_.stage == Stage::kServing || record_.stage == Stage::kHandedOver || record_.stage == Stage::kFenced;
  std::optional<TimePoint> until;
  if (record_.candidate != 0 && was_production) {
    if (record_.stage != Stage::kServing || (!held_from_ && !answered_from_)) return;
    until = *leased_until() + kStopWithin;
  }
  if (guard_known_ && until == guarded_) return;
  guard_known_ = true;
  guarded_ = until;
  actions_.emplace_back(pair::Guard{until});
}

/// Whom the witness may give production: a mirror that has been heard following.
Member PairEngine::named() const {
  if (record_.alone) return 0;
  return peer_ ? peer_->member : record_.candidate;
}

void PairEngine::call(TimePoint now) {
  if (tuning_.lease <= nanoseconds{0}) return;
  want(now);
  if (called_at_ && now - *called_at_ < tuning_.beat_every) return;
  WitnessCall call;
  call.member = record_.member;
  call.term = record_.term;
  call.lease = lease();
  call.cool_down = tuning_.cool_down;
  if (record_.stage == Stage::kServing && may_open(now)) {
    call.kind = CallKind::kHold;
    const bool renewed = held_from_ && now - *held_from_ < tuning_.answer_within;
    if (record_.candidate == 0 && named() != 0 && renewed) {
      record_.candidate = named();
      write("from now on it writes only while the mirror or the witness answers");
      guard();
    }
    // From one mirror to another only by way of nobody.
    if (named() == record_.candidate) call.candidate = record_.candidate;
  } else if (record_.stage == Stage::kFollowing) {
    call.kind = asking_ ? CallKind::kAsk : CallKind::kIdle;
    call.ask = asking_ ? asks_ : 0;
  } else if (record_.stage == Stage::kFenced || record_.stage == Stage::kRejoining) {
    call.kind = CallKind::kIdle;
  }
  call.boots = record_.boots;
  call.sequence = ++call_sequence_;
  if (call.candidate != 0) named_in_ = call.sequence;
  called_at_ = now;
  calls_.push_back({call.sequence, now, call.kind, call.candidate});
  if (calls_.size() > kCallsKept) calls_.pop_front();
  actions_.emplace_back(pair::Call{std::move(call)});
}

void PairEngine::on(const pair::WitnessAnswered& answered, TimePoint now) {
  const WitnessAnswer& answer = answered.answer;
  if (answer.boots != record_.boots) return;
  const auto called = std::ranges::find(calls_, answer.sequence, &Called::sequence);
  if (called == calls_.end()) return;
  witness_at_ = now;
  if (!witness_ || witness_->sequence < answer.sequence) witness_ = answer;
  if (record_.stage == Stage::kServing) see(answer.term);
  if (record_.stage == Stage::kServing && called->kind == CallKind::kHold && answer.held) {
    held_from_ = std::max(held_from_.value_or(called->at), called->at);
    if (called->candidate == 0 && record_.candidate != 0 && called->sequence > named_in_) {
      record_.candidate = 0;
      write("the witness gives production to nobody");
    }
  }
  if (asking_ && called->kind == CallKind::kAsk && answer.ask == asks_) take_over_alone(now);
}

void PairEngine::on(const pair::Promised& promised, TimePoint) {
  if (promised.term == meter_term_) meter_.promised(promised.until);
}

/// Its lease as it told it, and as the witness knows it.
nanoseconds PairEngine::silence_needed() const {
  nanoseconds longest = lease();
  if (peer_) longest = std::max(longest, peer_->lease);
  if (witness_) longest = std::max(longest, witness_->lease);
  return longest + lease_margin(longest);
}

LossReport PairEngine::report_stopped(TimePoint now, TimePoint stopped) const {
  return meter_.report_within(record_.term, server_.beat.position, stopped, now);
}

bool PairEngine::bearable(const LossReport& report) const {
  if (report.kind == LossKind::kNone) return true;
  if (report.kind == LossKind::kUnknown) return false;
  return report.span <= tuning_.max_loss || (report.waited && report.waited->count() == 0);
}

std::string PairEngine::not_automatic(TimePoint now) const {
  if (tuning_.lease <= nanoseconds{0}) return msgid("there is no witness");
  if (!tuning_.automatic) return msgid("it is switched off");
  if (record_.stage != Stage::kFollowing) return msgid("this machine is no mirror");
  if (!server_.running || !server_.standby) return msgid("its PostgreSQL does not run");
  if (!peer_ || meter_term_ != record_.term || peer_->term != record_.term) return msgid("production has not been heard since this node was started");
  if (peer_->stage != Stage::kServing || peer_->wish != Wish::kNone) return msgid("production has stopped by itself: a person decides");
  if (record_.seen > record_.term) return msgid("a person has fenced production");
  if (!record_.peer_asks) return msgid("production opens without asking: it must be switched off");
  if (peer_->lease == nanoseconds{0}) return msgid("production does not close by itself");
  if (now - *heard_at_ < silence_needed()) return msgid("production was heard not long ago");
  if (!bearable(report_stopped(now, *heard_at_ + peer_->lease + kStopWithin))) return msgid("more might be lost than max_loss allows");
  return {};
}

/// As long as it can wish it does; whoever gives production away learns when it no longer does.
void PairEngine::want(TimePoint now) {
  const bool wants = !doing_ && now >= ask_not_before_ && not_automatic(now).empty();
  if (wants == asking_) return;
  asking_ = wants;
  if (wants) ++asks_;
  called_at_.reset();
}

void PairEngine::take_over_alone(TimePoint now) {
  // By the witness's count production has stopped by then; by our own, too.
  const TimePoint stopped = std::max(now - witness_->over, *heard_at_ + peer_->lease) + kStopWithin;
  const LossReport report = report_stopped(now, stopped);
  if (doing_ || !not_automatic(now).empty() || !bearable(report)) {
    asking_ = false;
    called_at_.reset();
    ask_not_before_ = now + kAskAgainAfter;
    return;
  }
  asking_ = false;
  record_.report = report;
  record_.stage = Stage::kPromoting;
  record_.offered = record_.seen = next();
  record_.given = true;
  cleared_ = true;
  write("the witness has given it production: takes over by itself");
  actions_.emplace_back(pair::Tell{"automatic", ""});
}

void PairEngine::on(const pair::ForgetWitnessRequested& request, TimePoint now) {
  if (record_.stage != Stage::kServing) return refuse(msgid("this machine is not production"));
  if (tuning_.lease > nanoseconds{0}) return refuse(msgid("the witness still stands in the settings"));
  // It has had a message of this life: its settings name no witness any more, either.
  const bool knows = peer_ && answered(*peer_, now);
  if (request.claim != pair::Claim::kPeerIsOff && !knows) return refuse(msgid("the mirror does not answer"));
  if (record_.candidate != 0) {
    record_.candidate = 0;
    write("a person's word: the witness gives production to nobody");
    guard();
  }
  actions_.emplace_back(pair::Reply{});
}

}  // namespace verbund::mirror
