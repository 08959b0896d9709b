#include "backup/office.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/messages.h"
#include "backup/services.h"
#include "platform/os/file.h"
#include "platform/os/new_file.h"
#include "platform/os/random.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDrillSecret = "secrets/drill";
constexpr std::size_t kDrillSecretBytes = 32;

fs::path below(const fs::path& directory, const char* name) { return directory / "backup" / name; }

std::string first_line(std::string text) { return text.substr(0, text.find_first_of("\r\n")); }

/// The key stands in the last line that is no comment (minisign's public key files have one before it).
Result<PublicKey> read_public_key(const fs::path& path) {
  auto text = os::read_file(path, 4096);
  if (!text) return pass(text);
  auto key = PublicKey::parse(*text);
  if (!key) return pass(key, phrase("read {}", path.string()));
  return key;
}

}  // namespace

Result<std::string> installation_id(const fs::path& directory) {
  const auto file = below(directory, "installation");
  auto text = os::read_file(file, 1000);
  if (text) return first_line(std::move(*text));
  if (text.error().code != ErrorCode::kNotFound) return pass(text);
  if (auto made = os::make_directories(file.parent_path(), 0700); !made) return pass(made);
  // Whoever is first: a run, a round and the node may look for the first time in the same moment.
  const auto id = os::random_hex(8);
  auto written = os::write_new_file(file, id + "\n");
  if (written) return id;
  if (written.error().code != ErrorCode::kAlreadyExists) return pass(written);
  auto others = os::read_file(file, 1000);
  if (!others) return pass(others);
  return first_line(std::move(*others));
}

Result<SigningKey> signing_key(const fs::path& directory) {
  const auto file = below(directory, "signing.key");
  auto loaded = SigningKey::load(file);
  if (loaded || loaded.error().code != ErrorCode::kNotFound) return loaded;
  if (auto made = os::make_directories(file.parent_path(), 0700); !made) return pass(made);
  // Whoever is first. Two threads of a node that had none each made one: the public key beside it was the other one's (CI, test_mirror_nights).
  const auto beside = below(directory, fmt::format(".signing.{}", os::random_hex(8)).c_str());
  if (auto saved = SigningKey::generate().save(beside); !saved) return pass(saved, "make the installation's signing key");
  auto text = os::read_file(beside, 4096);
  std::error_code ignored;
  fs::remove(beside, ignored);
  if (!text) return pass(text);
  auto made = os::write_new_file(file, *text, 0600);
  if (!made && made.error().code != ErrorCode::kAlreadyExists) return pass(made, "make the installation's signing key");
  auto key = SigningKey::load(file);
  if (!key) return key;
  // Never over one that is there: the installation may have taken another one's key meanwhile (node/mirror/pair_nights).
  auto written = os::write_new_file(below(directory, "signing.pub"), key->public_key().text());
  if (!written && written.error().code != ErrorCode::kAlreadyExists) return pass(written);
  return key;
}

Result<std::string> restored_drill_secret(const fs::path& installation) {
  auto text = os::read_file(installation / kDrillSecret, 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, phrase("the set has no secret for drills: it was made by an earlier version"), phrase("Make a new set, and the drill with that one."));
  }
  if (text && text->size() < kDrillSecretBytes) return fail(ErrorCode::kDamaged, phrase("{}: too short", (installation / kDrillSecret).native()));
  return text;
}

Result<std::string> drill_secret(const fs::path& installation) {
  auto there = restored_drill_secret(installation);
  if (there || there.error().code != ErrorCode::kNotFound) return there;
  auto secret = os::random_hex(kDrillSecretBytes);
  if (auto made = os::make_directories(installation / "secrets", 0700); !made) return pass(made);
  if (auto written = os::write_file_atomically(installation / kDrillSecret, secret, 0600); !written) return pass(written);
  return secret;
}

Result<std::vector<PublicKey>> trusted_keys(const fs::path& directory) {
  std::vector<PublicKey> keys;
  auto own = signing_key(directory);
  if (!own) return pass(own);
  keys.push_back(own->public_key());
  std::error_code error;
  for (fs::directory_iterator entry(below(directory, "trusted"), error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() != ".pub") continue;
    auto key = read_public_key(entry->path());
    if (!key) return pass(key);
    keys.push_back(*key);
  }
  if (error && error != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("read {}: {}", below(directory, "trusted").string(), error.message()));
  return keys;
}

Result<os::FileLock> lock_runs(const fs::path& directory, std::string_view what, const Clock& clock) {
  const auto file = below(directory, "run.lock");
  if (auto made = os::make_directories(file.parent_path(), 0700); !made) return pass(made);
  return os::FileLock::acquire(file, fmt::format("verbund backup {} since {}, pid {}", what, to_iso8601(std::chrono::floor<seconds>(clock.wall())), getpid()));
}

Result<fs::path> check_target(const Office& office, const fs::path& given) {
  const auto target = given.empty() ? office.config.target : fs::absolute(given).lexically_normal();
  if (target.empty()) {
    return fail(ErrorCode::kUsage, phrase("backup: no target is configured"), phrase("config/backup.toml, [backup] target, or --target DIR"));
  }
  struct stat there{}, here{};
  if (::stat(target.c_str(), &there) != 0 || !S_ISDIR(there.st_mode)) {
    return fail(ErrorCode::kMediumGone, phrase("backup: the target {} is not there", target.string()), phrase("Put the medium in, or mount it; the directory has to exist."));
  }
  if (office.config.target_is_mount && ::stat(office.directory.c_str(), &here) == 0 && here.st_dev == there.st_dev) {
    return fail(ErrorCode::kMediumGone, phrase("backup: the target {} lies on the installation's own disk: the medium is not mounted", target.string()),
                phrase("Mount it; or set target_is_mount = false in config/backup.toml if that is meant."));
  }
  return target;
}

std::vector<Application> applications_of(const Office& office) {
  auto all = office.config.applications;
  Application own;
  own.name = kOwnApplication;
  FolderRule rule;
  rule.root = office.directory.string();
  // Not the database's files: they are dumped. Not the backup's own journal: it is of this machine.
  for (const char* path : {"config", "secrets", "tls", "history", "agent/epoch", "client.toml", "pgpass", "administrator.txt", "adoption.json",
                           "backup/installation", "backup/trusted"}) {
    const std::string_view name = path;
    const bool always = name == "config" || name == "secrets";
    rule.lists.saved.push_back({path, !always, ""});
    rule.lists.restored.push_back({path, !always, ""});
  }
  own.folders.push_back(std::move(rule));
  all.push_back(std::move(own));
  return all;
}

}  // namespace verbund::backup
