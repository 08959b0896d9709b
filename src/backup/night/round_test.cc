// The round against a real ledger, a real spool, a clock that is set by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/media/ledger.h"
#include "backup/night/copies.h"
#include "backup/night/maker.h"
#include "backup/night/round.h"
#include "backup/offsite/journal.h"
#include "backup/report/store.h"
#include "backup/rotation/rotation_fixture.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"
#include "testing/sim_clock.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

struct Silent final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

struct RoundTest : ::testing::Test {
  RoundTest() {
    office_.directory = scratch_.path() / "installation";
    office_.host = "server";
    office_.config.target = scratch_.path() / "target";
    office_.config.duty.given = {{{}, {}, {}, {{"Anna", "anna@example.org"}, {"Jörg", "joerg@example.org"}}}};
    office_.config.duty.administrators = {{"Chief", "chief@example.org"}};
    alarm_config_.smtp.emplace();
    alarm_config_.smtp->host = "127.0.0.1";
    alarm_config_.smtp->port = 1;  // nobody listens
    alarm_config_.smtp->security = mail::SmtpSettings::Security::kNone;
    alarm_config_.smtp->from = "Verbund <backup@praxis.example>";
    alarm_config_.administrators = {"admin@praxis.example"};
    alarm_config_.office = "Praxis Weber";
    alarm_config_.test_mail_every = std::chrono::days{0};
    set_clock("2026-11-23 09:00");  // a Monday
  }

  void set_clock(std::string_view to) { clock_.jump_wall(os::wall_time(t(to)) - clock_.wall()); }
  alarm::Alarm alarm() { return std::move(*alarm::Alarm::open(office_.directory / "alarm", alarm_config_, log_)); }
  Round round() {
    auto told = alarm();
    auto made = make_round(office_, told, Post::kTried, clock_, log_);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : Round{};
  }
  Round round_at(std::string_view when) {
    set_clock(when);
    return round();
  }
  void note(Fact fact) {
    auto ledger = Ledger::open(office_.directory, *trusted_keys(office_.directory));
    ASSERT_TRUE(ledger) << ledger.error().message;
    const auto entered = ledger->enter(std::move(fact), os::local_time(clock_.wall()), *signing_key(office_.directory));
    ASSERT_TRUE(entered) << entered.error().message;
  }
  void good_run(std::string_view when, std::string_view night) {
    set_clock(when);
    note(fact::RunEnded{fmt::format("set-{}", night), 1, fact::RunEnded::Outcome::kComplete, Level::kRestored, "", d(night)});
  }
  std::vector<std::string> keys(std::string_view source = {}) {
    std::vector<std::string> all;
    for (const auto& state : alarm::states_in(office_.directory / "alarm", source)) all.push_back(state.key);
    return all;
  }
  /// Mails that wait whose text has this word.
  int waiting(std::string_view word) {
    int found = 0;
    for (const auto& file : fs::directory_iterator(office_.directory / "alarm" / "spool")) found += os::read_file(file.path())->find(word) != std::string::npos ? 1 : 0;
    return found;
  }
  int missed_reports() { return waiting("filename"); }  // what alone has a PDF

  os::ScratchDirectory scratch_;
  testing::SimClock clock_;
  Silent log_;
  Office office_;
  alarm::Config alarm_config_;
};

TEST_F(RoundTest, AnOfficeThatSavesNothingHasNothingDueAndBeginsWhenItDoes) {
  office_.config.target.clear();
  round();
  EXPECT_FALSE(round_at("2026-11-27 15:00").outlook.configured);
  EXPECT_THAT(keys(), IsEmpty());
  EXPECT_FALSE(*nights_since(office_.directory));
  office_.config.target = "/somewhere";
  const auto first = round();
  EXPECT_EQ(first.outlook.next, t("2026-11-28 01:30"));
  EXPECT_THAT(first.troubles, IsEmpty());
  EXPECT_EQ(*nights_since(office_.directory), t("2026-11-27 15:00"));
  round_at("2026-11-27 16:00");
  EXPECT_EQ(*nights_since(office_.directory), t("2026-11-27 15:00")) << "written once";
}

TEST_F(RoundTest, AMissedNightIsReportedOnceWhoeverIsKilledWhen) {
  round();
  EXPECT_FALSE(round_at("2026-11-24 06:29").missed);
  const auto told = round_at("2026-11-24 06:31");
  EXPECT_EQ(told.missed, t("2026-11-24 01:30"));
  EXPECT_THAT(keys("backup"), ElementsAre("missed/2026-11-24"));
  EXPECT_EQ(missed_reports(), 2) << "for the responsible person and the deputy";
  EXPECT_FALSE(round_at("2026-11-24 06:41").missed);
  // Killed after it was put into the spool, before that was noted.
  fs::remove(office_.directory / "backup" / "nights.missed");
  EXPECT_TRUE(round_at("2026-11-24 06:51").missed);
  EXPECT_EQ(missed_reports(), 2) << "the same mails";
  EXPECT_THAT(*ReportStore(office_.directory).list(), SizeIs(1));
  EXPECT_TRUE(round_at("2026-11-25 06:31").missed) << "another night";
  EXPECT_FALSE(round_at("2026-11-24 08:00").missed) << "the clock went back to one that was told of";
}

// ------------------------------------------------------------- in a pair

struct PairRoundTest : RoundTest {
  /// The node notes it all the time.
  Round round_as(PairNights::Part part, std::string_view when, bool heard = true) {
    set_clock(when);
    EXPECT_TRUE(write_pair_nights(office_.directory, PairNights{part, "other", heard, true, false, false}, clock_.wall()));
    return round();
  }
  static constexpr auto kProduction = PairNights::Part::kProduction, kMirror = PairNights::Part::kMirror;
};

TEST_F(PairRoundTest, TheMachineThatDoesNotMakeTheNightsTellsOfOneThatWasMissed) {
  round_as(kProduction, "2026-11-23 09:00");
  EXPECT_TRUE(round_as(kProduction, "2026-11-24 06:31").missed);
  EXPECT_THAT(keys("backup"), ::testing::Contains("missed/2026-11-24"));
}

TEST_F(PairRoundTest, TheMirrorTellsOfItWhenTheOtherOneHasNot) {
  round_as(kMirror, "2026-11-23 09:00");
  EXPECT_FALSE(round_as(kMirror, "2026-11-24 06:31").missed) << "production tells";
  EXPECT_THAT(keys("backup"), IsEmpty());
  EXPECT_TRUE(round_as(kMirror, "2026-11-24 07:31").missed) << "but it has not";
}

TEST_F(PairRoundTest, WhatOneHasToldTheOtherDoesNotTellAgain) {
  round_as(kMirror, "2026-11-23 09:00");
  ASSERT_TRUE(note_told_elsewhere(office_.directory, {"2026-11-24T01:30:00"}));
  ASSERT_TRUE(note_told_elsewhere(office_.directory, {"2026-11-24T01:30:00"}));
  EXPECT_FALSE(round_as(kMirror, "2026-11-24 07:31").missed);
  EXPECT_THAT(told_nights(office_.directory, 5).value(), ElementsAre("2026-11-24T01:30:00"));
  EXPECT_EQ(note_told_elsewhere(office_.directory, {"tomorrow"}).error().code, ErrorCode::kBadMessage);
}

TEST_F(PairRoundTest, WhoIsNotHeardIsNotReliedOn) {
  round_as(kMirror, "2026-11-23 09:00", false);
  EXPECT_TRUE(round_as(kMirror, "2026-11-24 06:31", false).missed);
  EXPECT_THAT(keys("backup"), ElementsAre("missed/2026-11-24"));
}

TEST_F(PairRoundTest, WhatElseIsWrongIsToldByTheMachineThatMakesTheNights) {
  round_as(kMirror, "2026-11-23 09:00");
  set_clock("2026-11-24 02:00");
  note(fact::RunEnded{.set = "", .set_sequence = 0, .outcome = fact::RunEnded::Outcome::kFailed, .level = Level::kNone, .medium = "", .night = d("2026-11-23")});
  round_as(kProduction, "2026-11-24 02:10");
  EXPECT_THAT(keys("backup"), IsEmpty());
  round_as(kMirror, "2026-11-24 02:20");
  EXPECT_THAT(keys("backup"), ElementsAre(::testing::StartsWith("failed")));
}

TEST_F(PairRoundTest, ProductionThatStandsInSaysSo) {
  round_as(kProduction, "2026-11-23 09:00");
  round_as(kProduction, "2026-11-24 03:31");
  EXPECT_THAT(keys("backup"), ElementsAre("stand-in"));
  good_run("2026-11-24 03:40", "2026-11-23");
  ASSERT_TRUE(note_stood_in(office_.directory, office_.config.plan, t("2026-11-24 03:31")));
  round_as(kProduction, "2026-11-24 12:00");
  EXPECT_THAT(keys("backup"), ElementsAre("stand-in")) << "until the mirror has made one";
  good_run("2026-11-25 01:40", "2026-11-24");
  round_as(kProduction, "2026-11-25 03:31");
  EXPECT_THAT(keys("backup"), IsEmpty());
}

TEST_F(RoundTest, ARunEndsTheAlarm) {
  round();
  round_at("2026-11-24 08:00");
  EXPECT_THAT(keys(), ElementsAre("missed/2026-11-24"));
  good_run("2026-11-24 08:10", "2026-11-23");
  const auto after = round();
  EXPECT_THAT(keys(), IsEmpty());
  EXPECT_EQ(after.outlook.last_good->what.set, "set-2026-11-23") << "an office without media counts what lies in its directory";
  EXPECT_TRUE(after.outlook.copies_only);
}

TEST_F(RoundTest, AnUntickedControlGoesUpTheLine) {
  const auto told = [&](std::string_view when) {
    round_at(when);
    for (const auto& state : alarm::states_in(office_.directory / "alarm")) {
      if (state.key == "not-ticked/2026-11-24") return state.to;
    }
    return std::vector<std::string>{};
  };
  round();
  good_run("2026-11-24 01:40", "2026-11-23");
  EXPECT_THAT(told("2026-11-24 09:59"), IsEmpty());
  EXPECT_THAT(told("2026-11-24 10:00"), UnorderedElementsAre("anna@example.org", "joerg@example.org"));
  EXPECT_EQ(waiting("anna@example.org"), 1);
  EXPECT_THAT(told("2026-11-24 14:00"), UnorderedElementsAre("anna@example.org", "joerg@example.org", "chief@example.org"));
  EXPECT_EQ(waiting("anna@example.org"), 1) << "who knows is not told again";
  EXPECT_EQ(waiting("chief@example.org"), 1);
  note(fact::Ticked{d("2026-11-24"), Task::kControl, "Jörg"});
  EXPECT_THAT(told("2026-11-24 15:00"), IsEmpty());
}

TEST_F(RoundTest, AClockThatWasSetBackIsEntered) {
  round();
  good_run("2026-11-26 01:40", "2026-11-25");
  round_at("2026-11-24 09:00");
  const auto ledger = Ledger::open(office_.directory, *trusted_keys(office_.directory));
  EXPECT_TRUE(std::holds_alternative<fact::ClockSetBack>(ledger->entries().back().fact));
  EXPECT_THAT(keys("backup"), ::testing::Contains(::testing::StartsWith("clock/")));
  const auto entries = ledger->entries().size();
  round();
  EXPECT_THAT(Ledger::open(office_.directory, *trusted_keys(office_.directory))->entries(), SizeIs(entries)) << "once";
}

TEST_F(RoundTest, ALedgerThatCanNotBeReadIsAnAlarmAndWhatHeldGoesOn) {
  round();
  round_at("2026-11-24 08:00");
  good_run("2026-11-22 08:10", "2026-11-21");
  set_clock("2026-11-24 09:00");
  const auto file = office_.directory / "backup" / "ledger.jsonl";
  ASSERT_TRUE(os::write_file_atomically(file, "nonsense\n" + *os::read_file(file)));
  round();
  EXPECT_THAT(keys("backup"), ElementsAre("missed/2026-11-24"));
  EXPECT_THAT(keys("ledger"), ElementsAre("ledger/unreadable"));
}

TEST_F(RoundTest, AnAccountThatMayDeleteIsAnAlarmAndALateCopyToo) {
  OffSite site;
  site.name = "bank";
  office_.config.off_sites = {site};
  OffSiteEvent probed;
  probed.what = OffSiteEvent::What::kProbed;
  probed.at = clock_.wall();
  probed.detail = "overwrite delete";
  ASSERT_TRUE(OffSiteJournal(office_.directory, "bank").append(probed));
  round();
  EXPECT_THAT(keys("off-site"), UnorderedElementsAre("off-site/bank/overwrite", "off-site/bank/delete"));
  probed.detail = "protected";
  ASSERT_TRUE(OffSiteJournal(office_.directory, "bank").append(probed));
  round();
  EXPECT_THAT(keys("off-site"), IsEmpty());
}

TEST_F(RoundTest, ACopyThatFailsStaysOpenAndIsAnAlarmInTheMorning) {
  OffSite site;
  site.name = "bank";
  office_.config.off_sites = {site};
  struct Still final : Progress {
    void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
  } progress;
  set_clock("2026-11-24 02:00");
  const auto failed = copy_out(office_, scratch_.path() / "set-1", progress, clock_, {});
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_TRUE(failed[0].error);
  const auto open = open_copies(office_);
  ASSERT_TRUE(open && open->size() == 1);
  EXPECT_EQ(open->front().set, "set-1");
  round();
  EXPECT_THAT(keys("off-site"), IsEmpty()) << "the net may come back";
  set_clock("2026-11-24 06:00");
  ASSERT_THAT(copy_out(office_, {}, progress, clock_, {}), SizeIs(1)) << "what is open is taken up";
  round_at("2026-11-24 08:00");
  EXPECT_THAT(keys("off-site"), ElementsAre("off-site/bank/copy"));
}

}  // namespace
}  // namespace verbund::backup
