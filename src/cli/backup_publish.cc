#include "cli/backup_publish.h"

#include "backup/media/ledger.h"
#include "backup/report/surroundings.h"

namespace verbund::cli {
namespace {

/// What the ledger says around a run; a ledger that can't be read leaves it empty, with the reason.
backup::Surroundings around(const OfficeAtHand& at_hand, const Result<backup::MediaRun>& done) {
  const auto& plan = at_hand.office.config.plan;
  const auto now = os::local_time(os::SystemClock().wall());
  auto trusted = backup::trusted_keys(at_hand.office.directory);
  auto ledger = trusted ? backup::Ledger::open(at_hand.office.directory, *trusted) : Result<backup::Ledger>(pass(trusted));
  if (!ledger) {
    backup::Surroundings unknown;
    unknown.medium_problem = phrase_of(ledger.error());
    return unknown;
  }
  const auto& book = ledger->book();
  const auto night = done ? done->night : backup::night_now(plan, book, now);
  // An office without media lacks none.
  const auto due = done ? done->due : book.uses_media() ? backup::due_for(plan, book, night, now) : backup::Due{};
  auto out = backup::surroundings_of(plan, backup::duty_now(at_hand.office.config.duty, book), book, night, due, done ? done->medium : std::string(), now);
  if (done && !done->copy.msgid.empty()) out.medium_problem = done->copy;
  return out;
}

}  // namespace

Result<Desk> desk_at_hand(const Globals& globals) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return pass(at_hand);
  auto alarm = alarm::Alarm::open(at_hand->office.directory / "alarm", at_hand->installation.settings().alarm, *at_hand->log);
  if (!alarm) return pass(alarm);
  return Desk{std::move(*at_hand), std::move(*alarm)};
}

int publish_run(const Globals& globals, const OfficeAtHand& at_hand, const Result<backup::MediaRun>& done, WallTime begun) {
  const os::SystemClock clock;
  const int run_code = done ? done->report.verdict.exit_code() : exit_code(done.error().code);
  const auto* failure = !done ? &done.error() : done->report.verdict.failure ? &*done->report.verdict.failure : nullptr;
  // Another run is under way, and will have a report of its own.
  if (failure != nullptr && failure->code == ErrorCode::kInUse) return run_code;
  const auto& dir = at_hand.office.directory;
  auto alarm = alarm::Alarm::open(dir / "alarm", at_hand.installation.settings().alarm, *at_hand.log);
  if (!alarm) {
    const int code = report(globals, alarm.error());
    return run_code == 0 ? code : run_code;
  }
  const auto run = done ? done->report : backup::failed_run(done.error(), begun, clock.wall());
  const auto surroundings = around(at_hand, done);
  const auto made = backup::report_of(at_hand.office, alarm->config().office, run, surroundings, backup::ReportStore(dir).last_with_sizes(), clock.wall());
  auto told = backup::publish_report(made, dir, *alarm, surroundings.to, clock, *at_hand.log);
  if (auto delivered = alarm->deliver(clock); !delivered && told) told = std::unexpected(delivered.error());
  if (!told) report(globals, told.error());
  return run_code == 0 && !told ? exit_code(ErrorCode::kNotDelivered) : run_code;
}

}  // namespace verbund::cli
