// The rules of a machine that is a mirror or becomes production.
#include <algorithm>

#include "base/messages.h"
#include "mirror/pair_engine.h"

namespace verbund::mirror {

bool PairEngine::follow() {
  // Also one that has been fenced since: its log is the one that is followed, and its end the one that counts.
  const bool production = peer_ && (peer_->stage == Stage::kServing || peer_->stage == Stage::kFenced || peer_->stage == Stage::kHandedOver);
  if (production && peer_->term > record_.term) {
    record_.term = peer_->term;
    record_.peer_asks = false;
    write("production has begun a new term");
    return true;
  }
  if (peer_ && peer_->stage == Stage::kServing && peer_->term == record_.term && peer_->asks != record_.peer_asks) {
    record_.peer_asks = peer_->asks;
    write(record_.peer_asks ? "production asks at its start" : "production opens without asking");
    return true;
  }
  if (peer_ && peer_->wish == Wish::kWithdraw && peer_->wish_term > record_.declined) {
    record_.declined = peer_->wish_term;
    if (record_.offered <= record_.declined) record_.offered = {};
    ready_for_ = {};
    write("declined what was handed over");
    return true;
  }
  if (server_.diverged) {
    record_.stage = Stage::kFenced;
    write("its log is no part of production's");
    return true;
  }
  if (server_.running && !server_.standby) {
    begin(Task::kStop);  // it would take writes
    return false;
  }
  if (!server_.running) {
    begin(Task::kFollow);
    return false;
  }
  return offer();
}

/// Production has stopped: once everything is here, the mirror offers a term, then takes it when it is handed over.
bool PairEngine::offer() {
  if (!peer_ || peer_->term != record_.term) return false;
  const bool has_all = peer_->beat.position.value != 0 && server_.beat.position >= peer_->beat.position;
  if (peer_->stage == Stage::kServing && peer_->wish == Wish::kHandOver && has_all) {
    if (ready_for_ == peer_->beat) return false;
    ready_for_ = peer_->beat;
    say_ = true;
    if (record_.offered > std::max({record_.seen, record_.declined, record_.term})) return false;
    record_.offered = next();
    write("offers to take over");
    return true;
  }
  // Said to this life: what was said to an earlier one a person may have taken back since, while this machine was off.
  const bool handed_over = peer_->stage == Stage::kHandedOver && peer_->offered == record_.offered && peer_->heard_boots == record_.boots &&
                           record_.offered > std::max(record_.declined, record_.seen);
  if (!handed_over || !has_all) return false;
  record_.report = report(now_);
  record_.given = false;
  record_.stage = Stage::kPromoting;
  record_.seen = record_.offered;
  cleared_ = true;
  write("takes over");
  return true;
}

void PairEngine::on(const pair::FenceRequested&, TimePoint) {
  if (record_.stage != Stage::kFollowing) return refuse(msgid("this machine is no mirror"));
  if (record_.seen == record_.term) {
    record_.seen = next();
    write("production is fenced by a person");
  }
  say_ = true;
  actions_.emplace_back(pair::Reply{});
}

void PairEngine::on(const pair::Salvaged& salvaged, TimePoint now) {
  if (record_.stage != Stage::kFollowing) return refuse(msgid("this machine is no mirror"));
  if (peer_alive(now)) return refuse(msgid("the other machine is not switched off: it answers"));
  if (salvaged.claim != pair::Claim::kPeerIsOff) return refuse(msgid("production must be switched off, and stay so"));
  salvaged_ = std::pair(record_.term, salvaged.end);
  actions_.emplace_back(pair::Reply{});
}

void PairEngine::on(const pair::PromoteRequested& request, TimePoint now) {
  if (record_.stage != Stage::kFollowing) return refuse(msgid("this machine is no mirror"));
  if (doing_) return refuse(msgid("another step is under way"));
  if (!server_.running || !server_.standby) return refuse(msgid("its PostgreSQL does not run"));
  if (request.token != token_of(report(now))) return refuse(msgid("the report has changed since it was read"));
  const bool off = request.claim == pair::Claim::kPeerIsOff;
  const bool serves = !peer_ || peer_->stage == Stage::kServing;
  if (serves && peer_alive(now)) return refuse(msgid("production is alive: fence it first, or switch over"));
  if (serves && !off && !record_.peer_asks) return refuse(msgid("production opens without asking: it must be switched off"));
  record_.report = report(now);
  record_.given = false;
  record_.stage = Stage::kPromoting;
  record_.offered = record_.seen = next();
  cleared_ = true;
  write("promotion confirmed");
  actions_.emplace_back(pair::Reply{});
}

/// After a restart the peer is asked first: it may have gone on meanwhile, by a person's word.
bool PairEngine::promote(TimePoint now) {
  // Production may have gone on in a term below the one that is offered here, and may have been fenced by that since.
  const bool went_on = peer_ && peer_->term > record_.term;
  if (record_.seen > record_.offered || went_on) return step_back(msgid("another term has begun"));
  if (lapsed_) return step_back(msgid("it was confirmed too long ago"));
  // Salvaged, confirmed, and switched on again before this could be done (simulation, seed 569192997): what it writes now was announced to nobody.
  const bool certain = record_.report && (record_.report->kind == LossKind::kNone || record_.report->kind == LossKind::kBounded);
  const bool works_again = certain && peer_ && peer_->stage == Stage::kServing && peer_->term == record_.term && heard_at_ > entered_at_;
  if (works_again && !record_.given && server_.standby) return step_back(msgid("production works again"));
  if (!cleared_) {
    if (server_.running && !server_.standby) {
      begin(Task::kStop);
      return false;
    }
    const bool answer = peer_ && answered(*peer_, now);
    if (!answer && now - booted_at_ < tuning_.ask_for) return false;
    // What was confirmed holds only while production stands where it stood; "at least" holds in any case.
    // What the witness has given nobody else has gone on with.
    const bool holds = answer || record_.given || !record_.report || record_.report->kind == LossKind::kUnknown;
    if (!holds) return step_back(msgid("the other machine does not answer"));
    cleared_ = true;
  }
  begin(Task::kPromote, record_.offered);
  return false;
}

/// A mirror stays one. One that has left recovery has data of its own term: it asks like any production.
bool PairEngine::step_back(std::string why) {
  lapsed_ = false;
  if (server_.standby) {
    record_.stage = Stage::kFollowing;
    record_.declined = std::max(record_.declined, record_.offered);
    record_.report.reset();
  } else {
    record_.stage = Stage::kServing;
    record_.term = record_.offered;
    record_.alone = false;
    record_.candidate = 0;
    cleared_ = false;
  }
  record_.offered = {};
  record_.given = false;
  write("not promoted: " + why);
  actions_.emplace_back(pair::Tell{"promote", std::move(why)});
  return true;
}

void PairEngine::promoted() {
  if (record_.stage != Stage::kPromoting) return;
  const bool passed_over = record_.seen > record_.offered;
  record_.stage = passed_over ? Stage::kFenced : Stage::kServing;
  record_.term = record_.offered;
  record_.offered = {};
  record_.end = {};
  record_.alone = true;
  record_.candidate = 0;
  cleared_ = true;
  ready_for_ = {};
  write(passed_over ? "promoted, but another term has begun" : "promoted");
  actions_.emplace_back(pair::Tell{"promote", ""});
}

/// Provably still a mirror: says so, so that production can take back what it has handed over.
void PairEngine::not_promoted(const std::string& reason) {
  actions_.emplace_back(pair::Tell{"promote", reason});
  if (record_.stage != Stage::kPromoting || !server_.standby) return;
  record_.stage = Stage::kFollowing;
  record_.declined = std::max(record_.declined, record_.offered);
  record_.offered = {};
  record_.report.reset();
  record_.given = false;
  write("not promoted");
}

}  // namespace verbund::mirror
