/// verbund backup run, recover
#include "cli/backup_run.h"

#include <boost/json.hpp>

#include "cli/backup_publish.h"
#include "node/command_server.h"
#include "node/mirror/replay_gate.h"
#include "node/mirror/role.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

struct Options {
  std::string target, verify;
  bool no_verify = false, dry_run = false;
};

Result<backup::RunOptions> run_options(const Options& options) {
  backup::RunOptions run;
  run.target = options.target;
  if (options.no_verify) run.verify = backup::Level::kNone;
  if (!options.verify.empty()) {
    auto level = backup::parse_level(options.verify);
    if (!level) return pass(level);
    run.verify = *level;
  }
  return run;
}

std::string outcome_word(const backup::Verdict& verdict) {
  if (!verdict.published) return "failed";
  return verdict.outcome == backup::Outcome::kComplete ? "complete" : "incomplete";
}

json::array reasons_of(const std::vector<Phrase>& reasons) {
  json::array out;
  for (const auto& reason : reasons) out.emplace_back(reason.english());
  return out;
}

void print_json(const backup::MediaRun& done) {
  const auto& report = done.report;
  const auto& verdict = report.verdict;
  json::object object{{"outcome", outcome_word(verdict)},
                      {"set", report.set.empty() ? std::string() : report.id},
                      {"path", report.set.string()},
                      {"sequence", std::to_string(report.manifest.sequence)},
                      {"reasons", reasons_of(verdict.reasons)},
                      {"services_down", json::value_from(verdict.services_down)},
                      {"level", backup::level_name(verdict.reached)},
                      {"not_higher", verdict.not_higher.english()},
                      {"barrier", report.manifest.barrier},
                      {"stored_bytes", std::to_string(report.stored_bytes)},
                      {"took_ms", report.took.count()},
                      {"verified_in_ms", report.verified_in.count()},
                      {"services_down_ms", report.services_down.count()},
                      {"medium", done.label},
                      {"night", backup::day_text(done.night.of)},
                      {"copy_only", done.copy.english()},
                      {"removed", json::value_from(done.removed)},
                      {"ledger", reasons_of(done.said)},
                      {"exit_code", verdict.exit_code()}};
  if (verdict.failure) object["error"] = {{"code", wire_name(verdict.failure->code)}, {"message", verdict.failure->message}};
  fmt::print("{}\n", json::serialize(object));
}

void print_media(const Globals& globals, const backup::MediaRun& done) {
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  if (!done.label.empty()) say("  on medium {}", done.label);
  if (!done.copy.msgid.empty()) fmt::print("  {}\n", said(globals.language, done.copy));
  for (const auto& id : done.removed) say("  removed {}: its time is over", id);
  for (const auto& phrase : done.said) fmt::print("  {}\n", said(globals.language, phrase));
}

void print_report(const Globals& globals, const backup::MediaRun& done) {
  const auto& report = done.report;
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  const auto& verdict = report.verdict;
  if (verdict.published) {
    const bool complete = verdict.outcome == backup::Outcome::kComplete;
    complete ? say("Set {}: complete.", report.id) : say("Set {}: INCOMPLETE.", report.id);
    for (const auto& reason : verdict.reasons) fmt::print("  {}\n", said(globals.language, reason));
    say("  {} in {}; {}", shown_bytes(report.stored_bytes), shown_time(std::chrono::duration_cast<seconds>(report.took - report.verified_in)), report.set.string());
    if (report.services_down.count() > 0) say("  services were down for {}", shown_time(std::chrono::duration_cast<seconds>(report.services_down)));
    if (verdict.reached != backup::Level::kNone) {
      say("  verified up to {} in {}", backup::level_name(verdict.reached), shown_time(std::chrono::duration_cast<seconds>(report.verified_in)));
    }
    if (!verdict.not_higher.msgid.empty()) say("  not higher: {}", said(globals.language, verdict.not_higher));
  }
  print_media(globals, done);
  for (const auto& name : verdict.services_down) say("SERVICE DOWN: {} could not be started. Start it by hand, or: verbund backup recover", name);
}

void print_preview(const Globals& globals, const backup::RunPreview& preview) {
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  say("To {} ({} free){}:", preview.target.string(), shown_bytes(preview.free_bytes), preview.encrypted ? translated(globals.language, ", encrypted") : "");
  for (const auto& name : preview.stops) say("  stop {}, and start it again", name);
  for (const auto& database : preview.databases) say("  database {} ({})", database.name, shown_bytes(database.bytes));
  for (const auto& folder : preview.folders) {
    say("  {} {}: {} ({} files, {})", folder.application, folder.version, folder.root, folder.files, shown_bytes(folder.bytes));
  }
  say("  verify up to {}", backup::level_name(preview.verify));
  for (const auto& problem : preview.problems) say("  would not be complete: {}", said(globals.language, problem));
}

/// Where a run would write to now; the ledger stays as it is.
Result<backup::RunOptions> with_medium(const backup::Office& office, backup::RunOptions options) {
  if (!options.target.empty()) return options;
  auto of = backup::media_office(office);
  if (!of) return pass(of);
  auto ledger = backup::Ledger::open(office.directory, of->trusted);
  if (!ledger) return pass(ledger);
  if (!ledger->book().uses_media()) return options;
  const auto drives = backup::look_at_drives(*of);
  auto chosen = backup::choose(office.config.plan, ledger->book(), drives, os::local_time(os::SystemClock().wall()));
  if (!chosen) return pass(chosen);
  options.target = (*chosen)->place;
  return options;
}

int preview(const Globals& globals, const OfficeAtHand& at_hand, const backup::RunOptions& given) {
  const os::SystemClock clock;
  auto options = with_medium(at_hand.office, given);
  if (!options) return report(globals, options.error());
  auto preview = backup::preview_run(at_hand.office, *options, clock);
  if (!preview) return report(globals, preview.error());
  if (!globals.json) {
    print_preview(globals, *preview);
    return 0;
  }
  json::array databases, folders;
  for (const auto& database : preview->databases) databases.push_back(json::object{{"name", database.name}, {"bytes", std::to_string(database.bytes)}});
  for (const auto& folder : preview->folders) {
    folders.push_back(json::object{{"application", folder.application}, {"version", folder.version}, {"root", folder.root}, {"there", folder.there},
                                   {"files", std::to_string(folder.files)}, {"bytes", std::to_string(folder.bytes)}});
  }
  fmt::print("{}\n", json::serialize(json::object{{"dry_run", true}, {"target", preview->target.string()}, {"free_bytes", std::to_string(preview->free_bytes)},
                                                  {"databases", databases}, {"folders", folders}, {"stops", json::value_from(preview->stops)},
                                                  {"problems", reasons_of(preview->problems)}, {"verify", backup::level_name(preview->verify)}, {"encrypted", preview->encrypted}}));
  return 0;
}

int run_backup(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto how = run_options(options);
  if (!how) return report(globals, how.error());
  if (!options.dry_run) {
    const auto ran = run_now(globals, *at_hand, std::move(*how), CalledOff::kReported);
    return ran.busy ? report(globals, *ran.busy) : ran.exit_code;
  }
  auto server = node::CommandServer::open(at_hand->installation, "verbund backup run");
  if (!server) return report(globals, server.error());
  return preview(globals, *at_hand, *how);
}

/// What ended before there was anything to tell of: another one is at work, or an error.
RanNow not_begun(const Globals& globals, const Error& error) {
  if (error.code == ErrorCode::kInUse) return {.exit_code = exit_code(error.code), .busy = error, .set = {}};
  return {.exit_code = report(globals, error), .busy = std::nullopt, .set = {}};
}

void print_run(const Globals& globals, const Result<backup::MediaRun>& done) {
  if (!done) {
    report(globals, done.error());
    return;
  }
  globals.json ? print_json(*done) : print_report(globals, *done);
  if (done->report.verdict.failure && !globals.json) report(globals, *done->report.verdict.failure);
}

int recover(const Globals& globals) {
  const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  auto log = os::open_log({.file = dir / "log" / "backup.log", .terminal = false});
  if (!log) return report(globals, log.error());
  const os::SystemClock clock;
  // Services that would write into half an office stay down.
  if (const auto failed = settle_interrupted(globals, dir)) return *failed;
  auto left = node::recover_services(dir, clock, **log);
  if (!left) return report(globals, left.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"services_down", json::value_from(*left)}}));
  } else {
    for (const auto& name : *left) fmt::print("{}\n", translated(globals.language, "SERVICE DOWN: {} could not be started. Start it by hand, or: verbund backup recover", name));
  }
  return left->empty() ? 0 : exit_code(ErrorCode::kProgramFailed);
}

/// T5: a backup on production is the second choice.
void say_where(const Globals& globals, const backup::Office& office) {
  const auto other = node::read_peer(office.directory);
  if (globals.json || office.role == "mirror" || !other || !*other) return;
  fmt::print(stderr, "{}\n", translated(globals.language, "The backup is made on the production server, which has a mirror: on {} it would not burden anybody.", (*other)->name));
}

}  // namespace

RanNow run_now(const Globals& globals, const OfficeAtHand& at_hand, backup::RunOptions options, CalledOff called_off) {
  const os::SystemClock clock;
  options.interrupted = &interrupted_flag();
  ProgressLine progress(globals, options.interrupted);
  options.on_step = [&progress](const Phrase& step) { progress.step(step); };
  options.on_note = [&progress](const Phrase& note) { progress.note(note); };
  auto settled = node::settle_restore(at_hand.office.directory, clock);
  if (!settled) return not_begun(globals, settled.error());
  for (const auto& what : *settled) fmt::print(stderr, "{}\n", said(globals.language, what));
  // Without a node the server that it owns rests, too.
  auto server = node::CommandServer::open(at_hand.installation, "verbund backup run");
  if (!server) return not_begun(globals, server.error());
  RestFeedGate feed(globals, server->node_runs() ? "" : "no node runs");
  std::optional<node::ReplayGate> replay;
  if (at_hand.office.role == "mirror") replay.emplace(at_hand.office.directory, at_hand.office.superuser, clock, *at_hand.log);
  backup::FeedGate& gate = replay ? static_cast<backup::FeedGate&>(*replay) : feed;
  say_where(globals, at_hand.office);
  const auto begun = clock.wall();
  auto done = backup::run_with_media(at_hand.office, options, gate, progress, clock, *at_hand.log);
  const Error* failure = !done ? &done.error() : done->report.verdict.failure ? &*done->report.verdict.failure : nullptr;
  if (failure != nullptr && failure->code == ErrorCode::kInUse) return not_begun(globals, *failure);
  print_run(globals, done);
  RanNow ran;
  const bool unfinished = failure != nullptr && failure->code == ErrorCode::kCancelled && (!done || !done->report.verdict.published);
  if (done && done->report.verdict.published && failure == nullptr) ran.set = done->report.set;
  if (unfinished && called_off == CalledOff::kStillDue) {
    ran.exit_code = exit_code(ErrorCode::kCancelled);
    return ran;
  }
  ran.exit_code = publish_run(globals, at_hand, done, begun);
  return ran;
}

void add_backup_run(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = backup.add_subcommand("run", text("stop services, save databases and folders as one set, start services, prove the set"));
  command->add_option("--target", options->target, text("directory that holds the sets; default: the medium of the day, or config/backup.toml"));
  auto* level = command->add_option("--verify", options->verify, text("how far: L1 hashes, L2 readable, L3 from the medium, L4 restored"));
  command->add_flag("--no-verify", options->no_verify, text("don't prove the set now; `backup verify` can later"))->excludes(level);
  command->add_flag("--dry-run", options->dry_run, text("say what would be done, and do nothing"));
  command->callback([&globals, run, options] { run([&globals, options] { return run_backup(globals, *options); }); });
  auto* recovery = backup.add_subcommand("recover", text("start the services that a killed run has left stopped"));
  recovery->callback([&globals, run] { run([&globals] { return recover(globals); }); });
}

}  // namespace verbund::cli
