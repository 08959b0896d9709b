// The rules of a machine that is or was production.
#include <algorithm>

#include "base/messages.h"
#include "mirror/pair_engine.h"

namespace verbund::mirror {

/// Who has been production in this life, or whose peer has answered. Without an answer only a person's word lets it open.
bool PairEngine::may_open(TimePoint now) const {
  return cleared_ || (record_.alone && now - booted_at_ >= tuning_.ask_for);
}

bool PairEngine::waits_for_person(TimePoint now) const {
  return record_.stage == Stage::kServing && !open_ && !may_open(now) && now - booted_at_ >= tuning_.ask_for;
}

bool PairEngine::serve(TimePoint now) {
  if (record_.seen > record_.term) {  // read from the disk so
    record_.stage = Stage::kFenced;
    record_.end = {};
    write("fenced: a higher term has begun");
    return true;
  }
  if (switch_ != Switch::kNone) return switch_over(now);
  if (open_) return false;
  if (may_open(now) && begun_ > record_.term) {
    // Not before the peer has answered: a stale production that was restored would fence the one that has gone on.
    record_.term = record_.seen = begun_;
    write("a restore has begun a term");
    return true;
  }
  if (may_open(now) && !lapsed(now)) {
    begin(Task::kOpen, record_.term);
  } else if (server_.running) {
    begin(Task::kStop);  // left running by an earlier life, or its lease is over: it takes no writes until somebody has answered
  }
  return false;
}

void PairEngine::on(const pair::SwitchoverRequested&, TimePoint now) {
  if (record_.stage != Stage::kServing || !open_) return refuse(msgid("this machine is not production"));
  if (switch_ != Switch::kNone) return refuse(msgid("a switchover is under way"));
  if (doing_) return refuse(msgid("another step is under way"));
  if (!peer_alive(now)) return refuse(msgid("the mirror does not answer"));
  if (peer_->stage != Stage::kFollowing || !peer_->following || peer_->term != record_.term) {
    return refuse(msgid("the mirror does not follow"));
  }
  const Lsn reached = peer_->beat.position;
  if (reached < server_.beat.position && server_.beat.position.value - reached.value > tuning_.max_switch_bytes) {
    return refuse(msgid("the mirror is too far behind"));
  }
  switch_ = Switch::kCheckpoint;
  switch_until_ = now + tuning_.switch_within;
  actions_.emplace_back(pair::Reply{});
}

/// Nothing of it is on disk until the mirror has everything: whatever fails before, production opens again in its term.
bool PairEngine::switch_over(TimePoint now) {
  if (now >= switch_until_ || !peer_alive(now)) {
    give_up_switch(peer_alive(now) ? msgid("it took too long") : msgid("the mirror does not answer"));
    return true;
  }
  switch (switch_) {
    case Switch::kNone: return false;
    case Switch::kCheckpoint: begin(Task::kCheckpoint); return false;
    case Switch::kDrain: begin(Task::kDrain); return false;
    case Switch::kStop:
      close();
      begin(Task::kStop);
      return false;
    case Switch::kAwait: break;
  }
  if (server_.running || server_.beat.position.value == 0) {
    give_up_switch(msgid("PostgreSQL did not stop cleanly"));
    return true;
  }
  if (wish_ != Wish::kHandOver) wish_ = Wish::kHandOver, say_ = true;
  const bool ready = peer_->stage == Stage::kFollowing && peer_->term == record_.term &&
                     peer_->ready_for.position == server_.beat.position && peer_->offered > record_.term &&
                     peer_->offered > peer_->declined;
  if (!ready) return false;
  record_.stage = Stage::kHandedOver;
  record_.offered = peer_->offered;
  record_.end = server_.beat;
  record_.alone = false;
  switch_ = Switch::kNone;
  wish_ = Wish::kNone;
  write("handed over");
  return true;
}

void PairEngine::give_up_switch(std::string reason) {
  if (switch_ != Switch::kCheckpoint) open_ = false;  // opened anew: that lets connections in again, and starts what was stopped
  switch_ = Switch::kNone;
  wish_ = Wish::kNone;
  say_ = true;
  actions_.emplace_back(pair::Tell{"switchover", std::move(reason)});
}

bool PairEngine::hand_over(TimePoint now) {
  if (server_.running) {
    begin(Task::kStop);
    return false;
  }
  if (peer_ && peer_->stage == Stage::kServing && peer_->term >= record_.offered) {
    record_.stage = Stage::kFollowing;
    record_.candidate = 0;
    record_.term = peer_->term;
    record_.peer_asks = peer_->asks;
    record_.offered = {};
    record_.end = {};
    wish_ = Wish::kNone;
    write("the mirror has taken over: follows it");
    actions_.emplace_back(pair::Tell{"switchover", ""});
    return true;
  }
  if (released()) {
    open_anew("the mirror has declined: takes it back");
    actions_.emplace_back(pair::Tell{"switchover", msgid("the mirror has declined")});
    return true;
  }
  const bool declined = peer_ && peer_->declined >= record_.offered;
  if (wish_ == Wish::kNone && (declined || now - entered_at_ >= tuning_.withdraw_after)) ask_release(record_.offered);
  return false;
}

void PairEngine::open_anew(std::string why) {
  record_.term = record_.seen = next();
  record_.stage = Stage::kServing;
  record_.offered = {};
  record_.end = {};
  wish_ = Wish::kNone;
  cleared_ = true;
  write(std::move(why));
}

bool PairEngine::stay_fenced() {
  if (server_.running) {
    begin(Task::kStop);
    return false;
  }
  if (record_.end != server_.beat && !server_.standby) {
    record_.end = server_.beat;
    write("stopped");
    return true;
  }
  if (!released() || record_.seen > wish_term_) return false;
  open_anew("the mirror stays a mirror: opens again");
  return true;
}

void PairEngine::on(const pair::OpenRequested& request, TimePoint now) {
  if (record_.stage == Stage::kServing && open_) return refuse(msgid("it is open already"));
  const bool was_production =
      record_.stage == Stage::kServing || record_.stage == Stage::kHandedOver || record_.stage == Stage::kFenced;
  if (!was_production || server_.standby) return refuse(msgid("this machine is not production"));
  if (request.claim == pair::Claim::kPeerIsOff) {
    if (peer_alive(now)) return refuse(msgid("the other machine is not switched off: it answers"));
    if (doing_) return refuse(msgid("another step is under way"));
    record_.alone = true;
    open_anew("opened by a person: the other machine is off");
    actions_.emplace_back(pair::Reply{});
    return;
  }
  if (record_.stage != Stage::kFenced) return refuse(msgid("only the other machine's answer lets it open"));
  if (!peer_alive(now) || peer_->stage != Stage::kFollowing) return refuse(msgid("the other machine is no mirror that answers"));
  ask_release(record_.seen);
  actions_.emplace_back(pair::Reply{});
}

void PairEngine::on(const pair::RejoinRequested& request, TimePoint now) {
  const bool mirror = request.anew && record_.stage == Stage::kFollowing;
  if (record_.stage != Stage::kFenced && !mirror) return refuse(msgid("only a fenced machine rejoins"));
  if (doing_ || (server_.running && !mirror)) return refuse(msgid("another step is under way"));
  if (!peer_alive(now) || peer_->stage != Stage::kServing || peer_->term < record_.term) {
    return refuse(msgid("the other machine is not production"));
  }
  if (mirror) {
    // What it has offered or said to production's end it could not keep.
    if (peer_->wish != Wish::kNone) return refuse(msgid("another step is under way"));
    if (record_.seen > record_.term) return refuse(msgid("a higher term has begun"));
    record_.declined = std::max(record_.declined, record_.offered);
    record_.offered = {};
    ready_for_ = {};
  }
  record_.stage = Stage::kRejoining;
  record_.peer_asks = false;
  wish_ = Wish::kNone;
  write("rejoin asked for");
  actions_.emplace_back(pair::Reply{});
}

bool PairEngine::rejoin() {
  if (server_.running) {
    begin(Task::kStop);
    return false;
  }
  // Asked to rejoin while production was handing over to it (simulation, seed 404050179): what it needs is a production that runs.
  if (peer_ && peer_->wish == Wish::kWithdraw && peer_->wish_term > record_.declined) {
    record_.declined = peer_->wish_term;
    write("declined what was handed over");
    return true;
  }
  if (peer_ && peer_->stage == Stage::kServing && peer_->term >= record_.term) begin(Task::kRejoin);
  return false;
}

}  // namespace verbund::mirror
