// Calls of devices as they are, held against docs/protocol/devices.schema.json.
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "sync/device/folders.h"
#include "sync/device_scene.h"
#include "testing/eventually.h"

namespace verbund::sync {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using testing::eventually;
using testing_scene::Loopback;
using testing_scene::SyncScene;
using testing_scene::Tablet;

/// The names of docs/protocol/devices.schema.json.
class Recording {
 public:
  void note(const DeviceCall& call, const DeviceAnswer& answer) {
    const auto is = [&](std::string_view end) { return call.target.ends_with(end); };
    const bool files = call.target.starts_with("/api/device/files/");
    if (call.method == "POST") add(is("/enrol") ? "enrol" : is("/ack") ? "ack" : is("/unlock") ? "done" : is("/offer") ? "file" : files ? "files" : "sync", call.body);
    if (answer.status >= 400) add("error", answer.body);
    else if (call.method == "PUT" || is("/ack")) add("done", answer.body);
    else if (call.method == "POST") add(is("/enrol") ? "enrolled" : is("/unlock") ? "unlocked" : is("/offer") ? "taken" : files ? (answer.status == 202 ? "being_read" : "page") : answer.status == 202 ? "in_line" : "reply", answer.body);
  }
  void write(const fs::path& file) const {
    std::ofstream out(file);
    for (const auto& line : lines_) out << line << '\n';
  }

 private:
  void add(std::string_view name, const std::string& body) { lines_.push_back(json::serialize(json::object{{"as", name}, {"message", json::parse(body)}})); }

  std::vector<std::string> lines_;
};

TEST(DeviceTraffic, IsAsDocumented) {
  testing::ScratchDirectory directory;
  const auto plans = directory.path() / "plans", photos = directory.path() / "photos";
  for (const auto& folder : {plans, photos}) fs::create_directories(folder);
  for (const auto* name : {"a.txt", "b.txt", "c.txt"}) std::ofstream(plans / name) << name;
  SyncScene scene;
  scene.sql("INSERT INTO patient SELECT n, 'P' || n, 'nord' FROM generate_series(1, 600) n; INSERT INTO encounter VALUES (1, 1, 'Besuch')");
  scene.office().settle();
  for (const auto* user : {"anna", "bert"}) scene.user(user);
  scene.subscribe("patient");
  scene.subscribe("encounter");
  auto& rules = scene.directory().in_force->rules;
  for (const auto* name : {"plans", "photos"}) {
    Subscription one;
    one.name = name;
    one.kind = SubscriptionKind::kFiles;
    one.direction = one.name == "photos" ? Direction::kUp : Direction::kDown;
    one.files.folder = name;
    rules.subscriptions.push_back(one);
    rules.sets.front().subscriptions.emplace_back(name);
  }
  rules.groups.front().lease_days = 14;
  auto& settings = scene.settings();
  settings.folders = {{"plans", plans}, {"photos", photos}};
  settings.reading = milliseconds{0};
  settings.first_syncs = 1;
  settings.much_from = 10;
  settings.servers = [] { return std::vector<std::string>{"second:2222"}; };
  scene.restart_service();

  Recording recording;
  const auto record = [&](const DeviceCall& call, const DeviceAnswer& answer) { recording.note(call, answer); };
  {
    Loopback line(scene);
    line.seen = record;
    testing::ScratchDirectory own;
    server::testing_scene::JumpingClock clock;
    ASSERT_TRUE(device::Device::enrol(own.path() / "d.db", {{"server"}, ""}, {"anna", "Tablet"}, line, clock));
  }
  Tablet anna(scene, "anna"), bert(scene, "bert");
  anna.line.seen = record;
  {
    // Nothing is written for devices until it is given back: the second one stands in line.
    auto held = std::move(postgres::Connection::open(scene.office().settings().mid_tier).value());
    ASSERT_TRUE(held.execute("BEGIN; LOCK TABLE sync.output IN EXCLUSIVE MODE"));
    std::jthread first([&] { bert.expect_synced(); });
    ASSERT_TRUE(eventually([&] { return scene.office().mid_tier_value("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'sync.output'::regclass") == "t"; }));
    std::stop_source stop;
    device::SyncEvents events;
    events.on_waiting = [&](std::uint64_t) { stop.request_stop(); };
    EXPECT_EQ(device::name_of(device::Device::open(anna.file, anna.clock)->sync(anna.line, "", events, stop.get_token())->result), "canceled");
    ASSERT_TRUE(held.execute("COMMIT"));
  }
  anna.expect_synced();
  // Changes up, one of them rejected; files both ways.
  anna.sql("UPDATE patient SET name = 'von unterwegs' WHERE id = 1; INSERT INTO patient VALUES (601, 'neu', 'nord'); UPDATE patient SET name = 'zu spät' WHERE id = 2");
  scene.sql("UPDATE patient SET name = 'Praxis' WHERE id = 2");
  scene.office().settle();
  std::ofstream(device::folders_of(anna.file) / "photos" / "a.jpg") << "Foto";
  fs::remove(plans / "a.txt");
  for (const auto* name : {"d.txt", "e.txt", "f.txt"}) std::ofstream(plans / name) << name;
  anna.expect_synced();
  EXPECT_EQ(anna.last.rejected, 1U);
  // Another history: again, sums, repair. A lease that is over. A copy of the database.
  scene.office().mid_tier_value("UPDATE feed.position SET history_id = 'another' RETURNING 1");
  anna.expect_synced();
  anna.clock.jump(seconds{15 * 86'400});
  EXPECT_TRUE(anna.open().status()->locked);
  anna.clock.jump(seconds{0});
  anna.expect_synced();
  Tablet copy(scene, anna);
  copy.line.seen = record;
  anna.expect_synced();
  copy.sql("UPDATE patient SET name = 'von der Kopie' WHERE id = 3");
  copy.expect_synced();

  recording.write(directory.path() / "traffic.jsonl");
  const auto script = fs::path(VERBUND_SOURCE_DIR) / "tests/protocol/validate_devices.py";
  const int status = std::system(fmt::format("'{}' '{}'", script.string(), (directory.path() / "traffic.jsonl").string()).c_str());
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

}  // namespace
}  // namespace verbund::sync
