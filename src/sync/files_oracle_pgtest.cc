// The oracle of files: an office and devices that do anything with files, rows that give and take them, a line that loses calls and answers, a history that is another one.
// When it is quiet each device has exactly the files of its patients, and the office everything that devices have brought, once.
#include <cstdlib>
#include <fstream>
#include <random>

#include "sync/device/folders.h"
#include "sync/device_scene.h"

namespace verbund::sync {
namespace {

namespace fs = std::filesystem;
using testing_scene::SyncScene;
using testing_scene::Tablet;
using Contents = std::map<std::string, std::string>;

constexpr int kPatients = 5;
constexpr std::string_view kOwn = "auf dem Gerät";  // somebody's own files stay

unsigned number_of(const char* variable, unsigned otherwise) {
  const auto* text = std::getenv(variable);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

Contents contents_of(const fs::path& root) {
  Contents found;
  if (!fs::exists(root)) return found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const auto path = fs::relative(entry.path(), root).native();
    if (!entry.is_regular_file() || path.starts_with(".verbund")) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    found[path] = std::string(std::istreambuf_iterator<char>(file), {});
  }
  return found;
}

void write(const fs::path& file, const std::string& content) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

class Storm {
 public:
  explicit Storm(unsigned seed) : random_(seed) {
    scene_.settings().folders = {{"plans", plans_}, {"photos", photos_}};
    scene_.restart_service();
    fs::create_directories(plans_);
    fs::create_directories(photos_);
    write(plans_ / "Hausordnung.txt", "niemandes");  // an empty folder removes nothing
    for (int id = 1; id <= kPatients; ++id) scene_.sql(fmt::format("INSERT INTO patient VALUES ({}, 'P', '{}')", id, any(2) == 0 ? "anna" : "bert"));
    scene_.office().settle();
    for (const auto* user : {"anna", "bert"}) scene_.user(user);
    scene_.subscribe("patient", parse_filter("letter = :user").value());
    add("plans", {.folder = "plans", .of = "patients"}, Direction::kDown);
    add("photos", {.folder = "photos", .path = ":user"}, Direction::kUp);
    for (const auto* user : {"anna", "bert", "anna"}) {
      tablets_.push_back(std::make_unique<Tablet>(scene_, user));
      users_.emplace_back(user);
    }
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      const auto kind = any(12);
      if (kind < 5) office();
      else if (kind < 7) device(any(tablets_.size()));
      else if (kind == 7) hand_over();
      else if (kind == 8 && any(6) == 0) scene_.office().mid_tier_value(fmt::format("UPDATE feed.position SET history_id = 'h{}' RETURNING 1", step));
      else sync(any(tablets_.size()));
    }
  }

  void expect_all_well() {
    for (std::size_t at = 0; at < tablets_.size(); ++at) {
      auto& tablet = *tablets_[at];
      tablet.line.before = tablet.line.after = nullptr;
      tablet.expect_synced();
    }
    const auto office_plans = contents_of(plans_);
    for (std::size_t at = 0; at < tablets_.size(); ++at) {
      Contents expected, here;
      for (const auto& [path, content] : office_plans) {
        const auto slash = path.find('/');
        if (slash != std::string::npos && scene_.office().value("SELECT letter FROM patient WHERE id = " + path.substr(0, slash)) == users_[at]) expected[path] = content;
      }
      for (auto& [path, content] : contents_of(device::folders_of(tablets_[at]->file) / "plans")) {
        if (!content.starts_with(kOwn)) here[path] = content;
      }
      EXPECT_EQ(here, expected) << "device " << at + 1;
    }
    std::multiset<std::string> there, wanted;
    for (const auto& [path, content] : contents_of(photos_)) there.insert(content);
    for (const auto& [path, content] : brought_) wanted.insert(content);
    EXPECT_EQ(there, wanted);
  }

 private:
  std::size_t any(std::size_t of) { return std::uniform_int_distribution<std::size_t>(0, of - 1)(random_); }
  fs::path any_plan() { return fs::path(std::to_string(any(kPatients) + 1)) / fmt::format("{}{}.txt", any(3) == 0 ? "Anhang/" : "", any(4)); }
  std::string content() {
    // Some equal each other: the same content in several places.
    return any(3) == 0 ? std::string("gleich") : fmt::format("{} {}", written_++, std::string(any(6) == 0 ? 1'500'000 : any(50), 'x'));
  }
  void add(const std::string& name, FolderRule rule, Direction direction) {
    auto& rules = scene_.directory().in_force->rules;
    Subscription one;
    one.name = name;
    one.kind = SubscriptionKind::kFiles;
    one.direction = direction;
    one.files = std::move(rule);
    rules.subscriptions.push_back(one);
    rules.sets.front().subscriptions.push_back(name);
    scene_.directory().in_force->versions[name] = 1;
  }

  void office() {
    const auto path = plans_ / any_plan();
    std::error_code ignored;
    switch (any(5)) {
      case 0: fs::remove(path, ignored); break;
      case 1: {
        const auto to = plans_ / any_plan();
        fs::create_directories(to.parent_path());
        fs::rename(path, to, ignored);
        break;
      }
      case 2: fs::remove_all(plans_ / std::to_string(any(kPatients) + 1), ignored); break;
      default: write(path, content());
    }
  }

  void device(std::size_t at) {
    const auto folder = device::folders_of(tablets_[at]->file);
    std::error_code ignored;
    if (any(2) == 0) {
      const auto name = fmt::format("{}.jpg", any(3));
      const auto text = fmt::format("Foto {} von {}", written_++, at);
      if (fs::exists(folder / "photos" / name)) return;  // what is not sent yet would be gone
      write(folder / "photos" / name, text);
      brought_[fmt::format("{}/{}", at, text)] = text;
    } else if (any(2) == 0) {
      fs::remove_all(folder / "plans" / any_plan(), ignored);
    } else {
      write(folder / "plans" / any_plan(), fmt::format("{} {}", kOwn, written_++));
    }
  }

  void hand_over() {
    scene_.sql(fmt::format("UPDATE patient SET letter = '{}' WHERE id = {}", any(2) == 0 ? "anna" : "bert", any(kPatients) + 1));
    scene_.office().settle();
  }

  void sync(std::size_t at) {
    auto& tablet = *tablets_[at];
    const auto loses = any(3);
    tablet.line.before = [this, loses](const DeviceCall&) { return loses != 0 || any(8) != 0; };
    tablet.line.after = [this, loses](const DeviceCall&) { return loses != 1 || any(8) != 0; };
    tablet.sync();
  }

  std::mt19937 random_;
  testing::ScratchDirectory directory_;
  fs::path plans_ = directory_.path() / "plans", photos_ = directory_.path() / "photos";
  SyncScene scene_;
  std::vector<std::unique_ptr<Tablet>> tablets_;
  std::vector<std::string> users_;
  Contents brought_;
  int written_ = 0;
};

TEST(FilesOracle, EveryDeviceHasItsFilesAndTheOfficeWhatTheyBrought) {
  const auto first = number_of("VERBUND_SIM_SEED", 1), runs = number_of("VERBUND_SIM_RUNS", 6);
  for (unsigned seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE(fmt::format("VERBUND_SIM_SEED={} VERBUND_SIM_RUNS=1", seed));
    Storm storm(seed);
    for (int round = 0; round < 3 && !::testing::Test::HasFailure(); ++round) {
      storm.run(40);
      storm.expect_all_well();
    }
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace verbund::sync
