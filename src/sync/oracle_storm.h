#pragma once
/// The oracle: whatever happens to a source and its devices, at rest every device's tables are its filter's query on the source, and every change of a device was
/// applied once or is a reject on both sides. For the tests of this folder.
#include <deque>
#include <random>
#include <set>

#include "sync/device_scene.h"
#include "sync/server/queues.h"

namespace verbund::sync::testing_scene {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(engine_); }
  bool once_in(std::size_t times) { return below(times) == 0; }
  template <typename T>
  const T& one_of(const std::vector<T>& values) { return values[below(values.size())]; }

 private:
  std::mt19937_64 engine_;
};

/// The tables of an office, what is done to them, and what a device should have of them.
class Schema {
 public:
  virtual ~Schema() = default;
  virtual void subscribe(SyncScene& scene, Random& random) = 0;
  /// A change, which constraints may refuse. `office`: in PostgreSQL's words, else in SQLite's.
  virtual std::string statement(Random& random, bool office) = 0;
  /// A record as the scene's locks name it, "TABLE/KEY".
  virtual std::string record(Random& random) = 0;
  /// The rows that a user has, as one text: a query on the source, and on a device.
  virtual std::string office_rows(const Subscription& rule, const std::string& user) const = 0;
  virtual std::string device_rows(const Subscription& rule) const = 0;
};

class Storm {
 public:
  /// `rounds`: of those that the seed stands for, the first.
  Storm(SyncScene& scene, Schema& schema, Random& random, int rounds = kRounds) : random_(random), schema_(schema), scene_(scene), rounds_(rounds) {
    schema.subscribe(scene, random);
    scene_.settings().repair_from = random_.once_in(3) ? 500 : 1;
    scene_.settings().stock_from = random_.once_in(3) ? 500 : 1;
    scene_.restart_service();
    scene_.user("anna", {{"region", "nord"}});
    scene_.user("bert", {{"region", "süd"}});
    const std::size_t tablets = random_.once_in(10) ? 20 : 4;
    for (std::size_t at = 0; at < tablets; ++at) tablets_.push_back(std::make_unique<Tablet>(scene_, at % 2 == 0 ? "anna" : "bert"));
  }

  static constexpr int kRounds = 12;

  void run() {
    for (int round = 0; round < rounds_; ++round) {
      set_clocks();
      for (std::size_t changes = random_.below(6); changes > 0; --changes) change_office();
      open_and_close_records();
      for (auto& tablet : tablets_) {
        for (std::size_t changes = random_.below(5); changes > 0; --changes) change(*tablet);
        if (random_.below(3) > 0) sync_with_faults(*tablet);
      }
      decide_a_reject();
      if (random_.once_in(4)) {
        EXPECT_TRUE(scene_.service().settle_waiting());
      }
      if (random_.once_in(8)) scene_.restart_service();
      lose_track();
      if (random_.once_in(25)) copy_a_device();
    }
    come_to_rest();
    for (auto& tablet : tablets_) expect_equal(*tablet);
    expect_decided();
  }

 private:
  void change_office() {
    try {
      scene_.sql(schema_.statement(random_, true));
    } catch (const std::runtime_error&) {  // a constraint: the office is told, too
    }
  }
  void change(Tablet& tablet) {
    try {
      tablet.sql(schema_.statement(random_, false));
    } catch (const std::runtime_error&) {  // no table yet, or a constraint of the device
    }
  }

  /// By up to ten years.
  void set_clocks() {
    constexpr std::int64_t kFarthest = 315'360'000;
    const auto somewhen = [&] { return seconds{static_cast<std::int64_t>(random_.below(2 * kFarthest)) - kFarthest}; };
    if (random_.once_in(4)) scene_.clock().jump(somewhen());
    for (auto& tablet : tablets_) {
      if (random_.once_in(4)) tablet->clock.jump(somewhen());
    }
  }

  /// Workstations that work on records.
  void open_and_close_records() {
    auto& held = scene_.locks().held;
    if (random_.once_in(3)) held.clear();
    for (std::size_t opened = random_.below(4); opened > 0; --opened) held.insert(schema_.record(random_));
  }

  /// What has moved is not known any more (devices were away for long, the server was set back): everything is compared.
  void lose_track() {
    if (random_.once_in(5)) scene_.office().mid_tier_value("WITH gone AS (DELETE FROM sync.moved), known AS (UPDATE sync.watch SET since_csn = (SELECT csn FROM feed.position)) SELECT 1");
    if (random_.once_in(5)) {
      auto& tablet = *tablets_[random_.below(tablets_.size())];
      tablet.sql("UPDATE verbund_device SET history = 'another' WHERE history <> ''");
    }
  }

  /// Both go on; one of them becomes a device of its own, and nothing is done twice.
  void copy_a_device() {
    auto& tablet = *tablets_[random_.below(tablets_.size())];
    copied_ = true;
    tablets_.push_back(std::make_unique<Tablet>(scene_, tablet));
  }

  /// A person at the office looks at what was rejected.
  void decide_a_reject() {
    auto rejects = server::list_rejects(scene_.office().mid_tier(), std::nullopt);
    ASSERT_TRUE(rejects);
    if (rejects->empty() || !random_.once_in(3)) return;
    const auto& one = random_.one_of(*rejects);
    if (random_.once_in(3)) {
      EXPECT_TRUE(server::dismiss_reject(scene_.office().mid_tier(), one.id));
      return;
    }
    retried_.insert(one.id);
    EXPECT_TRUE(server::retry_reject(scene_.office().mid_tier(), one.id));
  }

  void sync_with_faults(Tablet& tablet) {
    const auto lost = random_.below(12);
    std::size_t calls = 0;
    const bool answer = random_.once_in(2);
    (answer ? tablet.line.after : tablet.line.before) = [&, lost](const DeviceCall&) { return calls++ != lost; };
    const bool during = random_.once_in(3);
    if (during && !answer) {
      tablet.line.after = [&](const DeviceCall& call) {
        if (call.target == "/api/device/syncs") change(tablet);
        return true;
      };
    }
    // The network delivers some calls a second time, at once or much later.
    std::size_t number = 0;
    const auto again = random_.below(10);
    tablet.line.arrived = [&](const DeviceCall& call) {
      auto& old = old_calls_[&tablet];
      old.push_back(call);
      if (old.size() > 30) old.pop_front();
      if (number++ == again) (void)scene_.service().handle(random_.once_in(2) ? call : old[random_.below(old.size())], "127.0.0.1");
    };
    const auto report = tablet.sync();
    tablet.line.before = tablet.line.after = nullptr;
    tablet.line.arrived = nullptr;
    EXPECT_TRUE(calls > lost || report.result == device::SyncResult::kSucceeded) << (report.error ? report.error->message : "") << failures(report);
  }

  static std::string failures(const device::SyncReport& report) {
    std::string all;
    for (const auto& session : report.sessions) all += session.error ? " " + session.subscription + ": " + session.error->message : "";
    return all;
  }

  void come_to_rest() {
    constexpr int kPatience = 10;
    scene_.locks().held.clear();
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
      EXPECT_EQ(tablet.value(schema_.device_rows(rule)), scene_.office().value(schema_.office_rows(rule, user))) << rule.table << " of " << user << history(tablet, rule);
    }
  }

  /// What the device has sent of the table, for whoever looks for the fault.
  std::string history(Tablet& tablet, const Subscription& rule) {
    return "\n" + scene_.office().mid_tier_value(fmt::format(
               "SELECT string_agg(concat_ws(' ', id, op, key, state, 'base', base, 'applied', applied_csn, CASE WHEN as_sent THEN 'as sent' END, CASE WHEN retried THEN 'retried' END, reason,"
               " 'told', told_sync, after::text), E'\n' ORDER BY id) FROM sync.change WHERE subscription = '{}' AND device = {}", rule.name, tablet.open().status()->id)) +
           "\nversions: " + scene_.office().mid_tier_value(fmt::format("SELECT string_agg(verbund_key || ' at ' || verbund_csn, ', ') FROM {}",
               scene_.office().mid_tier_value(fmt::format("SELECT 'feed.' || quote_ident(shadow) FROM feed.source_table WHERE table_name = '{}'", rule.table))));
  }

  /// Nothing hangs, and both sides know the same rejects.
  void expect_decided() {
    EXPECT_EQ(scene_.office().mid_tier_value("SELECT count(*) FROM sync.change WHERE state IN ('accepted', 'applying')"), "0");
    EXPECT_EQ(scene_.office().mid_tier_value("SELECT count(*) FROM sync.change WHERE told_sync IS NULL"), "0");
    EXPECT_TRUE(scene_.locks().taken.empty());
    std::uint64_t rejects = 0;
    for (auto& tablet : tablets_) {
      rejects += std::stoull(tablet->value("SELECT count(*) FROM verbund_reject"));
      EXPECT_EQ(tablet->open().status()->undecided, 0U) << "device " << tablet->open().status()->id << uploads(*tablet);
    }
    std::string retried = "0";
    for (const auto id : retried_) retried += "," + std::to_string(id);
    // Of one that was tried again with success the device may have heard before.
    const auto count = [&](const std::string& where) { return std::stoull(scene_.office().mid_tier_value("SELECT count(*) FROM sync.change WHERE " + where)); };
    EXPECT_GE(rejects, count("state IN ('rejected', 'dismissed')"));
    // A copy has those of before, too, and is told the same as long as nothing has shown it.
    if (copied_) return;
    EXPECT_LE(rejects, count("state IN ('rejected', 'dismissed') OR id IN (" + retried + ")"));
  }

  /// What both sides know of its uploads, for whoever looks for the fault.
  std::string uploads(Tablet& tablet) {
    const auto id = tablet.open().status()->id;
    return "\ndevice: " + tablet.value("SELECT group_concat('upload ' || number || ' sent ' || sent || ' rows ' || rows || ' decided ' || (SELECT count(*) FROM verbund_outcome o WHERE o.upload = number), '; ') FROM verbund_upload") +
           "\nserver: " + scene_.office().mid_tier_value(fmt::format("SELECT string_agg(concat_ws(' ', upload, row, subscription, state, 'told', told_sync), '; ' ORDER BY upload, row) FROM sync.change WHERE device = {}", id)) +
           "\nuploads: " + scene_.office().mid_tier_value(fmt::format("SELECT string_agg(concat_ws(' ', upload, rows), '; ' ORDER BY upload) FROM sync.upload WHERE device = {}", id));
  }

  Random& random_;
  Schema& schema_;
  SyncScene& scene_;
  const int rounds_;
  std::vector<std::unique_ptr<Tablet>> tablets_;
  std::map<Tablet*, std::deque<DeviceCall>> old_calls_;
  std::set<std::uint64_t> retried_;  ///< rejects
  bool copied_ = false;              ///< one of the tablets is another's copy
};

}  // namespace verbund::sync::testing_scene
