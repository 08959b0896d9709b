#pragma once
/// A report with something of everything, for the tests of this folder.
#include "backup/report/report.h"

namespace verbund::backup {

inline Report sample_report(Report::Outcome outcome) {
  Report report;
  report.outcome = outcome;
  report.id = "20261122-003000-000041";
  report.set_exists = outcome != Report::Outcome::kMissed;
  report.office = "Praxis Dr. Weber & Groß";
  report.host = "server-1";
  report.program_version = "0.1.0";
  report.begun = *from_iso8601("2026-11-22T00:30:00.000000Z");
  report.ended = *from_iso8601("2026-11-22T00:47:12.000000Z");
  report.night = "2026-11-20";
  report.path = "/media/sicherung/20261122-003000-000041";
  report.took = milliseconds(1'032'000);
  report.services_were_down = milliseconds(191'400);
  report.phases = {{phrase("stopping {}", "Praxisprogramm"), report.begun, milliseconds(4'200)},
                   {phrase("taking one snapshot of all databases"), report.begun + seconds(4), milliseconds(300)},
                   {phrase("copying databases and folders"), report.begun + seconds(5), milliseconds(420'000)},
                   {phrase("starting {}", "Praxisprogramm"), report.begun + seconds(425), milliseconds(6'100)},
                   {phrase("publishing the set"), report.begun + seconds(431), milliseconds(2'000)},
                   {phrase("verifying up to {}", "L4"), report.begun + seconds(433), milliseconds(599'000)}};
  report.sizes = {{"praxis", true, 0, 1'440'000'000, 1'431'000'000}, {"SIQVersions", true, 0, 310'500'000, 310'500'000},
                  {"Praxisprogramm: /srv/praxis/daten", false, 48'211, 9'120'000'000, 9'118'000'000}, {"Röntgen: /srv/roentgen/größere Bilder", false, 812, 88'000'000, std::nullopt}};
  report.stored_bytes = 6'420'000'000;
  report.stored_before = 6'390'000'000;
  report.wanted = Level::kRestored;
  report.reached = outcome == Report::Outcome::kFailed ? Level::kReadable : Level::kRestored;
  report.medium_expected = "Freitag 2";
  report.medium_found = "Freitag 2";
  report.next_medium = "Montag";
  report.next_at = "2026-11-24T01:30:00";
  report.off_site_at = "2026-11-19T04:12:00";
  report.off_site_target = "hidrive:praxis";
  report.drill_at = "2026-08-14T15:00:00";
  report.responsible = "Sabine Groß";
  report.deputy = "Dr. Jürgen Weber";
  report.harmless = {"Praxisprogramm"};
  if (outcome == Report::Outcome::kIncomplete) {
    report.folders = {{"Praxisprogramm", "/srv/praxis/daten", {"befunde"}, {"briefe/Müller, Hans 1961 Karzinom.doc", "briefe/Öztürk, Ayşe <Überweisung>.pdf"}, {}}};
    report.reasons = {phrase("{}: missing in {}: {}", "Praxisprogramm", "/srv/praxis/daten", "befunde"),
                      phrase("{}: changed while it was read, in {}: {}", "Praxisprogramm", "/srv/praxis/daten", "briefe/Müller, Hans 1961 Karzinom.doc"),
                      phrase("{}: {} is not saved: {}", "Röntgen", "/srv/roentgen/größere Bilder", phrase("read {}", verbatim("/srv/roentgen/größere Bilder/Müller Hans.dcm")))};
  }
  if (outcome == Report::Outcome::kFailed) {
    report.failure = make_error(ErrorCode::kProgramFailed, phrase("{}: {}", "pg_restore", "COPY patient, line 5: \"Müller\tHans\t1961\""), phrase("verbund backup list"));
  }
  return report;
}

}  // namespace verbund::backup
