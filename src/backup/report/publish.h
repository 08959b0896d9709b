#pragma once
/// From a run to its report: put together, kept, shown where people look. Blocking; one thread.
#include "alarm/alarm.h"
#include "backup/office.h"
#include "backup/report/store.h"

namespace verbund::backup {

/// What stands around a run: from the ledger, the plan and the duty roster. Empty: not known.
struct Surroundings {
  std::string night;                         ///< "2026-11-21"
  std::string medium_expected, medium_found; ///< labels
  Phrase medium_problem;
  std::string next_medium, next_at;          ///< label; local time
  std::string off_site_at, off_site_target, drill_at;
  std::string responsible, deputy;           ///< names
  std::vector<std::string> to;               ///< mail addresses of both; empty: the administrators
};

/// `last`: the report before, to compare sizes with.
Report report_of(const Office& office, const std::string& office_name, const RunReport& run, const Surroundings& around, const std::optional<StoredReport>& last, WallTime now);
/// Of a run that did not come as far as having a report of its own (wrong medium, another run is under way).
RunReport failed_run(Error error, WallTime begun, WallTime now);
/// Of a night without a run.
Report missed_report(const Office& office, const std::string& office_name, const Surroundings& around, WallTime night_at, WallTime now);

/// Keeps the report (DIR/backup/reports, and beside the set), puts it into the mail spool, prints it, pings. What of it does not work is
/// logged and returned after the rest was done; mails are only spooled: call Alarm::deliver. Errors: kNotDelivered (with the first
/// cause), or what keeping it has met.
Status publish_report(const Report& report, const std::filesystem::path& installation, alarm::Alarm& alarm, const std::vector<std::string>& to, const Clock& clock, Log& log);

/// The mail of a report: counts, no names (report.h), with the PDF.
Result<mail::Mail> mail_of(const Report& report, Language language);

}  // namespace verbund::backup
