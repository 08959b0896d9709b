// Reports in three forms and two languages. With VERBUND_KEEP_REPORTS=DIR the pages are left there to be looked at.
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/report/report_scene.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/os/scratch_directory.h"

namespace verbund::backup {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Outcome = Report::Outcome;

const std::vector<Outcome> kOutcomes = {Outcome::kOk, Outcome::kIncomplete, Outcome::kFailed, Outcome::kMissed};

/// Text of a PDF, by Debian's pdftotext.
std::string text_in(const std::string& pdf) {
  const os::ScratchDirectory scratch;
  const os::SystemClock clock;
  if (!os::write_file_atomically(scratch.path() / "x.pdf", pdf)) return {};
  os::Command command;
  command.argv = {"pdftotext", "-layout", scratch.path() / "x.pdf", "-"};
  auto outcome = os::run(command, Deadline::in(clock, seconds(60)), clock);
  return outcome ? outcome->output : outcome.error().message;
}

TEST(ReportSubject, SaysOutcomeOfficeNightAndMedium) {
  const auto report = sample_report(Outcome::kOk);
  EXPECT_EQ(subject_of(report, Language::kEnglish), "OK: Praxis Dr. Weber & Groß, 2026-11-20, Freitag 2");
  EXPECT_EQ(subject_of(sample_report(Outcome::kIncomplete), Language::kGerman), "UNVOLLSTÄNDIG: Praxis Dr. Weber & Groß, 20.11.2026, Freitag 2");
  auto none = sample_report(Outcome::kMissed);
  none.medium_found.clear();
  none.office = "Praxis\r\nBcc: x";
  EXPECT_EQ(subject_of(none, Language::kGerman), "AUSGEFALLEN: Praxis  Bcc: x, 20.11.2026, kein Medium");
}

TEST(ReportText, HasWhatTheOfficeWantsToKnow) {
  const auto text = text_of(document_of(sample_report(Outcome::kOk), Language::kGerman, Detail::kNames));
  for (const auto* words : {"OK – alles ist gesichert und geprüft", "Freitag 2", "Montag (24.11.2026 01:30)", "19.11.2026 04:12, hidrive:praxis", "14.08.2026 15:00", "Sabine Groß",
                            "Dr. Jürgen Weber", "L4, zur Probe wiederhergestellt", "1,4 GB", "+0,6 %", "±0 %", "neu", "6,4 GB (+0,5 %)", "17 min 12 s", "3 min 11 s",
                            "Datenbank praxis", "Praxisprogramm wird angehalten"}) {
    EXPECT_THAT(text, HasSubstr(words)) << text;
  }
  const auto english = text_of(document_of(sample_report(Outcome::kMissed), Language::kEnglish, Detail::kNames));
  EXPECT_THAT(english, HasSubstr("MISSED – no run took place in this night"));
}

TEST(ReportText, NamesFilesOnDiskAndOnlyCountsThemInAMail) {
  const auto report = sample_report(Outcome::kIncomplete);
  const auto disk = text_of(document_of(report, Language::kGerman, Detail::kNames));
  EXPECT_THAT(disk, HasSubstr("/srv/praxis/daten/briefe/Müller, Hans 1961 Karzinom.doc"));
  EXPECT_THAT(disk, HasSubstr("Müller Hans.dcm"));
  const auto document = document_of(report, Language::kGerman, Detail::kCounts);
  auto pdf = pdf_of(document);
  ASSERT_TRUE(pdf) << pdf.error().message;
  for (const auto& sent : {text_of(document), html_of(document), text_in(*pdf)}) {
    EXPECT_THAT(sent, HasSubstr("2 Dateien"));
    for (const auto* secret : {"Müller", "Hans", "Karzinom", "Öztürk", "befunde"}) EXPECT_THAT(sent, Not(HasSubstr(secret)));
  }
}

TEST(ReportText, KeepsTheWordsOfOtherProgramsOutOfAMail) {
  const auto report = sample_report(Outcome::kFailed);
  EXPECT_THAT(text_of(document_of(report, Language::kGerman, Detail::kNames)), HasSubstr("Müller"));
  EXPECT_THAT(text_of(document_of(report, Language::kGerman, Detail::kCounts)), Not(HasSubstr("Müller")));
}

TEST(HarmlessPhrase, KeepsOurTextsNumbersAndSystemErrors) {
  const auto said_of = [](const Phrase& phrase) { return harmless_phrase(phrase, {"praxis"}).english(); };
  EXPECT_EQ(said_of(phrase("read {}", verbatim("/x/Hans"))), "read …");
  EXPECT_EQ(said_of(phrase("verifying up to {}", "L4")), "verifying up to L4");
  EXPECT_EQ(said_of(Phrase{"{}: {}", {phrase("read {}", verbatim("/x/Hans")), verbatim("No space left on device")}}), "read …: No space left on device");
  EXPECT_EQ(said_of(Phrase{"Hans Müller has cancer"}), "…") << "no text of ours";
  EXPECT_EQ(said_of(phrase("stopping {}", "praxis")), "stopping praxis");
}

TEST(ReportHtml, IsOnePageThatAsksForNothingElsewhere) {
  const auto html = html_of(document_of(sample_report(Outcome::kIncomplete), Language::kGerman, Detail::kNames));
  EXPECT_THAT(html, HasSubstr("&lt;Überweisung&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<Überweisung>")));
  for (const auto* foreign : {"<script", "http://", "https://", "url(", "@import"}) EXPECT_THAT(html, Not(HasSubstr(foreign)));
  EXPECT_THAT(html, HasSubstr("<html lang=\"de\">"));
}

TEST(ReportPdf, HoldsTheSameWordsAlsoOverSeveralPages) {
  auto report = sample_report(Outcome::kIncomplete);
  for (int i = 0; i < 150; ++i) report.folders[0].changed.push_back(fmt::format("briefe/sehr langer Ordnername mit Größenangabe/und noch einem/Brief Nummer {}.doc", i));
  auto pdf = pdf_of(document_of(report, Language::kGerman, Detail::kNames));
  ASSERT_TRUE(pdf) << pdf.error().message;
  EXPECT_TRUE(pdf->starts_with("%PDF-"));
  const auto text = text_in(*pdf);
  for (const auto* words : {"UNVOLLSTÄNDIG", "Praxis Dr. Weber & Groß", "Brief Nummer 149.doc", "Öztürk, Ayşe"}) EXPECT_THAT(text, HasSubstr(words));
}

TEST(ReportPages, CanBeLookedAt) {
  const char* directory = std::getenv("VERBUND_KEEP_REPORTS");
  for (const auto outcome : kOutcomes) {
    for (const auto language : {Language::kGerman, Language::kEnglish}) {
      const auto document = document_of(sample_report(outcome), language, Detail::kNames);
      auto pdf = pdf_of(document);
      ASSERT_TRUE(pdf) << pdf.error().message;
      EXPECT_THAT(text_in(*pdf), HasSubstr(document.sections.front().heading));
      if (directory == nullptr) continue;
      const auto name = std::filesystem::path(directory) / fmt::format("{}-{}", outcome_name(outcome), document.language);
      ASSERT_TRUE(os::write_file_atomically(name.string() + ".pdf", *pdf));
      ASSERT_TRUE(os::write_file_atomically(name.string() + ".html", html_of(document)));
      ASSERT_TRUE(os::write_file_atomically(name.string() + ".txt", text_of(document)));
    }
  }
}

}  // namespace
}  // namespace verbund::backup
