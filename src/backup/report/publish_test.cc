// From a run to files and mails, against a real SMTP server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/report/publish.h"
#include "backup/report/report_scene.h"
#include "backup/report/test_mail.h"
#include "platform/mail/smtp_server_fixture.h"
#include "testing/sim_clock.h"

namespace verbund::backup {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Silent final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

struct PublishTest : ::testing::Test {
  alarm::Alarm open(const mail::SmtpServer* server) {
    alarm::Config config;
    if (server != nullptr) config.smtp = server->settings();
    config.administrators = {"admin@praxis.example"};
    config.office = "Praxis Weber";
    return std::move(*alarm::Alarm::open(dir() / "alarm", config, log));
  }
  std::filesystem::path dir() const { return scratch.path() / "installation"; }
  ReportStore store() const { return ReportStore(dir()); }

  os::ScratchDirectory scratch;
  testing::SimClock clock;
  Silent log;
};

RunReport run_of(Outcome outcome, bool published) {
  RunReport run;
  run.verdict.outcome = outcome;
  run.verdict.published = published;
  run.verdict.reached = Level::kRestored;
  run.wanted = Level::kRestored;
  run.id = "20261122-013000-000007";
  run.begun = *from_iso8601("2026-11-22T00:30:00.000000Z");
  if (published) run.set = "/nowhere/20261122-013000-000007";
  Member member;
  member.name = "db/praxis.dump";
  member.plain_bytes = 2'000;
  run.manifest.members = {member};
  DatabaseEntry database;
  database.name = "praxis";
  database.member = member.name;
  run.manifest.databases = {database};
  return run;
}

TEST_F(PublishTest, OkMeansAllOfIt) {
  const auto outcome = [](const RunReport& run) { return report_of({}, "P", run, {}, {}, WallTime{}).outcome; };
  EXPECT_EQ(outcome(run_of(Outcome::kComplete, true)), Report::Outcome::kOk);
  EXPECT_EQ(outcome(run_of(Outcome::kIncomplete, true)), Report::Outcome::kIncomplete);
  EXPECT_EQ(outcome(run_of(Outcome::kFailed, false)), Report::Outcome::kFailed);
  auto down = run_of(Outcome::kComplete, true);
  down.verdict.services_down = {"practice"};
  EXPECT_EQ(outcome(down), Report::Outcome::kIncomplete);
  auto damaged = run_of(Outcome::kComplete, true);
  damaged.verdict.failure = make_error(ErrorCode::kDamaged, phrase("x"));
  EXPECT_EQ(outcome(damaged), Report::Outcome::kFailed);
}

TEST_F(PublishTest, ComparesWithTheRunBefore) {
  auto first = report_of({}, "P", run_of(Outcome::kComplete, true), {}, {}, WallTime{});
  EXPECT_FALSE(first.sizes.at(0).before);
  first.sizes[0].bytes = 1'000;
  ASSERT_TRUE(store().put(first, Language::kGerman));
  const auto second = report_of({}, "P", run_of(Outcome::kComplete, true), {}, store().last_with_sizes(), WallTime{});
  EXPECT_EQ(second.sizes.at(0).before, 1'000U);
}

TEST_F(PublishTest, KeepsSendsAndRemembersWhatNobodyHasSeen) {
  mail::SmtpServer server;
  auto alarm = open(&server);
  auto report = sample_report(Report::Outcome::kIncomplete);
  const auto medium = scratch.path() / "medium";
  std::filesystem::create_directories(medium / report.id);
  ASSERT_TRUE(os::write_file_atomically(medium / "verbund-report-20250101-000000-000001.pdf", "of a set that is gone"));
  report.path = medium / report.id;
  const auto told = publish_report(report, dir(), alarm, {"gross@praxis.example"}, clock, log);
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_EQ(*alarm.deliver(clock), 0);
  EXPECT_THAT(server.envelopes(), ElementsAre("gross@praxis.example"));
  EXPECT_THAT(store().unseen(), ElementsAre(report.id));
  store().seen(report.id);
  EXPECT_THAT(store().unseen(), IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(medium / ("verbund-report-" + report.id + ".pdf")));
  EXPECT_FALSE(std::filesystem::exists(medium / "verbund-report-20250101-000000-000001.pdf"));
  const auto again = store().mail(report.id);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->subject, subject_of(report, Language::kGerman));
  EXPECT_TRUE(again->attachments.at(0).content.starts_with("%PDF"));
  EXPECT_EQ(store().find({})->id, report.id);
  EXPECT_EQ(store().find("../../etc/passwd").error().code, ErrorCode::kNotFound);
}

TEST_F(PublishTest, NamesNoFileBesideASealedSet) {
  auto report = sample_report(Report::Outcome::kIncomplete);
  report.sealed = true;
  std::filesystem::create_directories(scratch.path() / report.id);
  ASSERT_TRUE(ReportStore::put_beside(scratch.path(), report, Language::kGerman));
  const auto text = os::read_file(scratch.path() / ("verbund-report-" + report.id + ".txt"));
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, ::testing::Not(HasSubstr("Müller")));
}

TEST_F(PublishTest, KeepsTheReportWhenNobodyCanBeTold) {
  auto alarm = open(nullptr);
  auto report = sample_report(Report::Outcome::kMissed);
  EXPECT_TRUE(publish_report(report, dir(), alarm, {}, clock, log)) << "without [mail] that is no failure";
  EXPECT_TRUE(store().find(report.id));
  mail::SmtpServer server;
  auto wrong = open(&server);
  EXPECT_FALSE(publish_report(report, dir(), wrong, {"no address"}, clock, log));
  EXPECT_TRUE(store().find(report.id));
}

TEST_F(PublishTest, WantsItsTestMailAcknowledged) {
  mail::SmtpServer server;
  auto alarm = open(&server);
  std::string acknowledged;
  const auto care = [&] {
    auto states = care_for_test_mail(dir(), alarm, {"gross@praxis.example"}, [&](const std::string& code) { return code == acknowledged; }, clock);
    EXPECT_TRUE(states) << states.error().message;
    EXPECT_TRUE(alarm.deliver(clock));
    return states ? *states : std::vector<alarm::State>();
  };
  EXPECT_THAT(care(), IsEmpty());
  EXPECT_THAT(server.mails(), SizeIs(1)) << "the first one at once";
  clock.advance(6 * 24h);
  EXPECT_THAT(care(), IsEmpty());
  clock.advance(24h);
  ASSERT_THAT(care(), SizeIs(1));
  const auto code = (*last_test_mail(dir()))->code;
  EXPECT_THAT(care()[0].text.english(), HasSubstr(code));
  clock.advance(40 * 24h);
  EXPECT_THAT(care(), SizeIs(1));
  EXPECT_THAT(server.mails(), SizeIs(1)) << "one that is open is not hidden behind a new one";
  acknowledged = code;
  EXPECT_THAT(care(), IsEmpty());
  EXPECT_THAT(server.mails(), SizeIs(2)) << "the next month's";
  EXPECT_THAT(server.mails()[1], HasSubstr("verbund backup report ack "));
}

}  // namespace
}  // namespace verbund::backup
