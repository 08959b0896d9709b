// The source's server is taken back to an earlier day, loses WAL, or merely crashes; the mid-tier stands elsewhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"
#include "platform/os/log_sink.h"
#include "platform/os/process.h"
#include "platform/postgres/owned_server.h"
#include "testing/scratch_directory.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr seconds kPatience{60};

/// A PostgreSQL server for the source alone.
class SourceServer {
 public:
  explicit SourceServer(std::map<std::string, std::string> settings = {}) : server_(settings_in(directory_.path() / "pg", std::move(settings)), os::null_log(), clock_) {
    need(server_.initialise());
    start();
  }
  ~SourceServer() {
    if (!server_.stop(postgres::StopMode::kImmediate, deadline())) ADD_FAILURE() << "the source's server does not stop";
    EXPECT_TRUE(server_.clear_up(deadline()));
  }

  void start() { need(server_.start(deadline())); }
  void stop() { need(server_.stop(postgres::StopMode::kFast, deadline())); }
  void kill() {
    if (!os::signal_and_wait(server_.running_pid(), SIGKILL, deadline(), clock_)) throw std::runtime_error("the source's server lives on");
  }
  /// What stands in its data directory, to be put back later. While it is stopped.
  void keep_copy() { shell({"cp", "-a", server_.data_directory(), copy()}); }
  void put_copy_back() {
    std::filesystem::remove_all(server_.data_directory());
    shell({"cp", "-a", copy(), server_.data_directory()});
  }
  [[nodiscard]] postgres::ConnectionSettings connection(std::string database) const { return server_.connection(std::move(database)); }

 private:
  static postgres::OwnedServerSettings settings_in(std::filesystem::path directory, std::map<std::string, std::string> more) {
    postgres::OwnedServerSettings settings;
    settings.directory = std::move(directory);
    settings.superuser_password = "scratch";
    settings.sync_initdb = false;
    settings.settings = {{"fsync", "off"}, {"shared_buffers", "32MB"}};
    for (auto& [name, value] : more) settings.settings.insert_or_assign(name, value);
    return settings;
  }
  static void need(const Status& status) {
    if (!status) throw std::runtime_error(status.error().message);
  }
  void shell(std::vector<std::string> argv) {
    os::Command command;
    command.argv = std::move(argv);
    auto done = os::run(command, deadline(), clock_);
    if (!done || done->exit_code != 0) throw std::runtime_error(done ? done->errors : done.error().message);
  }
  [[nodiscard]] std::string copy() const { return directory_.path() / "copy"; }
  [[nodiscard]] Deadline deadline() const { return Deadline::in(clock_, kPatience); }

  os::SystemClock clock_;
  testing::ScratchDirectory directory_;
  postgres::OwnedServer server_;
};

/// A feed from there; patient and card with a thousand rows each.
class Elsewhere {
 public:
  explicit Elsewhere(std::map<std::string, std::string> settings = {}) : server(std::move(settings)) {
    auto connection = postgres::Connection::open(server.connection("postgres"));
    if (!connection || !connection->execute("CREATE DATABASE quelle")) throw std::runtime_error("no database");
    scene.settings().source = server.connection("quelle");
    scene.settings().tables = {{"public", "patient", "patient", {}}, {"public", "card", "", {}}};
    scene.reconnect();
    scene.sql("CREATE TABLE patient (id integer PRIMARY KEY, name text, letter text); CREATE TABLE card (id integer PRIMARY KEY, code text);"
              "CREATE TABLE elsewhere (t text);"
              "INSERT INTO patient SELECT i, 'p' || i FROM generate_series(1, 1000) i; INSERT INTO card SELECT i, 'c' FROM generate_series(1, 1000) i");
  }
  void restart_server() {
    server.start();
    scene.reconnect();
  }
  /// Everything that is committed has been passed and confirmed to the slot.
  void settle_slot() {
    scene.settle();
    scene.stop();
    scene.free_slot();
  }
  [[nodiscard]] std::string differences() { return scene.difference("public", "patient") + scene.difference("public", "card"); }
  /// Log that nobody captures.
  void write_beyond(Lsn position) {
    while (*parse_lsn(scene.value("SELECT pg_current_wal_lsn()")) <= position) {
      scene.sql("INSERT INTO elsewhere SELECT repeat('x', 1000) FROM generate_series(1, 500)");
    }
  }
  Lsn stored() { return *parse_lsn(scene.mid_tier_value("SELECT lsn FROM feed.position")); }
  std::string journal(Csn after) {
    return scene.mid_tier_value(fmt::format("SELECT coalesce(string_agg(op || ' ' || n, ', ' ORDER BY op), '') FROM (SELECT op::text, count(*) AS n"
                                            " FROM feed.change WHERE csn > {} GROUP BY op) c", after.value));
  }
  std::string compared() { return scene.mid_tier_value("SELECT count(*) FROM feed.transaction WHERE xid = 0"); }

  SourceServer server;
  Scene scene;
};

/// What was captured after the copy was taken, and is gone with it.
constexpr std::string_view kLostDay = "UPDATE patient SET name = 'lost' WHERE id <= 5; INSERT INTO patient VALUES (2001, 'lost', NULL); DELETE FROM patient WHERE id = 900";
/// What the office did instead.
constexpr std::string_view kNewDay = "UPDATE patient SET name = 'new' WHERE id IN (5, 6); INSERT INTO card VALUES (3001, 'new')";

struct Day {
  std::string name;
  bool changes_first = false, changes_later = false;
};
void PrintTo(const Day& day, std::ostream* out) { *out << day.name; }
class RestoredSource : public ::testing::TestWithParam<Day> {};

TEST_P(RestoredSource, ThatHasOvertakenIsNoticedAndMadeGoodByTheDifferences) {
  Elsewhere at;
  Scene& scene = at.scene;
  scene.start();
  scene.sql("UPDATE patient SET letter = 'x' WHERE id = 1");
  at.settle_slot();
  at.server.stop();
  at.server.keep_copy();
  at.restart_server();
  scene.start();
  scene.sql(kLostDay);
  scene.settle();
  const Cursor told = scene.feed().head();
  at.settle_slot();
  const Lsn stored = at.stored();
  at.server.stop();
  at.server.put_copy_back();
  at.restart_server();
  if (GetParam().changes_first) scene.sql(kNewDay);
  at.write_beyond(stored);
  if (GetParam().changes_later) scene.sql(kNewDay);
  scene.start();
  EXPECT_TRUE(scene.waited_for([&] { return scene.snapshots().size() == 1; })) << scene.feed().status().reason;
  scene.settle();
  EXPECT_EQ(at.differences(), "");
  EXPECT_NE(scene.feed().head().history, told.history);
  EXPECT_THAT(scene.snapshots(), ElementsAre("history_changed"));
  // 1 to 4 are as before, 5 and 6 new; 2001 gone, 900 back, card 3001 made.
  const bool changed = GetParam().changes_first || GetParam().changes_later;
  EXPECT_EQ(at.journal(told.csn), changed ? "D 1, I 2, U 6" : "D 1, I 1, U 5");
  scene.sql("UPDATE patient SET name = 'goes on' WHERE id = 1");
  scene.settle();
  EXPECT_EQ(at.differences(), "");
  EXPECT_EQ(at.compared(), "1") << "once";
}

INSTANTIATE_TEST_SUITE_P(Days, RestoredSource,
                         ::testing::Values(Day{"ChangesBeforeTheOldPosition", true, false}, Day{"ChangesBehindIt", false, true}, Day{"NoChanges", false, false}),
                         [](const auto& info) { return info.param.name; });

TEST(CrashedSource, SendsAgainWhatIsStoredAndNothingIsCompared) {
  Elsewhere at;
  Scene& scene = at.scene;
  scene.start();
  const Cursor start = scene.feed().head();
  scene.sql("CHECKPOINT");
  for (int i = 1; i <= 20; ++i) scene.sql(fmt::format("UPDATE patient SET name = 'x{0}' WHERE id = {0}", i));
  scene.told(20);
  // The slot on disk stands far back: its confirmations are written lazily.
  at.server.kill();
  at.restart_server();
  ASSERT_LT(*parse_lsn(scene.value("SELECT confirmed_flush_lsn FROM pg_replication_slots")), at.stored());
  scene.sql("UPDATE patient SET name = 'goes on' WHERE id = 1");
  EXPECT_EQ(scene.told(21).size(), 21U);
  scene.stop();
  at.server.kill();
  at.restart_server();
  scene.start();
  scene.sql("DELETE FROM patient WHERE id = 1");
  EXPECT_EQ(scene.told(22).size(), 22U);
  EXPECT_EQ(at.differences(), "");
  EXPECT_EQ(at.compared(), "0");
  EXPECT_EQ(scene.feed().head().history, start.history);
  EXPECT_THAT(scene.snapshots(), IsEmpty());
}

/// Fills the log until the server gives the slot up.
void lose_slot(Elsewhere& at) {
  for (int i = 0; i < 200; ++i) {
    at.scene.sql("SELECT pg_logical_emit_message(false, 'noise', repeat('x', 4000000)); SELECT pg_switch_wal()");
    at.scene.sql("CHECKPOINT");
    if (at.scene.value("SELECT coalesce(wal_status, 'lost') FROM pg_replication_slots") == "lost") return;
  }
  ADD_FAILURE() << "the slot is not lost";
}

const std::map<std::string, std::string> kLittleLog = {{"max_slot_wal_keep_size", "16MB"}, {"max_wal_size", "64MB"}, {"wal_keep_size", "0"}};

TEST(LostWal, WhileNobodyReadIsMadeGoodByTheDifferences) {
  Elsewhere at(kLittleLog);
  Scene& scene = at.scene;
  scene.start();
  const Cursor start = scene.feed().head();
  at.settle_slot();
  scene.sql(kLostDay);
  lose_slot(at);
  scene.sql("UPDATE card SET code = 'd' WHERE id = 1");
  scene.start();
  scene.settle();
  EXPECT_EQ(at.differences(), "");
  EXPECT_EQ(at.journal(start.csn), "D 1, I 1, U 6");
  EXPECT_EQ(at.compared(), "1");
  EXPECT_EQ(scene.feed().head().history, start.history) << "nobody was told what is not there";
  EXPECT_THAT(scene.snapshots(), IsEmpty());
  scene.sql("UPDATE patient SET name = 'goes on' WHERE id = 1");
  EXPECT_TRUE(scene.waited_for([&] { return at.differences().empty(); }));
  EXPECT_EQ(scene.value("SELECT string_agg(wal_status, ' ') FROM pg_replication_slots"), "reserved");
}

/// A reader that stands still in mid-work.
TEST(LostWal, WhileItIsReadIsNoticedToldAndMadeGood) {
  Elsewhere at(kLittleLog);
  Scene& scene = at.scene;
  scene.start();
  const Cursor start = scene.feed().head();
  const os::SystemClock clock;
  ASSERT_TRUE(scene.feed().hold(Deadline::in(clock, kPatience), std::chrono::minutes{10}));
  scene.sql(kLostDay);
  lose_slot(at);
  EXPECT_TRUE(scene.waited_for([&] { return scene.feed().status().alarm == "the server has removed WAL that the slot needed"; })) << scene.feed().status().alarm;
  scene.sql("UPDATE card SET code = 'd' WHERE id = 1");
  EXPECT_TRUE(scene.feed().release());
  EXPECT_TRUE(scene.waited_for([&] { return at.differences().empty(); })) << at.differences() << scene.feed().status().reason;
  scene.settle();
  EXPECT_EQ(at.journal(start.csn), "D 1, I 1, U 6");
  EXPECT_EQ(at.compared(), "1");
  EXPECT_EQ(scene.feed().head().history, start.history);
  EXPECT_THAT(scene.snapshots(), IsEmpty());
  EXPECT_TRUE(scene.waited_for([&] { return scene.feed().status().alarm.empty(); })) << scene.feed().status().alarm;
}

/// The mid-tier is taken back, too: then the feed alone can't tell, and the witness does.
TEST(Witness, MidTierOfAnEarlierDayIsANewHistory) {
  testing::ScratchDirectory directory;
  Scene scene;
  scene.settings().witness = directory.path() / "told";
  scene.start();
  scene.sql("INSERT INTO patient SELECT i, 'p', NULL FROM generate_series(1, 5) i");
  scene.told(1);
  const Cursor earlier = scene.feed().head();
  scene.stop();
  scene.free_slot();
  scene.start();
  EXPECT_EQ(scene.feed().head(), earlier) << "nothing went back";
  scene.sql("UPDATE patient SET name = 'q'");
  scene.told(2);
  const Cursor told = scene.feed().head();
  EXPECT_GT(told.csn, earlier.csn);
  scene.stop();
  scene.free_slot();
  // As if an older copy of all databases had been put back: position, journal and slot agree with each other.
  ASSERT_TRUE(scene.mid_tier().execute(fmt::format("DELETE FROM feed.change WHERE csn > {0}; DELETE FROM feed.transaction WHERE last_csn > {0};"
                                                   "UPDATE feed.position SET csn = {0}", earlier.csn.value)));
  scene.start();
  EXPECT_TRUE(scene.waited_for([&] { return scene.snapshots().size() == 1; }));
  EXPECT_NE(scene.feed().head().history, told.history);
  EXPECT_GE(scene.feed().head().csn, told.csn) << "no number is given twice";
  EXPECT_EQ(scene.differences(), "");
  scene.stop();
  scene.free_slot();
  scene.start();
  EXPECT_EQ(scene.snapshots().size(), 1U) << "once";
}

}  // namespace
}  // namespace verbund::feed
