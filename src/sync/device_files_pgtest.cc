// Files of devices: folders of the office on a device, folders of a device in the office (D3, D8, D12).
#include <fstream>

#include <gmock/gmock.h>

#include "sync/device/folders.h"
#include "sync/device_scene.h"

namespace verbund::sync {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_scene::SyncScene;
using testing_scene::Tablet;

/// All files below, as "path=content".
std::vector<std::string> all_of(const fs::path& root) {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const auto path = fs::relative(entry.path(), root).native();
    if (!entry.is_regular_file() || path.starts_with(".verbund")) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    found.push_back(path + "=" + std::string(std::istreambuf_iterator<char>(file), {}));
  }
  std::ranges::sort(found);
  return found;
}

void write(const fs::path& file, std::string_view content) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

std::string much(char letter, std::size_t bytes) { return std::string(bytes, letter); }

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(plans);
    fs::create_directories(photos);
    scene.settings().folders = {{"plans", plans}, {"photos", photos}};
    scene.restart_service();
    scene.user("anna", {{"region", "nord"}});
    scene.user("bert", {{"region", "süd"}});
  }
  Subscription& files(const std::string& name, FolderRule rule, Direction direction = Direction::kDown) {
    auto& rules = scene.directory().in_force->rules;
    Subscription one;
    one.name = name;
    one.kind = SubscriptionKind::kFiles;
    one.direction = direction;
    one.files = std::move(rule);
    rules.subscriptions.push_back(one);
    rules.sets.front().subscriptions.push_back(name);
    scene.directory().in_force->versions[name] = 1;
    return rules.subscriptions.back();
  }
  void forget_rule(const std::string& name) {
    auto& rules = scene.directory().in_force->rules;
    std::erase_if(rules.subscriptions, [&](const Subscription& one) { return one.name == name; });
    std::erase(rules.sets.front().subscriptions, name);
  }
  static fs::path folder(const Tablet& tablet, const std::string& name = "plans") { return device::folders_of(tablet.file) / name; }
  static std::vector<std::string> on(const Tablet& tablet, const std::string& name = "plans") { return all_of(folder(tablet, name)); }
  static device::SessionReport session(const Tablet& tablet, const std::string& name = "plans") {
    const auto found = std::ranges::find(tablet.last.sessions, name, &device::SessionReport::subscription);
    return found == tablet.last.sessions.end() ? device::SessionReport{.subscription = "none", .error = {}} : *found;
  }
  static std::string error_of(Tablet& tablet, const std::string& name = "plans") {
    tablet.last = tablet.sync();
    const auto done = session(tablet, name);
    return done.error ? done.error->message : "";
  }

  testing::ScratchDirectory directory;
  fs::path plans = directory.path() / "Pläne", photos = directory.path() / "Fotos";
  SyncScene scene;
};

TEST_F(Files, ComeWithTheirTimesChangeAndGo) {
  write(plans / "Müller" / "Wunde.txt", "alt");
  write(plans / "Plan.txt", "Plan");
  write(plans / "leer.txt", "");
  fs::last_write_time(plans / "Plan.txt", fs::file_time_type::clock::now() - std::chrono::hours{100});
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("Müller/Wunde.txt=alt", "Plan.txt=Plan", "leer.txt="));
  EXPECT_LT(fs::last_write_time(folder(anna) / "Plan.txt"), fs::file_time_type::clock::now() - std::chrono::hours{99});
  EXPECT_EQ(session(anna).upserted, 3U);
  write(plans / "Müller" / "Wunde.txt", "neu, länger");
  fs::remove(plans / "leer.txt");
  write(plans / "mehr.txt", "mehr");
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("Müller/Wunde.txt=neu, länger", "Plan.txt=Plan", "mehr.txt=mehr"));
  EXPECT_EQ(session(anna).upserted, 2U);
  EXPECT_EQ(session(anna).deleted, 1U);
  fs::remove_all(plans / "Müller");
  anna.expect_synced();
  EXPECT_FALSE(fs::exists(folder(anna) / "Müller")) << "a folder without files goes with the last one";
}

TEST_F(Files, NothingNewCostsTwoCallsMoreThanRowsAndNoContent) {
  write(plans / "groß.bin", much('x', 500'000));
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  anna.line.received = 0;
  anna.expect_synced();
  EXPECT_EQ(session(anna).upserted + session(anna).deleted, 0U);
  EXPECT_LT(anna.line.received, 1'000U);
}

TEST_F(Files, AFileThatIsRenamedOrLiesTwiceComesOnce) {
  write(plans / "a.bin", much('a', 400'000));
  write(plans / "Kopie" / "a.bin", much('a', 400'000));
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  EXPECT_EQ(on(anna).size(), 2U);
  EXPECT_LT(anna.line.received, 410'000U);
  anna.line.received = 0;
  fs::rename(plans / "a.bin", plans / "b.bin");
  fs::remove_all(plans / "Kopie");
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("b.bin=" + much('a', 400'000)));
  EXPECT_LT(anna.line.received, 2'000U);
}

TEST_F(Files, AnInterruptedFileGoesOnWhereItBroke) {
  write(plans / "Video.bin", much('v', 5'000'000));
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  int pieces = 0;
  anna.line.before = [&](const DeviceCall& call) { return call.method != "GET" || ++pieces <= 3; };
  anna.last = anna.sync();
  EXPECT_EQ(device::name_of(anna.last.result), "failed");
  EXPECT_THAT(on(anna), IsEmpty()) << "half a file is none";
  anna.line.before = nullptr;
  anna.line.received = 0;
  anna.expect_synced();
  EXPECT_EQ(on(anna).size(), 1U);
  EXPECT_EQ(fs::file_size(folder(anna) / "Video.bin"), 5'000'000U);
  EXPECT_LT(anna.line.received, 2'000'000U);
}

TEST_F(Files, CanBeCancelledAndTheRowsStay) {
  scene.sql("INSERT INTO patient VALUES (1, 'Müller', 'nord')");
  scene.office().settle();
  scene.subscribe("patient");
  write(plans / "a.bin", much('a', 3'000'000));
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  std::stop_source stop;
  anna.line.arrived = [&](const DeviceCall& call) {
    if (call.method == "GET" && call.target.ends_with("/1048576")) stop.request_stop();
  };
  EXPECT_EQ(device::name_of(anna.sync(stop.get_token()).result), "canceled");
  EXPECT_EQ(anna.value("SELECT count(*) FROM patient"), "1");
  anna.line.arrived = nullptr;
  anna.expect_synced();
  EXPECT_EQ(on(anna).size(), 1U);
}

TEST_F(Files, EverybodyHasThoseOfTheirPathAlone) {
  write(plans / "nord" / "anna" / "Tour.txt", "Anna");
  write(plans / "süd" / "bert" / "Tour.txt", "Bert");
  write(plans / "Haus.txt", "alle");
  files("plans", {.folder = "plans", .path = ":region/:user"});
  Tablet anna(scene, "anna"), bert(scene, "bert");
  anna.expect_synced();
  bert.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("Tour.txt=Anna"));
  EXPECT_THAT(on(bert), ElementsAre("Tour.txt=Bert"));
  const auto hash = bert.value("SELECT hash FROM verbund_file");
  auto stolen = scene.service().handle({"GET", "/api/device/files/plans/" + hash + "/0", "Device " + anna.value("SELECT id FROM verbund_device"), ""}, "127.0.0.1");
  ASSERT_FALSE(stolen) << "who knows the hash of a file has it not";
  EXPECT_EQ(stolen.error().code, ErrorCode::kNotFound);
}

TEST_F(Files, GoWithThePatientsWhoseTheyAre) {
  scene.sql("INSERT INTO patient VALUES (1, 'Müller', 'anna'), (2, 'Groß', 'anna'), (3, 'Weiß', 'bert')");
  scene.office().settle();
  scene.subscribe("patient", parse_filter("letter = :user").value());
  for (const auto* id : {"1", "2", "3", "33"}) write(plans / id / "Plan.txt", id);
  write(plans / "Haus.txt", "niemandes");
  files("plans", {.folder = "plans", .of = "patients"});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("1/Plan.txt=1", "2/Plan.txt=2"));
  scene.sql("UPDATE patient SET letter = 'bert' WHERE id = 1; UPDATE patient SET letter = 'anna' WHERE id = 3");
  scene.office().settle();
  anna.line.received = 0;
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("2/Plan.txt=2", "3/Plan.txt=3"));
}

TEST_F(Files, OfCertainNamesAndUpToALimit) {
  write(plans / "a.pdf", "a");
  write(plans / "B.PDF", "b");
  write(plans / "a.pdf.txt", "nein");
  write(plans / "x(1).pdf", "c");
  auto& rule = files("plans", {.folder = "plans", .names = {"?.pdf", "x(*"}});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("B.PDF=b", "a.pdf=a", "x(1).pdf=c"));
  rule.max_rows = 2;
  EXPECT_THAT(error_of(anna), HasSubstr("3 files, 2 are allowed"));
  rule.max_rows = 3;
  rule.max_bytes = 2;
  EXPECT_THAT(error_of(anna), HasSubstr("3 bytes"));
  EXPECT_EQ(on(anna).size(), 3U);
}

TEST_F(Files, ManyComeInPagesAndGoOnAfterAnyInterruption) {
  for (int number = 0; number < 2'300; ++number) write(plans / std::to_string(number % 7) / fmt::format("{}.txt", number), "x");
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  int calls = 0, most = 2;
  anna.line.before = [&](const DeviceCall&) { return ++calls <= most; };
  for (int tries = 0; tries < 60 && anna.sync().result != device::SyncResult::kSucceeded; ++tries) {
    calls = 0;
    most += 20;
  }
  anna.line.before = nullptr;
  anna.expect_synced();
  EXPECT_EQ(on(anna), all_of(plans));
}

TEST_F(Files, AnEmptyOrMissingFolderRemovesNothing) {
  write(plans / "a.txt", "a");
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  fs::remove(plans / "a.txt");
  EXPECT_THAT(error_of(anna), HasSubstr("it is empty, and had 1 files"));
  fs::remove_all(plans);
  EXPECT_NE(error_of(anna), "");
  EXPECT_EQ(on(anna).size(), 1U);
  files("others", {.folder = "unknown"});
  EXPECT_THAT(error_of(anna, "others"), HasSubstr("knows no folder 'unknown'"));
}

TEST_F(Files, WhatSomebodyHasWrittenOnTheDeviceIsNotLost) {
  write(plans / "a.txt", "a");
  write(plans / "b.txt", "b");
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  write(folder(anna) / "b.txt", "schon da");
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("a.txt=a", "b.txt.mine=schon da", "b.txt=b"));
  write(folder(anna) / "a.txt", "meins");
  fs::remove(folder(anna) / "b.txt");
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("a.txt.mine=meins", "a.txt=a", "b.txt.mine=schon da", "b.txt=b"));
}

TEST_F(Files, LeaveTheDeviceWithTheirSubscriptionAndWhenItIsRevoked) {
  write(plans / "a.txt", "a");
  write(photos / "b.txt", "b");
  files("plans", {.folder = "plans"});
  files("photos", {.folder = "photos"});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  forget_rule("plans");
  anna.expect_synced();
  EXPECT_FALSE(fs::exists(folder(anna)));
  EXPECT_EQ(on(anna, "photos").size(), 1U);
  scene.directory().refuses = ErrorCode::kRevoked;
  EXPECT_EQ(device::name_of(anna.sync().result), "failed");
  EXPECT_FALSE(fs::exists(device::folders_of(anna.file)));
}

TEST_F(Files, AreGoneOrSealedWhenTheLeaseIsOverAndComeBack) {
  scene.directory().in_force->rules.groups.front().lease_days = 14;
  write(plans / "a.txt", "Geheimnis");
  files("plans", {.folder = "plans"});
  files("photos", {.folder = "photos"}, Direction::kUp);
  Tablet anna(scene, "anna");
  anna.expect_synced();
  write(folder(anna, "photos") / "gegangen.jpg", "Geheimnis, gegangen");
  anna.expect_synced();
  write(folder(anna, "photos") / "Müller" / "Wunde.jpg", "Geheimnis, " + much('x', 3'000'000));
  write(folder(anna, "photos") / "leer.jpg", "");
  anna.clock.jump(seconds{15 * 86'400});
  EXPECT_TRUE(anna.open().status()->locked);
  std::size_t sealed = 0;
  for (const auto& entry : fs::recursive_directory_iterator(device::folders_of(anna.file))) {
    if (!entry.is_regular_file()) continue;
    ++sealed;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(content.find("Geheimnis"), std::string::npos) << entry.path();
    EXPECT_EQ(entry.path().native().find("Wunde"), std::string::npos) << "names say something, too";
  }
  EXPECT_EQ(sealed, 2U);
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("a.txt=Geheimnis"));
  EXPECT_THAT(all_of(photos), ElementsAre("Müller/Wunde.jpg=Geheimnis, " + much('x', 3'000'000), "gegangen.jpg=Geheimnis, gegangen", "leer.jpg="));
}

TEST_F(Files, AnotherHistoryIsListedAnewAndFetchedNotAtAll) {
  write(plans / "a.bin", much('a', 300'000));
  write(plans / "b.txt", "b");
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  anna.expect_synced();
  scene.office().mid_tier_value("UPDATE feed.position SET history_id = 'another' RETURNING 1");
  fs::remove(plans / "b.txt");
  anna.line.received = 0;
  anna.expect_synced();
  EXPECT_EQ(on(anna).size(), 1U);
  EXPECT_LT(anna.line.received, 5'000U);
}

TEST_F(Files, ADeviceThatWasAwayForLongerThanIsKnownHearsAll) {
  write(plans / "a.txt", "a");
  write(plans / "b.txt", "b");
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna"), bert(scene, "bert");
  anna.expect_synced();
  fs::remove(plans / "b.txt");
  bert.expect_synced();
  scene.office().mid_tier_value("UPDATE sync.file SET gone = now() - interval '31 days' WHERE gone IS NOT NULL RETURNING 1");
  EXPECT_EQ(scene.service().tidy_files().value(), 1U);
  anna.expect_synced();
  EXPECT_THAT(on(anna), ElementsAre("a.txt=a"));
}

TEST_F(Files, AFileThatChangesWhileItIsFetchedComesAsItIsThen) {
  write(plans / "a.bin", much('a', 3'000'000));
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  bool changed = false;
  anna.line.arrived = [&](const DeviceCall& call) {
    if (call.method == "GET" && !std::exchange(changed, true)) write(plans / "a.bin", "kurz");
  };
  anna.expect_synced();
  EXPECT_TRUE(changed);
  EXPECT_THAT(on(anna), ElementsAre("a.bin=kurz"));
}

TEST_F(Files, OfADeviceGoUpOnceAndReplaceNothing) {
  files("photos", {.folder = "photos", .path = ":user", .names = {"*.jpg"}}, Direction::kUp);
  Tablet anna(scene, "anna");
  anna.expect_synced();
  write(folder(anna, "photos") / "Wunde.jpg", "links");
  write(folder(anna, "photos") / "Müller" / "Bein.jpg", "Bein");
  write(photos / "anna" / "Wunde.jpg", "von gestern");
  anna.expect_synced();
  EXPECT_EQ(session(anna, "photos").upserted, 2U);
  EXPECT_THAT(all_of(photos), ElementsAre("anna/Müller/Bein.jpg=Bein", "anna/Wunde (2).jpg=links", "anna/Wunde.jpg=von gestern"));
  anna.expect_synced();
  EXPECT_EQ(session(anna, "photos").upserted, 0U);
  write(folder(anna, "photos") / "Wunde.jpg", "rechts");
  fs::remove(folder(anna, "photos") / "Müller" / "Bein.jpg");
  anna.expect_synced();
  EXPECT_THAT(all_of(photos), ElementsAre("anna/Müller/Bein.jpg=Bein", "anna/Wunde (2).jpg=links", "anna/Wunde (3).jpg=rechts", "anna/Wunde.jpg=von gestern")) << "nothing is taken away";
  write(folder(anna, "photos") / "Brief.txt", "nein");
  EXPECT_THAT(error_of(anna, "photos"), HasSubstr("none of those that this device may bring"));
}

TEST_F(Files, OfADeviceGoOnWhereTheyBrokeAndAreTakenOnce) {
  files("photos", {.folder = "photos"}, Direction::kUp);
  Tablet anna(scene, "anna");
  anna.expect_synced();
  write(folder(anna, "photos") / "a.bin", much('a', 4'000'000));
  int pieces = 0;
  anna.line.before = [&](const DeviceCall& call) { return call.method != "PUT" || ++pieces <= 2; };
  EXPECT_EQ(device::name_of(anna.sync().result), "failed");
  anna.line.before = nullptr;
  EXPECT_THAT(all_of(photos), IsEmpty());
  pieces = 0;
  // It is taken, and the answer is lost.
  anna.line.after = [&](const DeviceCall& call) {
    pieces += call.method == "PUT" ? 1 : 0;
    return !call.target.ends_with("/offer") || pieces == 0;
  };
  EXPECT_EQ(device::name_of(anna.sync().result), "failed");
  EXPECT_EQ(pieces, 2);
  anna.line.after = nullptr;
  anna.expect_synced();
  EXPECT_EQ(all_of(photos).size(), 1U);
  EXPECT_EQ(fs::file_size(photos / "a.bin"), 4'000'000U);
}

TEST_F(Files, OfADeviceAreOfferedAgainToAnOfficeThatWasSetBack) {
  files("photos", {.folder = "photos"}, Direction::kUp);
  Tablet anna(scene, "anna");
  anna.expect_synced();
  write(folder(anna, "photos") / "a.jpg", "a");
  write(folder(anna, "photos") / "b.jpg", "b");
  anna.expect_synced();
  scene.office().mid_tier_value("WITH back AS (DELETE FROM sync.file_taken) UPDATE feed.position SET history_id = 'another' RETURNING 1");
  fs::remove(photos / "b.jpg");
  anna.expect_synced();
  EXPECT_THAT(all_of(photos), ElementsAre("a.jpg=a", "b.jpg=b")) << "what it has is not there twice";
}

TEST_F(Files, WhatIsNoFileOfItsOwnIsRefused) {
  files("photos", {.folder = "photos"}, Direction::kUp).max_bytes = 10;
  files("plans", {.folder = "plans"});
  Tablet anna(scene, "anna");
  const auto call = [&](std::string method, std::string target, std::string body) {
    auto answer = scene.service().handle({std::move(method), "/api/device/files/" + std::move(target), "Device " + anna.value("SELECT id FROM verbund_device"), std::move(body)}, "127.0.0.1");
    return answer ? ErrorCode::kInternal : answer.error().code;
  };
  const std::string hash(64, 'a');
  const auto offer = [&](const std::string& path, const std::string& bytes = "1") {
    return call("POST", "photos/offer", R"({"path":")" + path + R"(","bytes":")" + bytes + R"(","hash":")" + hash + R"(","modified_ms":"0"})");
  };
  EXPECT_EQ(offer("../a"), ErrorCode::kBadMessage);
  EXPECT_EQ(offer("/etc/passwd"), ErrorCode::kBadMessage);
  EXPECT_EQ(offer("a//b"), ErrorCode::kBadMessage);
  EXPECT_EQ(offer(".verbund/incoming/x"), ErrorCode::kForbidden);
  EXPECT_EQ(offer("a", "11"), ErrorCode::kTooLarge);
  EXPECT_EQ(call("PUT", "photos/" + hash + "/5", "12345"), ErrorCode::kBadMessage) << "a gap";
  EXPECT_EQ(call("PUT", "photos/" + hash + "/0", "12345678901"), ErrorCode::kTooLarge);
  EXPECT_EQ(call("PUT", "plans/" + hash + "/0", "1"), ErrorCode::kForbidden);
  EXPECT_EQ(call("GET", "photos/" + hash + "/0", ""), ErrorCode::kNotFound);
  EXPECT_EQ(call("PUT", "photos/..%2f..%2fx/0", "1"), ErrorCode::kBadMessage);
  EXPECT_EQ(call("POST", "unknown", "{}"), ErrorCode::kForbidden);
  // What has come is not what was said: it is thrown away, and can be sent again.
  EXPECT_EQ(call("PUT", "photos/" + hash + "/0", "x"), ErrorCode::kInternal);
  EXPECT_EQ(offer("a"), ErrorCode::kDamaged);
  EXPECT_EQ(offer("a"), ErrorCode::kInternal);
  // A link in the folder leads nobody out of it.
  fs::create_directory_symlink(directory.path(), photos / "hinaus");
  write(folder(anna, "photos") / "hinaus" / "x", "x");
  EXPECT_NE(error_of(anna, "photos"), "");
  EXPECT_FALSE(fs::exists(directory.path() / "x"));
}

}  // namespace
}  // namespace verbund::sync
