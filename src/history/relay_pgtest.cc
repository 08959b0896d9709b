// From the journal to the versions database: whole, in order, exactly once, append-only.
#include <gmock/gmock.h>

#include <fstream>
#include <random>

#include "feed/row_versions.h"
#include "feed/tables.h"
#include "history/history_scene.h"

namespace verbund::history {
namespace {

using testing_scene::HistoryScene;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kShown =
    "SELECT record, op, table_name, row_key, coalesce(was_key, '-'), how, coalesce(user_name, '-'), before, after"
    "  FROM history.readable ORDER BY record, stream, csn";

class Versions : public ::testing::Test {
 protected:
  void begin() {
    scene.feed.sql("INSERT INTO patient VALUES (1, 'Anna', NULL), (2, 'Bert', NULL); INSERT INTO encounter VALUES (10, 1, 'visit')");
    scene.start();
    scene.settle();
    EXPECT_EQ(scene.value("SELECT count(*) FROM history.version"), "0") << "what was there before has no versions";
  }
  HistoryScene scene{true};
};

TEST_F(Versions, SayWhatWasAndIsAndWhoDidIt) {
  begin();
  scene.feed.sql("UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.feed.sql("BEGIN; SELECT pg_logical_emit_message(true, 'verbund.by', '7'); INSERT INTO patient VALUES (3, 'Carl', NULL); COMMIT");
  scene.feed.sql("DELETE FROM patient WHERE id = 2");
  scene.feed.sql("UPDATE patient SET name = name");
  scene.settle();
  EXPECT_THAT(scene.rows(kShown),
              ElementsAre(R"(patient/1 U patient 1 - lock Anna {"name": "Anna"} {"id": "1", "name": "Anne", "letter": null})",
                          R"(patient/2 D patient 2 - unknown - {"id": "2", "name": "Bert", "letter": null} -)",
                          R"(patient/3 I patient 3 - message user 7 - {"id": "3", "name": "Carl", "letter": null})"));
  EXPECT_EQ(scene.value("SELECT count(*) FROM history.version WHERE transaction_csn >= csn AND committed BETWEEN now() - interval '1 hour' AND now()"), "3");
  EXPECT_EQ(scene.value("SELECT detail FROM history.notice"), "patient");
}

TEST_F(Versions, AreThoseOfARecordWithItsChildRows) {
  begin();
  scene.feed.sql("UPDATE encounter SET patient_id = 2; DELETE FROM patient WHERE id = 2; UPDATE patient SET id = 5 WHERE id = 1");
  scene.settle();
  EXPECT_THAT(scene.rows("SELECT record, op, table_name, row_key, was_key FROM history.readable ORDER BY stream, csn, record"),
              ElementsAre("patient/1 U encounter 10 -", "patient/2 U encounter 10 -", "patient/2 D patient 2 -", "patient/2 D encounter 10 -",
                          "patient/1 U patient 5 1", "patient/5 U patient 5 1"));
}

TEST_F(Versions, OfRowsWithoutRecordAreKeptUnderNone) {
  begin();
  scene.feed.sql("INSERT INTO stamp VALUES (1, 'nobody', NULL, NULL, NULL, NULL)");
  scene.settle();
  EXPECT_EQ(scene.value("SELECT count(*) FROM history.version WHERE record = ''"), "1");
}

TEST_F(Versions, OfTypesWithoutHistoryAreNotKept) {
  scene.settings.types = {"letter"};
  begin();
  scene.feed.sql("UPDATE patient SET name = 'x'");
  scene.settle();
  EXPECT_EQ(scene.value("SELECT count(*) FROM history.version"), "0");
}

TEST_F(Versions, WaitForWhoeverKnowsTheAuthors) {
  begin();
  scene.authors.failing = true;
  scene.feed.sql("UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.feed.settle();
  scene.relay().advance(scene.feed.feed().head());
  EXPECT_TRUE(scene.feed.waited_for([&] { return scene.relay().status().state == RelayState::kWaiting; }));
  EXPECT_THAT(scene.relay().status().reason, HasSubstr("the sessions are not there"));
  scene.authors.failing = false;
  scene.settle();
  EXPECT_EQ(scene.value("SELECT how || ' ' || user_name FROM history.readable"), "lock Anna");
  EXPECT_EQ(scene.relay().status().state, RelayState::kRunning);
}

TEST_F(Versions, ReleaseTheJournalOnceStored) {
  begin();
  scene.feed.sql("UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.settle();
  const auto head = std::to_string(scene.feed.feed().head().csn.value);
  EXPECT_TRUE(scene.feed.waited_for([&] { return scene.feed.mid_tier_value("SELECT csn FROM feed.consumer") == head; }));
  EXPECT_TRUE(scene.feed.waited_for([&] { return std::to_string(scene.authors.told) == head; }));
}

TEST_F(Versions, SayWhereSingleChangesAreMissing) {
  begin();
  scene.feed.sql("UPDATE patient SET name = 'seen' WHERE id = 1");
  scene.settle();
  scene.stop();
  scene.feed.free_slot();
  scene.feed.sql("UPDATE patient SET name = 'missed' WHERE id = 1");
  scene.feed.sql(fmt::format("SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())", scene.feed.settings().slot));
  scene.start();
  scene.feed.waited_for([&] { return !scene.feed.snapshots().empty(); });
  scene.feed.sql("UPDATE patient SET name = 'new' WHERE id = 1");
  scene.settle();
  EXPECT_THAT(scene.rows("SELECT stream, before->>'name', after->>'name', how, coalesce(user_name, '-') FROM history.readable ORDER BY stream, csn"),
              ElementsAre("1 Anna seen lock Anna", "2 seen missed unknown -", "2 missed new lock Anna"));
  EXPECT_EQ(scene.value("SELECT string_agg(csn::text, ' ') = min(csn)::text AND min(stream) = 2 FROM history.version WHERE merged"), "t");
  EXPECT_THAT(scene.rows("SELECT kind, stream, csn = (SELECT csn FROM history.version WHERE stream = 1) FROM history.notice WHERE kind <> 'types'"),
              ElementsAre("merged 1 t"));
}

TEST_F(Versions, StayReadableWhenColumnsComeAndGo) {
  begin();
  scene.feed.sql("UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.settle();
  scene.feed.sql("ALTER TABLE patient DROP letter, ADD phone text");
  scene.feed.sql("UPDATE patient SET phone = '110' WHERE id = 1");
  scene.settle();
  const auto rows = scene.rows("SELECT after FROM history.readable WHERE record = 'patient/1' ORDER BY stream, csn");
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.front(), R"({"id": "1", "name": "Anne", "letter": null})");
}

TEST_F(Versions, CantBeChangedByTheNode) {
  begin();
  scene.feed.sql("UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.settle();
  auto node = postgres::Connection::open(scene.settings.versions);
  ASSERT_TRUE(node) << node.error().message;
  for (const auto* statement : {"UPDATE history.version SET op = 'D'", "UPDATE history.version SET before = NULL", "DELETE FROM history.version",
                                "TRUNCATE history.version", "UPDATE history.author SET user_name = 'x'", "DELETE FROM history.notice",
                                "INSERT INTO history.erasure (id, record, at, by_user, reason) VALUES (gen_random_uuid(), 'a/b', now(), '', '')",
                                "ALTER TABLE history.version DISABLE TRIGGER ALL", "DROP TABLE history.version", "DROP SCHEMA history CASCADE",
                                "DELETE FROM history.position", "SET ROLE verbund_history"}) {
    auto done = node->execute(statement);
    ASSERT_FALSE(done) << statement;
    EXPECT_EQ(done.error().code, ErrorCode::kForbidden) << statement << ": " << done.error().message;
  }
}

TEST(VersionsOfAnExistingServer, CantBeChangedByTheirOwnerEither) {
  HistoryScene scene;
  scene.start();
  scene.feed.sql("INSERT INTO patient VALUES (1, 'Anna', NULL)");
  scene.settle();
  for (const auto* statement : {"UPDATE history.version SET op = 'D'", "UPDATE history.version SET before = NULL, after = NULL",
                                "DELETE FROM history.version", "TRUNCATE history.version, history.erasure", "UPDATE history.author SET user_name = 'x'",
                                "UPDATE history.version SET after = NULL, erasure = 99", "SET session_replication_role = replica; DELETE FROM history.version"}) {
    EXPECT_FALSE(scene.versions().execute(statement)) << statement;
  }
  EXPECT_EQ(scene.value("SELECT count(*) FROM history.version WHERE after IS NOT NULL"), "1");
}

std::size_t peak_bytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  }
  return 0;
}

TEST_F(Versions, OfALongTransactionComeInPiecesThatFitMemory) {
  begin();
  scene.feed.sql("INSERT INTO patient SELECT i, 'patient ' || i, repeat('letter ', 100) FROM generate_series(1000, 100999) i");
  scene.feed.sql("UPDATE patient SET name = upper(name) WHERE id >= 81000");
  std::ofstream("/proc/self/clear_refs") << "5";
  const std::size_t before = peak_bytes();
  scene.settle();
  EXPECT_EQ(scene.value("SELECT count(*) FROM history.version WHERE op = 'I'"), "100000");
  EXPECT_EQ(scene.value("SELECT count(*) FROM history.version WHERE op = 'U' AND before[1] LIKE 'patient %'"), "20000");
  EXPECT_EQ(scene.value("SELECT count(DISTINCT transaction_csn) FROM history.version"), "2");
  EXPECT_LT(peak_bytes() - before, 200U * 1024 * 1024) << "120,000 versions hold 90 MB";
}

// Replayed, the versions give the tables, whatever was killed meanwhile.
class Interrupted : public ::testing::TestWithParam<unsigned> {};

using Tables = std::map<std::string, std::map<std::string, feed::Row>>;

feed::Row values_of(std::string_view literal) { return feed::read_array(literal).value(); }

Tables replayed(HistoryScene& scene) {
  Tables tables;
  auto rows = scene.versions().query(
      "SELECT DISTINCT ON (v.stream, v.csn) v.op, l.table_name, v.row_key, coalesce(v.was_key, v.row_key), v.changed, v.unchanged, v.before, v.after"
      "  FROM history.version v JOIN history.layout l ON l.id = v.layout ORDER BY v.stream, v.csn");
  if (!rows) throw std::runtime_error(rows.error().message);
  for (int row = 0; row < rows->size(); ++row) {
    const auto text = [&](int column) { return std::string(rows->text(row, column)); };
    auto& table = tables[text(1)];
    const auto old = table.find(text(3));
    const feed::Row before = rows->null(row, 6) ? feed::Row{} : values_of(text(6));
    if (text(0) == "I") {
      EXPECT_FALSE(table.contains(text(2))) << text(1) << " " << text(2);
      table[text(2)] = values_of(text(7));
      continue;
    }
    if (old == table.end()) {
      ADD_FAILURE() << "no row before " << text(0) << " " << text(1) << " " << text(3);
      continue;
    }
    const feed::Row was = old->second;
    table.erase(old);
    if (text(0) == "D") {
      EXPECT_EQ(before, was);
      continue;
    }
    feed::Row now = values_of(text(7));
    const auto changed = values_of(text(4));
    for (std::size_t i = 0; i < changed.size(); ++i) EXPECT_EQ(was[std::stoul(*changed[i])], before[i]);
    if (!rows->null(row, 5)) {
      for (const auto& column : values_of(text(5))) now[std::stoul(*column)] = was[std::stoul(*column)];
    }
    table[text(2)] = std::move(now);
  }
  return tables;
}

std::map<std::string, feed::Row> rows_of(HistoryScene& scene, std::string_view table) {
  std::map<std::string, feed::Row> found;
  const auto shadow = scene.feed.mid_tier_value(fmt::format("SELECT shadow FROM feed.source_table WHERE table_name = '{}'", table));
  auto rows = scene.feed.mid_tier().query("SELECT * FROM feed." + shadow);
  for (int row = 0; row < rows->size(); ++row) {
    feed::Row& values = found[std::string(rows->text(row, 0))];
    for (int column = 2; column < rows->columns(); ++column) {
      values.push_back(rows->null(row, column) ? std::nullopt : std::optional(std::string(rows->text(row, column))));
    }
  }
  return found;
}

std::string random_statement(std::mt19937& random) {
  const auto pick = [&](unsigned most) { return 1 + random() % most; };
  switch (random() % 8) {
    case 0: return fmt::format("INSERT INTO patient VALUES ({}, 'p', repeat('x', {})) ON CONFLICT DO NOTHING", pick(20), pick(6000));
    case 1: return fmt::format("INSERT INTO encounter SELECT {}, min(id), 'e' FROM patient HAVING min(id) IS NOT NULL ON CONFLICT DO NOTHING", pick(30));
    case 2: return fmt::format("INSERT INTO observation SELECT id, {}, 'o' FROM encounter ON CONFLICT DO NOTHING", pick(5));
    case 3: return fmt::format("UPDATE patient SET name = 'n{}' WHERE id % 3 = {}", pick(99), pick(3) - 1);
    case 4: return fmt::format("UPDATE patient SET id = {0} WHERE id = {1} AND NOT EXISTS (SELECT FROM patient WHERE id = {0})", 20 + pick(40), pick(20));
    case 5: return fmt::format("DELETE FROM patient WHERE id = {}", pick(60));
    case 6: return fmt::format("INSERT INTO stamp VALUES ({0}, 'c', now(), 1.0, 2.5, '\\x00') ON CONFLICT (id) DO UPDATE SET price = {0}", pick(9));
    default: return random() % 10 == 0 ? "TRUNCATE encounter CASCADE" : "UPDATE encounter SET patient_id = (SELECT max(id) FROM patient) WHERE id % 5 = 0";
  }
}

void interrupt_somehow(HistoryScene& scene, std::mt19937& random) {
  switch (random() % 4) {
    case 0: scene.restart_relay(); break;
    case 1:  // its transaction is lost at any point, or committed without an answer
      scene.rows(fmt::format("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
                             scene.settings.versions.database));
      break;
    case 2:
      scene.stop();
      scene.feed.free_slot();
      scene.start();
      break;
    default:
      testing::ScratchPostgres::shared().kill_immediate();
      testing::ScratchPostgres::shared().restart();
      scene.feed.reconnect();
      scene.connect();
  }
}

TEST_P(Interrupted, StoresEveryVersionExactlyOnce) {
  std::mt19937 random(GetParam());
  RecordProperty("seed", static_cast<int>(GetParam()));
  HistoryScene scene;
  scene.settings.page_rows = 1 + random() % 20;
  scene.feed.settings().batch_changes = 1 + random() % 40;
  scene.feed.sql("ALTER TABLE patient ALTER letter SET STORAGE EXTERNAL");
  scene.start();
  for (int i = 0; i < 300; ++i) {
    scene.feed.sql(random_statement(random));
    scene.relay().advance(scene.feed.feed().head());
    if (random() % 25 == 0) interrupt_somehow(scene, random);
  }
  scene.settle();
  Tables tables = replayed(scene);
  for (const auto* table : {"patient", "encounter", "observation", "stamp"}) {
    EXPECT_EQ(tables[table], rows_of(scene, table)) << table << ", seed " << GetParam();
  }
  EXPECT_THAT(scene.rows("SELECT kind FROM history.notice WHERE kind <> 'types'"), IsEmpty());
  // Each change of the journal, once, and in no other order than its csn.
  EXPECT_EQ(scene.value("SELECT count(DISTINCT (stream, csn)) FROM history.version"),
            scene.feed.mid_tier_value("SELECT count(*) FROM feed.change WHERE layout IS NOT NULL AND NOT (op = 'U' AND changed = '{}')"));
}

INSTANTIATE_TEST_SUITE_P(Seeds, Interrupted, ::testing::Values(1U, 2U, 3U, 4U));

}  // namespace
}  // namespace verbund::history
