#include "backup/report/publish.h"

#include <algorithm>

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

void add_sizes(const RunReport& run, const std::optional<StoredReport>& last, Report& report) {
  const auto before = [&](const std::string& name) -> std::optional<std::uint64_t> {
    const auto at = last ? last->sizes.find(name) : std::map<std::string, std::uint64_t>::const_iterator();
    return last && at != last->sizes.end() ? std::optional(at->second) : std::nullopt;
  };
  for (const auto& database : run.manifest.databases) {
    const auto* member = run.manifest.member(database.member);
    report.sizes.push_back({database.name, true, 0, member ? member->plain_bytes : 0, before(database.name)});
    for (const auto& table : database.tables) report.harmless.push_back(table.schema + "." + table.table);
  }
  for (const auto& folder : run.manifest.folders) {
    const auto name = fmt::format("{}: {}", folder.application, folder.root);
    report.sizes.push_back({name, false, folder.files, folder.bytes, before(name)});
    report.harmless.insert(report.harmless.end(), {folder.application, folder.root, folder.version});
    if (!folder.missing.empty() || !folder.changed.empty() || !folder.unreadable.empty()) {
      report.folders.push_back({folder.application, folder.root, folder.missing, folder.changed, folder.unreadable});
    }
  }
  if (last && last->stored_bytes > 0) report.stored_before = last->stored_bytes;
}

void add_surroundings(const Surroundings& around, Report& report) {
  report.night = around.night;
  report.medium_expected = around.medium_expected;
  report.medium_found = around.medium_found;
  report.medium_problem = around.medium_problem;
  report.next_medium = around.next_medium;
  report.next_at = around.next_at;
  report.off_site_at = around.off_site_at;
  report.off_site_target = around.off_site_target;
  report.drill_at = around.drill_at;
  report.responsible = around.responsible;
  report.deputy = around.deputy;
}

/// OK means all of it: complete, and proven as far as was asked for.
Report::Outcome outcome_of(const Verdict& verdict) {
  if (!verdict.published || verdict.outcome == Outcome::kFailed || verdict.failure) return Report::Outcome::kFailed;
  if (verdict.outcome != Outcome::kComplete || !verdict.services_down.empty()) return Report::Outcome::kIncomplete;
  return Report::Outcome::kOk;
}

std::string id_without_set(const char* word, WallTime at) {
  std::string id = fmt::format("{}-{}", word, to_iso8601(at).substr(0, 19));
  std::erase(id, ':');
  return id;
}

bool wanted(alarm::Reports which, const Report& report) {
  return which == alarm::Reports::kAlways || (which == alarm::Reports::kTrouble && report.outcome != Report::Outcome::kOk);
}

}  // namespace

Report report_of(const Office& office, const std::string& office_name, const RunReport& run, const Surroundings& around, const std::optional<StoredReport>& last, WallTime now) {
  Report report;
  report.outcome = outcome_of(run.verdict);
  report.set_exists = !run.set.empty();
  report.id = report.set_exists ? run.id : id_without_set("failed", run.begun);
  report.office = office_name;
  report.host = office.host;
  report.program_version = office.program_version;
  report.begun = run.begun;
  report.ended = now;
  report.path = run.set.string();
  report.sealed = !run.manifest.recipients.empty();
  report.reasons = run.verdict.reasons;
  report.failure = run.verdict.failure;
  report.services_down = run.verdict.services_down;
  for (const auto& phase : run.phases) report.phases.push_back({phase.what, phase.begun, phase.took});
  report.took = run.took;
  report.services_were_down = run.services_down;
  report.stored_bytes = run.stored_bytes;
  report.wanted = run.wanted;
  report.reached = run.verdict.reached;
  report.not_higher = run.verdict.not_higher;
  for (const auto& application : applications_of(office)) report.harmless.push_back(application.name);
  for (const auto& database : office.databases) report.harmless.push_back(database.settings.database);
  add_sizes(run, last, report);
  add_surroundings(around, report);
  return report;
}

RunReport failed_run(Error error, WallTime begun, WallTime now) {
  RunReport run;
  run.verdict.failure = std::move(error);
  run.begun = begun;
  run.took = std::chrono::duration_cast<milliseconds>(now - begun);
  return run;
}

Report missed_report(const Office& office, const std::string& office_name, const Surroundings& around, WallTime night_at, WallTime now) {
  Report report;
  report.outcome = Report::Outcome::kMissed;
  report.id = id_without_set("missed", night_at);
  report.office = office_name;
  report.host = office.host;
  report.program_version = office.program_version;
  report.begun = night_at;
  report.ended = now;
  add_surroundings(around, report);
  return report;
}

Result<mail::Mail> mail_of(const Report& report, Language language) {
  const auto document = document_of(report, language, Detail::kCounts);
  mail::Mail mail;
  mail.subject = subject_of(report, language);
  mail.text = text_of(document);
  auto pdf = pdf_of(document);
  if (!pdf) return pass(pdf);
  mail.attachments.push_back({translated(language, "backup-report-{}.pdf", report.id), "application/pdf", std::move(*pdf)});
  return mail;
}

Status publish_report(const Report& report, const fs::path& installation, alarm::Alarm& alarm, const std::vector<std::string>& to, const Clock& clock, Log& log) {
  const auto& config = alarm.config();
  const ReportStore store(installation);
  Status first;
  const auto note = [&](const char* what, const Status& done) {
    if (done) return;
    log.error("backup.report", {{"what", what}, {"error", done.error().message}});
    if (first) first = done;
  };
  const auto kept = store.put(report, config.language);
  note("keep", kept);
  // A medium that was pulled out meanwhile: nothing may land under its mount point.
  std::error_code gone;
  if (report.set_exists && fs::is_directory(report.path, gone)) note("medium", ReportStore::put_beside(fs::path(report.path).parent_path(), report, config.language));
  auto mail = mail_of(report, config.language);
  if (mail && kept) note("keep", store.put_mail(report.id, *mail));
  if (mail) mail->to = to;
  // Who was killed before he could note that he has told of this night tells it under the same name: it waits once, or is known again.
  if (mail && report.outcome == Report::Outcome::kMissed) mail->message_id = fmt::format("{}@{}.invalid", report.id, installation_id(installation).value_or(report.host));
  if (config.smtp && wanted(config.mail_reports, report)) note("mail", mail ? alarm.mail(std::move(*mail), clock) : Status(std::unexpected(mail.error())));
  if (kept && wanted(config.print_reports, report)) note("print", alarm.print(store.file(report.id, "pdf"), subject_of(report, config.language), clock));
  note("ping", alarm.ping(report.outcome == Report::Outcome::kOk));
  log.info("backup.report", {{"id", report.id}, {"outcome", outcome_name(report.outcome)}});
  return first;
}

}  // namespace verbund::backup
