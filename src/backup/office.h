#pragma once
/// A run of the whole office: services stopped, one barrier, databases and folders into one set, services started, set published
/// and proven. Decisions: run_engine.h. Blocking; databases are dumped on a thread of their own meanwhile.
#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "backup/barrier.h"
#include "backup/config.h"
#include "backup/database.h"
#include "backup/run_engine.h"
#include "backup/set.h"
#include "base/log.h"
#include "platform/os/file.h"

namespace verbund::backup {

/// What an installation is to its backup; made by node.
struct Office {
  std::filesystem::path directory;           ///< of the installation
  std::string host, program_version;
  std::string role = "production";
  Config config;
  std::vector<OfficeDatabase> databases;     ///< of who may read all of them
  postgres::ConnectionSettings superuser;    ///< of the server they are on; for roles
};

struct RunOptions {
  std::filesystem::path target;              ///< empty: the configuration's
  std::optional<Level> verify;               ///< absent: the configuration's; kNone: not at all
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const Phrase&)> on_step;  ///< for people: what is being done now; from the caller's thread
  std::function<void(const Phrase&)> on_note;  ///< the same, of something beside: the step goes on
};

/// What a run would do, or has done.
struct RunReport {
  Verdict verdict;
  struct Phase {
    Phrase what;
    WallTime begun{};
    milliseconds took{0};
  };
  std::vector<Phase> phases;                 ///< in order; both copies are one
  WallTime begun{};
  Level wanted = Level::kNone;
  std::string id;                            ///< of the set
  std::filesystem::path set;                 ///< where it lies; empty: there is none
  Manifest manifest;
  std::uint64_t stored_bytes = 0;
  milliseconds took{0}, verified_in{0}, services_down{0};
};
Result<RunReport> run_office(const Office& office, const RunOptions& options, FeedGate& gate, Progress& progress, const Clock& clock, Log& log);

/// --dry-run: nothing is stopped, written or locked.
struct RunPreview {
  std::filesystem::path target;
  std::uint64_t free_bytes = 0;
  struct Database {
    std::string name;
    std::uint64_t bytes = 0;                 ///< on the server; the set takes less
  };
  std::vector<Database> databases;
  struct Folder {
    std::string application, version, root;
    bool there = false;
    std::uint64_t files = 0, bytes = 0;
  };
  std::vector<Folder> folders;
  std::vector<std::string> stops;            ///< names of applications, in order
  std::vector<Phrase> problems;              ///< why the set would not be complete
  Level verify = Level::kNone;
  bool encrypted = false;
};
Result<RunPreview> preview_run(const Office& office, const RunOptions& options, const Clock& clock);

/// The installation's name in sets, made at the first call and kept in DIR/backup/installation. Errors: kIo.
Result<std::string> installation_id(const std::filesystem::path& directory);
/// The installation's signing key, made at the first call; its public half is written beside it.
Result<SigningKey> signing_key(const std::filesystem::path& directory);
/// The own public key and those of DIR/backup/trusted/*.pub.
Result<std::vector<PublicKey>> trusted_keys(const std::filesystem::path& directory);

/// What proves to the office that a drill has restored one of its sets (drill/record.h): DIR/secrets/drill, made at the first call, which
/// is before the first set; it is in every set. Errors: kIo.
Result<std::string> drill_secret(const std::filesystem::path& directory);
/// That of a restored set; nothing is made. Errors: kNotFound (a set of an earlier version has none).
Result<std::string> restored_drill_secret(const std::filesystem::path& directory);

/// Who runs now, and since when, stands in it. Errors: kInUse (names both).
Result<os::FileLock> lock_runs(const std::filesystem::path& directory, std::string_view what, const Clock& clock);

/// The target as it is used: exists, is a directory, and on a file system of its own when that is asked for. Errors: kMediumGone, kUsage.
Result<std::filesystem::path> check_target(const Office& office, const std::filesystem::path& given);

/// The applications, and the installation itself as the last one ("verbund": configuration, secrets, certificates, erasures).
std::vector<Application> applications_of(const Office& office);
inline constexpr const char* kOwnApplication = "verbund";

}  // namespace verbund::backup
