// Both ends of POST /api/mirror/nights against each other: one ledger on two machines, whoever enters what when, and what each notes of the other.
#include "node/mirror/pair_nights.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/media/drives.h"
#include "backup/night/round.h"
#include "base/messages.h"
#include "node/installation.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using backup::Ledger;
using Part = backup::PairNights::Part;

struct Remembering final : Log {
  void write(LogLevel, std::string_view event, std::initializer_list<LogField>) override { events.emplace_back(event); }
  [[nodiscard]] auto count(std::string_view event) const { return std::ranges::count(events, event); }
  std::vector<std::string> events;
};

/// A machine: its directory as `verbund up` makes it, without a database.
struct Machine {
  Machine(const fs::path& at, std::string_view backup_toml) : directory(at) {
    InitOptions options;
    options.directory = at;
    EXPECT_TRUE(Installation::create(options));
    EXPECT_TRUE(os::write_file_atomically(at / "config" / "backup.toml", backup_toml, 0644));
  }
  [[nodiscard]] std::string text(const char* file) const { return os::read_file(directory / "backup" / file).value_or(""); }
  [[nodiscard]] Ledger ledger() const { return std::move(Ledger::open(directory, *backup::trusted_keys(directory)).value()); }
  void label(const std::string& name) const { label(std::vector{name}); }
  void label(const std::vector<std::string>& names) const {
    auto open = ledger();
    const auto key = backup::signing_key(directory);
    for (const auto& name : names) {
      const auto entered = open.enter(backup::fact::MediumAdded{.id = os_id(name), .label = name, .medium_class = {}, .kind = {}}, backup::LocalTime{std::chrono::days{20'000}}, *key);
      ASSERT_TRUE(entered) << entered.error().message;
    }
  }
  static std::string os_id(const std::string& name) {
    std::string id;
    for (int at = 0; at < 32; ++at) id += "0123456789abcdef"[(static_cast<unsigned>(name[static_cast<std::size_t>(at) % name.size()]) + static_cast<unsigned>(at)) % 16];
    return id;
  }
  [[nodiscard]] std::optional<backup::PairNights> noted() const { return backup::read_pair_nights(directory, os::SystemClock().wall()).value(); }

  fs::path directory;
};

struct PairNightsTest : ::testing::Test {
  static constexpr const char* kBackup = "[backup]\ntarget = \"/media/backup\"\n";

  std::unique_ptr<NightsExchange> mirror_side() {
    return std::make_unique<NightsExchange>(mirror.directory,
                                            [this](const std::string& body) -> Result<std::string> {
                                              ++asked;
                                              if (before) before();
                                              if (cut) return fail(ErrorCode::kNotReachable, phrase("the line is cut"));
                                              last = body;
                                              return source.answer("spiegel", json::parse(body).as_object());
                                            },
                                            [] { return std::string("praxis"); }, [this] { return follows; }, clock, log);
  }
  Status round() {
    if (!exchange) exchange = mirror_side();
    return exchange->round();
  }
  void expect_round() {
    const auto done = round();
    EXPECT_TRUE(done) << done.error().message;
  }
  void expect_same(std::size_t entries) const {
    EXPECT_EQ(production.text("ledger.jsonl"), mirror.text("ledger.jsonl"));
    EXPECT_EQ(production.ledger().entries().size(), entries);
    EXPECT_EQ(mirror.ledger().entries().size(), entries);
  }

  os::ScratchDirectory scratch;
  os::SystemClock clock;
  Remembering log;
  Machine production{scratch.path() / "production", kBackup}, mirror{scratch.path() / "mirror", kBackup};
  NightsSource source{production.directory, clock, log};
  bool follows = true, cut = false;
  int asked = 0;
  std::string last;
  std::function<void()> before;
  std::unique_ptr<NightsExchange> exchange;
};

TEST_F(PairNightsTest, AMirrorBecomesTheSameInstallationToItsBackup) {
  production.label("Montag");
  expect_round();
  EXPECT_EQ(mirror.text("installation"), production.text("installation"));
  EXPECT_EQ(mirror.text("signing.key"), production.text("signing.key"));
  EXPECT_EQ(mirror.text("signing.pub"), production.text("signing.pub"));
  EXPECT_EQ(fs::status(mirror.directory / "backup" / "signing.key").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  expect_same(1);
  const auto before = asked;
  expect_round();
  EXPECT_EQ(asked, before + 1) << "nothing is new";
  EXPECT_EQ(last.find("signing_key"), std::string::npos);
}

TEST_F(PairNightsTest, WhateverEitherEntersTheOtherHas) {
  expect_round();
  mirror.label("Dienstag");
  expect_round();
  expect_same(1);
  production.label("Mittwoch");
  expect_round();
  expect_same(2);
  mirror.label("Donnerstag");
  mirror.label("Freitag");
  expect_round();
  expect_same(4);
}

TEST_F(PairNightsTest, WhenBothHaveGoneOnWithoutALineNothingIsLost) {
  production.label("Montag");
  expect_round();
  cut = true;
  EXPECT_EQ(round().error().code, ErrorCode::kNotReachable);
  EXPECT_FALSE(mirror.noted()->heard);
  production.label("Dienstag");
  mirror.label("Mittwoch");
  mirror.label("Freitag");
  const auto old = mirror.text("ledger.jsonl");
  cut = false;
  expect_round();
  expect_same(4);
  EXPECT_EQ(log.count("pair.ledgers_joined"), 1);
  bool kept = false;
  for (const auto& entry : fs::directory_iterator(mirror.directory / "backup")) kept = kept || os::read_file(entry.path()).value_or("") == old;
  EXPECT_TRUE(kept) << "as it was";
}

TEST_F(PairNightsTest, ALongLedgerComesInPages) {
  std::vector<std::string> names;
  for (int at = 0; at < 600; ++at) names.push_back("M" + std::to_string(at));
  production.label(names);
  expect_round();
  expect_same(600);
  EXPECT_GT(asked, 3);
  cut = true;
  production.label("Ende");
  mirror.label("Anderes Ende");
  cut = false;
  expect_round();
  expect_same(602);
}

TEST_F(PairNightsTest, WhatIsEnteredWhileTheyTalkIsThereAfterwards) {
  expect_round();
  mirror.label("Montag");
  int times = 0;
  before = [&] {
    if (++times == 3) production.label("Dienstag");  // between production's place and what is given for it
    if (times == 5) mirror.label("Mittwoch");
  };
  expect_round();
  before = nullptr;
  expect_round();
  expect_same(3);
}

TEST_F(PairNightsTest, EachKnowsWhatTheOtherMakes) {
  source.begin("spiegel");
  EXPECT_EQ(production.noted(), (backup::PairNights{Part::kProduction, "spiegel", true, true, false, false})) << "for a minute";
  expect_round();
  EXPECT_EQ(production.noted(), (backup::PairNights{Part::kProduction, "spiegel", true, true, false, false}));
  EXPECT_EQ(mirror.noted(), (backup::PairNights{Part::kMirror, "praxis", true, true, false, false}));
  {
    const auto running = os::FileLock::acquire(mirror.directory / "backup" / "run.lock", "verbund backup run, pid 1");
    expect_round();
    EXPECT_TRUE(production.noted()->busy);
  }
  std::ofstream(mirror.directory / "config" / "backup.toml") << "[backup]\ntarget = \"/media/backup\"\n[plan]\nscheduler = \"off\"\n";
  follows = false;
  expect_round();
  EXPECT_FALSE(production.noted()->busy);
  EXPECT_FALSE(production.noted()->makes);
  EXPECT_EQ(mirror.noted()->part, Part::kNone);
  source.begin(std::nullopt);
  EXPECT_EQ(production.noted(), std::nullopt);
}

TEST_F(PairNightsTest, ANightThatOneHasToldOfIsToldOnce) {
  expect_round();
  ASSERT_TRUE(backup::note_told_elsewhere(mirror.directory, {"2026-11-24T01:30:00"}));
  ASSERT_TRUE(backup::note_told_elsewhere(production.directory, {"2026-11-23T01:30:00"}));
  expect_round();
  EXPECT_THAT(backup::told_nights(production.directory, 9).value(), ::testing::UnorderedElementsAre("2026-11-23T01:30:00", "2026-11-24T01:30:00"));
  EXPECT_THAT(backup::told_nights(mirror.directory, 9).value(), ::testing::UnorderedElementsAre("2026-11-23T01:30:00", "2026-11-24T01:30:00"));
}

/// It has made backups before, with its own keys: sets and media that name it stay good.
TEST_F(PairNightsTest, AMirrorWithALedgerOfItsOwnKeepsItAndEachMakesItsNights) {
  mirror.label("Alt");
  production.label("Montag");
  const auto id = mirror.text("installation");
  expect_round();
  expect_round();
  EXPECT_EQ(mirror.text("installation"), id);
  EXPECT_EQ(mirror.ledger().entries().size(), 1U);
  EXPECT_TRUE(production.noted()->apart);
  EXPECT_TRUE(mirror.noted()->apart);
  EXPECT_EQ(log.count("pair.nights_apart"), 1) << "said once";
}

TEST_F(PairNightsTest, ALedgerThatCanNotBeReadIsTouchedByNobody) {
  production.label("Montag");
  expect_round();
  std::ofstream(mirror.directory / "backup" / "ledger.jsonl", std::ios::app) << "{\"not\": \"ours\"}\n";
  const auto damaged = mirror.text("ledger.jsonl");
  EXPECT_FALSE(round());
  EXPECT_EQ(mirror.text("ledger.jsonl"), damaged);
  EXPECT_EQ(production.ledger().entries().size(), 1U);
}

TEST_F(PairNightsTest, WhatIsNoMessageIsRefusedByName) {
  expect_round();
  const auto good = json::parse(last).as_object();
  for (const auto& member : good) {
    auto bad = good;
    bad[member.key()] = nullptr;
    const auto answer = source.answer("spiegel", bad);
    ASSERT_FALSE(answer) << member.key();
    EXPECT_EQ(answer.error().code, ErrorCode::kBadMessage) << member.key();
    EXPECT_NE(answer.error().message.find(std::string(member.key())), std::string::npos) << answer.error().message;
  }
  auto give = good;
  give["give"] = json::object{{"lines", "0"}, {"hash", "x"}, {"texts", json::array{"{}"}}};
  EXPECT_FALSE(source.answer("spiegel", give));
  EXPECT_TRUE(production.text("ledger.jsonl").empty());
}

}  // namespace
}  // namespace verbund::node
