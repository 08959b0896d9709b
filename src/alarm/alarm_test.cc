// States and mails against a real SMTP server, on a clock that is told to go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alarm/alarm.h"
#include "alarm/spool.h"
#include "platform/mail/smtp_server_fixture.h"
#include "platform/os/log_sink.h"
#include "testing/sim_clock.h"

namespace verbund::alarm {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

struct Silent final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

State state(std::string key, std::vector<std::string> to = {}) { return {key, phrase("{} is not well", key), std::move(to), {}}; }

struct AlarmTest : ::testing::Test {
  Config config(const mail::SmtpServer& server) const {
    Config made;
    made.smtp = server.settings();
    made.smtp->limit = 2s;
    made.administrators = {"weber@praxis.example"};
    made.office = "Praxis Weber";
    made.language = Language::kEnglish;
    return made;
  }
  Alarm open(const Config& how) {
    auto made = Alarm::open(scratch.path() / "alarm", how, log);
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }
  int deliver(Alarm& alarm) {
    auto left = alarm.deliver(clock);
    EXPECT_TRUE(left) << left.error().message;
    return left.value_or(-1);
  }
  std::vector<std::string> keys(const Alarm& alarm) {
    std::vector<std::string> out;
    for (const auto& each : alarm.current()) out.push_back(each.key);
    return out;
  }
  os::ScratchDirectory scratch;
  testing::SimClock clock;
  Silent log;
};

TEST_F(AlarmTest, TellsWhatBeginsLastsAndEnds) {
  mail::SmtpServer server;
  auto alarm = open(config(server));
  ASSERT_TRUE(alarm.hold("backup", {state("a")}, clock));
  ASSERT_TRUE(alarm.hold("backup", {state("a")}, clock));
  EXPECT_EQ(deliver(alarm), 0);
  ASSERT_THAT(server.mails(), SizeIs(1)) << "told once";
  EXPECT_THAT(server.mails()[0], HasSubstr("Subject: Praxis Weber: ALARM: a is not well\r\n"));

  clock.advance(24h);
  ASSERT_TRUE(open(config(server)).hold("backup", {state("a")}, clock)) << "a new process knows it, too";
  EXPECT_EQ(deliver(alarm), 0);
  ASSERT_THAT(server.mails(), SizeIs(2));
  EXPECT_THAT(server.mails()[1], HasSubstr("ALARM, still: a is not well"));

  ASSERT_TRUE(alarm.hold("feed", {}, clock));
  EXPECT_THAT(keys(alarm), ElementsAre("a")) << "another source ends nothing";
  ASSERT_TRUE(alarm.hold("backup", {}, clock));
  EXPECT_EQ(deliver(alarm), 0);
  ASSERT_THAT(server.mails(), SizeIs(3));
  EXPECT_THAT(server.mails()[2], HasSubstr("ended: a is not well"));
  EXPECT_THAT(keys(alarm), IsEmpty());
}

TEST_F(AlarmTest, TellsTheDeputyWhenItEscalatesAndBothWhenItEnds) {
  mail::SmtpServer server;
  auto alarm = open(config(server));
  ASSERT_TRUE(alarm.hold("backup", {state("a", {"first@praxis.example"})}, clock));
  ASSERT_TRUE(alarm.hold("backup", {state("a", {"first@praxis.example", "deputy@praxis.example"})}, clock));
  EXPECT_EQ(deliver(alarm), 0);
  EXPECT_THAT(server.envelopes(), ::testing::UnorderedElementsAre("first@praxis.example", "deputy@praxis.example"));
  ASSERT_TRUE(alarm.hold("backup", {}, clock));
  EXPECT_EQ(deliver(alarm), 0);
  EXPECT_THAT(server.envelopes(), SizeIs(4));
}

TEST_F(AlarmTest, KeepsMailsWhileNobodyTakesThemAndDeliversEachOnce) {
  mail::SmtpServer server;
  const auto right = config(server);
  auto wrong = right;
  wrong.smtp->port = 1;  // nobody listens
  {
    auto alarm = open(wrong);
    ASSERT_TRUE(alarm.mail({{"weber@praxis.example", "gross@praxis.example"}, "Protokoll", "Text\n", {{"report.pdf", "application/pdf", "%PDF"}}, "1@praxis"}, clock));
    EXPECT_EQ(deliver(alarm), 2);
    EXPECT_THAT(keys(alarm), IsEmpty()) << "a moment is no trouble yet";
    for (int minutes = 0; minutes < 24 * 60; minutes += 10) {
      clock.advance(10min);
      EXPECT_EQ(deliver(alarm), 2);
    }
    EXPECT_THAT(keys(alarm), ElementsAre("mail/late"));
    EXPECT_THAT(alarm.current()[0].text.english(), HasSubstr("2 mails are not delivered, the oldest since"));
  }
  auto alarm = open(right);
  clock.advance(1h);
  EXPECT_EQ(deliver(alarm), 0);
  EXPECT_EQ(deliver(alarm), 0);
  EXPECT_THAT(server.envelopes(), ::testing::UnorderedElementsAre("weber@praxis.example", "gross@praxis.example"));
  EXPECT_THAT(keys(alarm), IsEmpty()) << "the trouble has ended";
}

TEST_F(AlarmTest, RestsBetweenAttempts) {
  EXPECT_EQ(pause_after(1), 60s);
  EXPECT_EQ(pause_after(3), 240s);
  EXPECT_EQ(pause_after(7), 1h);
  EXPECT_EQ(pause_after(1'000'000), 1h);
  mail::SmtpServer server;
  auto alarm = open(config(server));
  ASSERT_TRUE(alarm.mail({{"later@praxis.example"}, "S", "T", {}, {}}, clock));
  const auto attempts = [&] { return waiting_of(*os::read_file(Spool(scratch.path() / "alarm").files()->at(0)))->attempts; };
  EXPECT_EQ(deliver(alarm), 1);
  EXPECT_EQ(deliver(alarm), 1);
  EXPECT_EQ(attempts(), 1) << "not due yet";
  clock.advance(61s);
  EXPECT_EQ(deliver(alarm), 1);
  EXPECT_EQ(attempts(), 2);
  clock.jump_wall(-365 * 24h);
  EXPECT_EQ(deliver(alarm), 1);
  EXPECT_EQ(attempts(), 3) << "a clock that was set back does not stop the post";
}

TEST_F(AlarmTest, SaysAtOnceWhatWasRefusedForGoodAndDoesNotKeepItFromOthers) {
  mail::SmtpServer server;
  auto alarm = open(config(server));
  ASSERT_TRUE(alarm.mail({{"refuse@praxis.example", "weber@praxis.example"}, "S", "T", {}, {}}, clock));
  EXPECT_EQ(deliver(alarm), 1);
  EXPECT_THAT(server.envelopes(), ElementsAre("weber@praxis.example"));
  ASSERT_THAT(keys(alarm), ElementsAre("mail/late"));
  EXPECT_THAT(alarm.current("mail")[0].text.english(), HasSubstr("no such user here"));
  for (int days = 0; days < 15; ++days) {
    clock.advance(24h);
    deliver(alarm);
  }
  EXPECT_THAT(keys(alarm), ElementsAre("mail/given-up"));
  EXPECT_EQ(*alarm.waiting(), 0);
  std::filesystem::remove_all(scratch.path() / "alarm" / "undelivered");
  std::filesystem::create_directory(scratch.path() / "alarm" / "undelivered");
  EXPECT_EQ(deliver(alarm), 0);
  EXPECT_THAT(keys(alarm), IsEmpty());
}

TEST_F(AlarmTest, RefusesAMailThatCouldNeverBeSent) {
  mail::SmtpServer server;
  auto alarm = open(config(server));
  EXPECT_EQ(alarm.mail({{"weber@praxis.example"}, "a\r\nBcc: x@y.example", "T", {}, {}}, clock).error().code, ErrorCode::kUsage);
  EXPECT_EQ(*alarm.waiting(), 0);
  auto none = config(server);
  none.smtp.reset();
  EXPECT_EQ(open(none).mail({{"weber@praxis.example"}, "S", "T", {}, {}}, clock).error().code, ErrorCode::kNotDelivered);
}

TEST_F(AlarmTest, LeavesTheSpoolToWhoeverDeliversJustNow) {
  mail::SmtpServer server;
  auto alarm = open(config(server));
  ASSERT_TRUE(alarm.mail({{"weber@praxis.example"}, "S", "T", {}, {}}, clock));
  {
    auto other = os::FileLock::acquire(scratch.path() / "alarm" / "deliver.lock", "another");
    ASSERT_TRUE(other);
    EXPECT_EQ(deliver(alarm), 1);
    EXPECT_THAT(server.mails(), IsEmpty());
  }
  EXPECT_EQ(deliver(alarm), 0);
}

TEST_F(AlarmTest, PutsADamagedFileAsideAndGoesOn) {
  mail::SmtpServer server;
  auto alarm = open(config(server));
  ASSERT_TRUE(alarm.mail({{"weber@praxis.example"}, "S", "T", {}, {}}, clock));
  ASSERT_TRUE(os::write_file_atomically(scratch.path() / "alarm" / "spool" / "0.mail", "nonsense"));
  EXPECT_EQ(deliver(alarm), 0);
  EXPECT_THAT(server.mails(), SizeIs(1));
  EXPECT_THAT(keys(alarm), ElementsAre("mail/given-up"));
}

TEST_F(AlarmTest, StatesThatCannotBeReadAreAState) {
  mail::SmtpServer server;
  auto alarm = open(config(server));
  ASSERT_TRUE(os::write_file_atomically(scratch.path() / "alarm" / "states.jsonl", "nonsense\n"));
  EXPECT_THAT(keys(alarm), ElementsAre("alarm/states"));
  EXPECT_EQ(alarm.hold("backup", {state("a")}, clock).error().code, ErrorCode::kDamaged);
}

TEST_F(AlarmTest, ReadsThePasswordOfItsFileAloneAndOnlyWhenOthersCannot) {
  mail::SmtpServer server({"--tls", "starttls", "--user", "praxis", "--password", "geheim"});
  auto how = config(server);
  how.smtp->security = mail::SmtpSettings::Security::kStartTls;
  how.smtp->ca_file = server.authority();
  how.smtp->user = "praxis";
  how.smtp->limit = 20s;
  how.password_file = scratch.path() / "password";
  auto alarm = open(how);
  ASSERT_TRUE(alarm.mail({{"weber@praxis.example"}, "S", "T", {}, {}}, clock));
  ASSERT_TRUE(os::write_file_atomically(how.password_file, "geheim\n", 0644));
  EXPECT_EQ(deliver(alarm), 1);
  EXPECT_THAT(alarm.current("mail").at(0).text.english(), HasSubstr("others than its owner may read"));
  ASSERT_TRUE(os::write_file_atomically(how.password_file, "geheim\n", 0600));
  clock.advance(61s);
  EXPECT_EQ(deliver(alarm), 0);
  EXPECT_THAT(server.mails(), SizeIs(1));
}

TEST_F(AlarmTest, SpeaksGermanWhereAsked) {
  mail::SmtpServer server;
  auto how = config(server);
  how.language = Language::kGerman;
  auto alarm = open(how);
  ASSERT_TRUE(alarm.hold("backup", {{"x", verbatim("Größe"), {}, {}}}, clock));
  EXPECT_EQ(deliver(alarm), 0);
  ASSERT_THAT(server.mails(), SizeIs(1));
  EXPECT_THAT(server.mails()[0], HasSubstr("Das braucht jemanden:"));
  EXPECT_THAT(server.mails()[0], HasSubstr("seit 20"));
}

}  // namespace
}  // namespace verbund::alarm
