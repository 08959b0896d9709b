#include "mirror/witness.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::mirror {

Witness::Witness(const WitnessRecord& record, TimePoint now)
    : record_(record), boots_(record.boots), sequence_(record.sequence), renewed_at_(now), given_at_(now) {}

Witness::Outcome Witness::handle(const WitnessCall& call, TimePoint now) {
  Outcome outcome;
  WitnessAnswer& answer = outcome.answer;
  const WitnessRecord before = record_;
  answer.boots = call.boots;
  answer.sequence = call.sequence;
  const std::size_t who = call.member;
  const bool known = who > 0 && who < boots_.size();
  const bool same_pair = call.pair == record_.pair;
  if (!known || (same_pair && std::pair(call.boots, call.sequence) <= std::pair(boots_[who], sequence_[who]))) {
    answer.reason = msgid("an older call");
  } else if (call.kind == CallKind::kHold) {
    answer.reason = hold(call, now);
    answer.held = answer.reason.empty();
  } else if (!same_pair) {
    answer.reason = msgid("this machine is not of the pair (any more)");
  } else {
    boots_[who] = call.boots, sequence_[who] = call.sequence;
    if (call.kind == CallKind::kIdle && record_.granted == call.member) record_.granted = 0;
    if (call.kind == CallKind::kAsk) {
      answer.reason = grant(call, now);
      if (answer.reason.empty()) answer.ask = call.ask;
    }
  }
  answer.term = record_.term;
  answer.holder = record_.holder;
  answer.granted = record_.granted;
  answer.lease = record_.lease;
  answer.over = now - renewed_at_ - record_.lease;
  if (record_ != before) {
    record_.boots = boots_, record_.sequence = sequence_;
    outcome.write = record_;
  }
  return outcome;
}

/// Why not; empty: it is renewed.
std::string Witness::hold(const WitnessCall& call, TimePoint now) {
  const bool other = record_.holder != 0 && call.member != record_.holder;
  if (call.term < record_.term || (other && call.term == record_.term)) return msgid("a higher term has begun");
  if (record_.granted != 0 && record_.granted != call.member) return msgid("it has been given to the mirror");
  if (call.pair != record_.pair) boots_ = {}, sequence_ = {};
  boots_[call.member] = call.boots, sequence_[call.member] = call.sequence;
  if (record_.granted == call.member || other) {
    record_.given = record_.granted == call.member;
    given_at_ = now;
  }
  record_.pair = call.pair;
  record_.holder = call.member;
  record_.term = call.term;
  record_.candidate = call.candidate;
  record_.lease = call.lease;
  record_.granted = 0;
  renewed_at_ = now;
  return {};
}

/// Why not; empty: it is given.
std::string Witness::grant(const WitnessCall& call, TimePoint now) {
  if (record_.granted == call.member) return {};  // and nobody has been able to hold it since
  if (record_.holder == 0 || call.member != record_.candidate) return msgid("production has not named this machine");
  if (call.term != record_.term) return msgid("this machine follows another term");
  if (now - renewed_at_ < record_.lease + lease_margin(record_.lease)) return msgid("production's lease is not over");
  if (record_.given && now - given_at_ < call.cool_down) return msgid("production was given away not long ago");
  record_.granted = call.member;
  return {};
}

}  // namespace verbund::mirror
