#include "backup/run_engine.h"

#include <algorithm>
#include <cassert>

namespace verbund::backup {

int Verdict::exit_code() const {
  constexpr int kFailed = 20, kVerification = 40;
  int worst = outcome == Outcome::kIncomplete ? verbund::exit_code(ErrorCode::kIncomplete) : 0;
  if (!services_down.empty()) worst = kFailed;
  if (!failure) return worst;
  if (failure->code == ErrorCode::kMediumGone) return std::max(worst, verbund::exit_code(ErrorCode::kMediumGone));
  if (published) return kVerification;
  // Refused before anything was done: somebody else runs.
  return failure->code == ErrorCode::kInUse && worst == 0 ? verbund::exit_code(ErrorCode::kInUse) : kFailed;
}

std::vector<RunAction> RunEngine::handle(const RunEvent& event) {
  actions_.clear();
  std::visit([this](const auto& which) { on(which); }, event);
  return std::move(actions_);
}

void RunEngine::on(const event::Begin&) {
  assert(stage_ == Stage::kNew);
  stage_ = Stage::kLocking;
  actions_.emplace_back(action::Lock{});
}

void RunEngine::on(const event::Done& done) {
  switch (stage_) {
    case Stage::kLocking:
      stage_ = Stage::kRecovering;
      actions_.emplace_back(action::Recover{});
      return;
    case Stage::kRecovering:
      for (const auto& reason : done.reasons) verdict_.services_down.push_back(reason.english());
      return look_at_next();
    case Stage::kNoting:
      to_start_.push_back(service_);
      if (verdict_.failure) return conclude();  // interrupted; it was not stopped, but starting it does no harm
      stage_ = Stage::kStopping;
      actions_.emplace_back(action::StopService{service_});
      return;
    case Stage::kStopping:
      add(done.reasons);
      ++service_;
      return look_at_next();
    case Stage::kBarrier:
      add(done.reasons);
      return copy();
    case Stage::kCopying:
      starting_ = false;
      to_start_.pop_back();
      return go_on_copying();
    case Stage::kPublishing:
      verdict_.published = true;
      if (plan_.verify == Level::kNone || verdict_.failure) return finish();
      stage_ = Stage::kVerifying;
      actions_.emplace_back(action::Verify{plan_.verify});
      return;
    case Stage::kDiscarding:
      return finish();
    default:
      assert(false && "an outcome without a step");
  }
}

void RunEngine::on(const event::Failed& failed) {
  switch (stage_) {
    case Stage::kNoting:
    case Stage::kStopping:
      // What can't be stopped can't be copied at rest; the set says so. It is started all the same: half of it may be down.
      add({phrase("{}: its services could not be stopped: {}", plan_.services[service_], phrase_of(failed.error))});
      ++service_;
      return look_at_next();
    case Stage::kLooking:
      // Nobody knows whether it runs: stopping and starting it is right in the case that matters.
      return on(event::Running{true});
    case Stage::kCopying:
      starting_ = false;
      verdict_.services_down.push_back(plan_.services[to_start_.back()]);
      to_start_.pop_back();
      return go_on_copying();
    case Stage::kDiscarding:
      return finish();
    case Stage::kBarrier:
      fail_with(failed.error);
      return conclude();
    default:
      fail_with(failed.error);
      return finish();
  }
}

void RunEngine::on(const event::Running& looked) {
  if (verdict_.failure) return conclude();
  if (looked.running) {
    stage_ = Stage::kNoting;
    actions_.emplace_back(action::NoteStop{service_});
    return;
  }
  ++service_;
  look_at_next();
}

void RunEngine::look_at_next() {
  if (verdict_.failure) return conclude();
  if (service_ < plan_.services.size()) {
    stage_ = Stage::kLooking;
    actions_.emplace_back(action::LookAtService{service_});
    return;
  }
  if (!plan_.databases) return copy();
  stage_ = Stage::kBarrier;
  actions_.emplace_back(action::TakeBarrier{});
}

void RunEngine::copy() {
  if (verdict_.failure) return conclude();
  stage_ = Stage::kCopying;
  folders_under_way_ = plan_.folders;
  databases_under_way_ = plan_.databases;
  if (databases_under_way_) actions_.emplace_back(action::CopyDatabases{});
  if (folders_under_way_) actions_.emplace_back(action::CopyFolders{});
  go_on_copying();
}

void RunEngine::on(const event::FoldersDone& done) {
  folders_under_way_ = false;
  add(done.reasons);
  go_on_copying();
}

void RunEngine::on(const event::DatabasesDone& done) {
  databases_under_way_ = false;
  add(done.reasons);
  go_on_copying();
}

void RunEngine::on(const event::FoldersFailed& failed) {
  folders_under_way_ = false;
  fail_with(failed.error);
  end_copy();
}

void RunEngine::on(const event::DatabasesFailed& failed) {
  databases_under_way_ = false;
  fail_with(failed.error);
  end_copy();
}

void RunEngine::on(const event::Interrupted&) {
  if (stage_ == Stage::kFinished || stage_ == Stage::kPublishing || stage_ == Stage::kDiscarding) return;
  if (stage_ == Stage::kVerifying) return;  // the runner gives the verification up; the set stays
  fail_with(make_error(ErrorCode::kCancelled, phrase("the run was interrupted")));
  if (stage_ == Stage::kCopying) end_copy();
}

void RunEngine::end_copy() {
  if (!cancelled_ && (folders_under_way_ || databases_under_way_)) {
    cancelled_ = true;
    actions_.emplace_back(action::CancelCopies{});
  }
  go_on_copying();
}

/// The databases' snapshots are taken: services may run again as soon as their folders are copied.
void RunEngine::go_on_copying() {
  if (starting_ || folders_under_way_) return;
  if (!to_start_.empty()) {
    starting_ = true;
    actions_.emplace_back(action::StartService{to_start_.back()});
    return;
  }
  if (databases_under_way_) return;
  if (verdict_.failure) {
    stage_ = Stage::kDiscarding;
    actions_.emplace_back(action::Discard{});
    return;
  }
  stage_ = Stage::kPublishing;
  verdict_.outcome = verdict_.reasons.empty() ? Outcome::kComplete : Outcome::kIncomplete;
  actions_.emplace_back(action::Publish{verdict_.reasons.empty(), verdict_.reasons});
}

/// Something failed before the copies: only starting is left.
void RunEngine::conclude() {
  stage_ = Stage::kCopying;
  go_on_copying();
}

void RunEngine::on(const event::Verified& verified) {
  verdict_.reached = verified.reached;
  verdict_.not_higher = verified.not_higher;
  finish();
}

void RunEngine::fail_with(Error error) {
  if (!verdict_.failure) verdict_.failure = std::move(error);
}

void RunEngine::add(const std::vector<Phrase>& reasons) {
  verdict_.reasons.insert(verdict_.reasons.end(), reasons.begin(), reasons.end());
}

void RunEngine::finish() {
  if (!verdict_.published) verdict_.outcome = Outcome::kFailed;
  stage_ = Stage::kFinished;
  actions_.emplace_back(action::Finish{verdict_});
}

}  // namespace verbund::backup
