#pragma once
/// config/backup.toml: what a run saves, how, and where to. docs/operations/backup.md explains every key.
/// Values; file I/O in `load` only; any thread.
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "backup/keys.h"
#include "backup/level.h"
#include "backup/path_lists.h"
#include "backup/rotation/duty.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/os/config_file.h"

namespace verbund::backup {

/// A tree of an application: saved whole (but for `excluded`), restored only by `restored` (C11, path_lists.h).
struct FolderRule {
  std::string root;       ///< absolute
  PathLists lists;
  std::vector<std::string> mount_points;  ///< below it ("": itself): must be mounted
  bool optional = false;  ///< may be missing without making the set incomplete
};

struct Application {
  std::string name;
  std::vector<std::string> version_command;  ///< its first line of output is the program version
  std::filesystem::path version_file;        ///< or the first line of this file; neither: version ""
  std::vector<std::string> stop, start;      ///< argv, no shell; empty: nothing to stop
  std::vector<std::string> running;          ///< exit code 0: its services run; empty: they always do
  std::vector<std::string> check;            ///< a drill runs it beside the restored office; exit code 0: it works there
  seconds stop_limit{120}, start_limit{120}, check_limit{300};
  std::string user;                          ///< who runs the commands; empty: who runs the backup
  std::vector<FolderRule> folders;
};

/// A place outside the house that gets copies of the sets, through rclone (offsite/).
struct OffSite {
  std::string name;                          ///< for people, and of files; "bank"
  std::string remote;                        ///< section of rclone's configuration; never a connection string
  std::string directory;                     ///< on the remote; holds the sets
  std::filesystem::path rclone_config;       ///< mode 0600; empty: DIR/secrets/rclone.conf
  std::filesystem::path scratch;             ///< where sealed copies are made; empty: DIR/backup/offsite/sealed
  int keep = 3;                              ///< so many sets are to be there, read back
  std::uint64_t bytes_per_second = 0;        ///< sent at most; 0: no limit
};

enum class Encrypt {
  kNever,
  kLeaving,  ///< when the target lies below one of `leaving`
  kAlways,
};

/// Exchangeable media (backup/media).
struct MediaConfig {
  std::vector<std::filesystem::path> places;   ///< where they are mounted; empty: Config::target alone
  bool hot_swap = false;                       ///< disks that the kernel takes for built-in ones stand in a bay and are taken out
  std::filesystem::path tape;                  ///< device that does not rewind by itself; empty: none
};

/// Who starts the nights' runs and looks after them (night/).
enum class Scheduler {
  kNode,   ///< the running node
  kTimer,  ///< units of systemd, or whoever calls `backup night` and `backup check`
  kOff,    ///< nobody
};

struct Config {
  std::filesystem::path target;              ///< directory that holds the sets; empty: named on the command line
  bool target_is_mount = false;              ///< refuse a target on the installation's own file system (an unmounted medium)
  Level verify = Level::kRestored;           ///< how far each run goes
  bool source = true, mid_tier = true, versions = true;
  std::vector<std::string> other_databases;  ///< on the same server
  std::string superuser;                     ///< existing server: connection string that may read everything; empty: ours
  std::filesystem::path programs;            ///< directory of pg_dump; empty: found
  int zstd_level = 3, zstd_threads = 2;
  int keep = 7;                              ///< `prune` never leaves fewer complete, verified sets
  Encrypt encrypt = Encrypt::kNever;
  std::vector<std::filesystem::path> leaving;
  std::vector<Recipient> recipients;
  std::vector<Application> applications;
  PlanRules plan;                            ///< which medium when ([plan], [calendar])
  DutyRules duty;                            ///< as configured; duty_now adds what was given out by command
  Scheduler scheduler = Scheduler::kNode;
  MediaConfig media;
  std::vector<OffSite> off_sites;
};

/// Whether sets in `target` are to be encrypted.
bool encrypts(const Config& config, const std::filesystem::path& target);
/// Errors: kBadConfig "FILE:LINE: KEY = VALUE: …" with the range as hint; kNotFound.
Result<Config> read_config(os::ConfigFile& file);
/// DIR/config/backup.toml; a missing file gives the defaults: all databases, no application.
Result<Config> load_config(const std::filesystem::path& installation);
/// What `init` writes: every key with its default, in comments.
std::string default_config();

}  // namespace verbund::backup
