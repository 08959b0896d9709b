// The oracle: whatever happens to a source and its devices, at rest every device's tables are its filter's query on the source, and every change of a device was
// applied once or is a reject on both sides. Seeds are printed; VERBUND_SIM_SEED runs one, VERBUND_SIM_RUNS many.
#include <random>

#include "sync/device_scene.h"

namespace verbund::sync {
namespace {

using testing_scene::Tablet;
using server::testing_scene::SyncScene;
using Op = Comparison::Op;
using With = Comparison::With;

constexpr int kRounds = 12;
constexpr int kTablets = 4;

class Storm {
 public:
  explicit Storm(std::uint64_t seed) : random_(seed) {
    scene_.sql("INSERT INTO patient SELECT n, 'P' || n, (ARRAY['nord', 'süd'])[1 + n % 2] FROM generate_series(1, 20) n; INSERT INTO encounter SELECT n, 1 + n % 20, 'k' FROM generate_series(1, 20) n;"
               "INSERT INTO observation SELECT 1 + n % 20, n, 's' FROM generate_series(1, 20) n");
    scene_.office().settle();
    auto& patients = scene_.subscribe("patient", below(2) == 0 ? Filter{} : Filter{{Op::kEqual, With::kParameter, "letter", "region"}});
    patients.conflict.kind = below(2) == 0 ? ConflictPolicy::Kind::kReject : ConflictPolicy::Kind::kMerge;
    scene_.subscribe("encounter", below(2) == 0 ? Filter{} : Filter{{Op::kLess, With::kConstant, "id", "15"}});
    scene_.subscribe("observation");
    scene_.user("anna", {{"region", "nord"}});
    scene_.user("bert", {{"region", "süd"}});
    for (int at = 0; at < kTablets; ++at) tablets_.push_back(std::make_unique<Tablet>(scene_, at % 2 == 0 ? "anna" : "bert"));
  }

  void run() {
    for (int round = 0; round < kRounds; ++round) {
      for (std::size_t changes = below(6); changes > 0; --changes) change_office();
      for (auto& tablet : tablets_) {
        for (std::size_t changes = below(5); changes > 0; --changes) change(*tablet);
        if (below(3) > 0) sync_with_faults(*tablet);
      }
      if (below(8) == 0) scene_.restart_service();
    }
    come_to_rest();
    for (auto& tablet : tablets_) expect_equal(*tablet);
    expect_decided();
  }

 private:
  std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_); }
  std::string id() { return std::to_string(1 + below(25)); }
  std::string text() { return "'t" + std::to_string(below(1000)) + "'"; }

  std::string statement(bool office) {
    const auto region = below(2) == 0 ? "'nord'" : "'süd'";
    switch (below(9)) {
      case 0: return fmt::format("INSERT INTO patient VALUES ({}, {}, {})", id(), text(), region);
      case 1: return fmt::format("UPDATE patient SET name = {} WHERE id = {}", text(), id());
      case 2: return fmt::format("UPDATE patient SET letter = {} WHERE id = {}", region, id());
      case 3: return fmt::format("DELETE FROM patient WHERE id = {}", id());
      case 4: return fmt::format("INSERT INTO encounter VALUES ({}, {}, {})", id(), id(), text());
      case 5: return fmt::format("UPDATE encounter SET kind = {} WHERE id = {}", text(), id());
      case 6: return fmt::format("DELETE FROM encounter WHERE id = {}", id());
      case 7: return fmt::format("INSERT INTO observation VALUES ({}, {}, {})", id(), id(), text());
      default: return office ? fmt::format("UPDATE encounter SET id = id + 5 WHERE id = {}", id()) : fmt::format("INSERT OR REPLACE INTO observation VALUES ({}, {}, {})", id(), id(), text());
    }
  }
  void change_office() {
    try {
      scene_.sql(statement(true));
    } catch (const std::runtime_error&) {  // a constraint: the office is told, too
    }
  }
  static void try_sql(Tablet& tablet, const std::string& sql) {
    try {
      tablet.sql(sql);
    } catch (const std::runtime_error&) {  // no table yet, or a constraint of the device
    }
  }
  void change(Tablet& tablet) { try_sql(tablet, statement(false)); }

  void sync_with_faults(Tablet& tablet) {
    const auto lost = below(12);
    std::size_t calls = 0;
    const bool answer = below(2) == 0;
    (answer ? tablet.line.after : tablet.line.before) = [&, lost](const DeviceCall&) { return calls++ != lost; };
    const bool during = below(3) == 0;
    if (during && !answer) {
      tablet.line.after = [&](const DeviceCall& call) {
        if (call.target == "/api/device/syncs") change(tablet);
        return true;
      };
    }
    const auto report = tablet.sync();
    tablet.line.before = tablet.line.after = nullptr;
    EXPECT_TRUE(calls > lost || report.result == device::SyncResult::kSucceeded) << (report.error ? report.error->message : "") << [&] {
      std::string all;
      for (const auto& session : report.sessions) all += session.error ? " " + session.subscription + ": " + session.error->message : "";
      return all;
    }();
  }

  void come_to_rest() {
    constexpr int kPatience = 10;
    for (int turn = 0; turn < kPatience; ++turn) {
      scene_.office().settle();
      bool quiet = true;
      for (auto& tablet : tablets_) {
        tablet->expect_synced();
        quiet = quiet && tablet->fetched() == 0 && tablet->last.sent == 0 && tablet->last.applied == 0 && tablet->last.rejected == 0 && tablet->last.waiting == 0;
      }
      if (quiet) return;
    }
    ADD_FAILURE() << "it does not come to rest";
  }

  void expect_equal(Tablet& tablet) {
    const auto user = tablet.open().status()->user;
    for (const auto& rule : scene_.directory().in_force->rules.subscriptions) {
      std::string where = " WHERE true";
      for (const auto& comparison : rule.filter) {
        const auto letter = fmt::format(" AND letter = '{}'", user == "anna" ? "nord" : "süd");
        where += comparison.with == With::kParameter ? letter : std::string(" AND id < 15");
      }
      const std::string columns = rule.table == "patient" ? "id || '|' || coalesce(name, '-') || '|' || coalesce(letter, '-')"
                                  : rule.table == "encounter" ? "id || '|' || patient_id || '|' || coalesce(kind, '-')" : "encounter_id || '|' || line || '|' || coalesce(seen, '-')";
      const auto theirs = scene_.office().value(fmt::format("SELECT coalesce(string_agg(r, ' ' ORDER BY r COLLATE \"C\"), '') FROM (SELECT {} AS r FROM {}{}) x", columns, rule.table, where));
      const auto ours = tablet.value(fmt::format("SELECT coalesce(group_concat(r, ' '), '') FROM (SELECT {} AS r FROM {} ORDER BY r)", columns, rule.table));
      EXPECT_EQ(ours, theirs) << rule.table << " of " << user;
    }
  }

  /// Nothing hangs, and both sides know the same rejects.
  void expect_decided() {
    EXPECT_EQ(scene_.office().mid_tier_value("SELECT count(*) FROM sync.change WHERE state IN ('accepted', 'applying')"), "0");
    EXPECT_EQ(scene_.office().mid_tier_value("SELECT count(*) FROM sync.change WHERE told_sync IS NULL"), "0");
    std::uint64_t rejects = 0;
    for (auto& tablet : tablets_) {
      rejects += std::stoull(tablet->value("SELECT count(*) FROM verbund_reject"));
      EXPECT_EQ(tablet->open().status()->undecided, 0U);
    }
    EXPECT_EQ(std::to_string(rejects), scene_.office().mid_tier_value("SELECT count(*) FROM sync.reject"));
  }

  std::mt19937_64 random_;
  SyncScene scene_;
  std::vector<std::unique_ptr<Tablet>> tablets_;
};

TEST(Oracle, AtRestEveryDeviceHasWhatItsFilterSaysAndEveryChangeIsDecided) {
  const char* given = std::getenv("VERBUND_SIM_SEED");
  const char* runs = std::getenv("VERBUND_SIM_RUNS");
  const std::uint64_t first = given != nullptr ? std::stoull(given) : std::random_device{}();
  const std::uint64_t count = given != nullptr ? 1 : runs != nullptr ? std::stoull(runs) : 3;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("VERBUND_SIM_SEED=" + std::to_string(seed));
    Storm(seed).run();
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace verbund::sync
