#pragma once
/// What a machine of a pair says of itself, and what of the two is unequal, scarce or old. Pure; any thread.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace verbund::mirror {

/// Of the volume that holds the databases.
struct Disk {
  std::uint64_t free_bytes = 0, total_bytes = 0;
  std::optional<seconds> lasts;      ///< as fast as it was filled in the last hours; absent: not known, or it does not fill
};

/// An extension that is installed in a database.
struct Extension {
  std::string database, name, version;
  std::string offered;               ///< the version that this machine's files would install; empty: there are no files of it
};

/// A collation that an index uses, or the database's own.
struct Collation {
  std::string database;
  std::string name;                  ///< empty: the database's own
  std::string recorded;              ///< with which version the indexes were built
  std::string actual;                ///< of this machine's C library or ICU
};

/// Of a PostgreSQL that answers.
struct ServerLook {
  std::string version;               ///< "15.14"
  std::map<std::string, std::string> settings;  ///< those that matter, and those that somebody has set
  std::vector<Extension> extensions;
  std::vector<Collation> collations;
};

/// Times by the clock of whoever reads it.
struct BackupLook {
  std::optional<WallTime> last_good;
  WallTime due{};                    ///< when the next run is, or was, due
};

struct MachineFacts {
  std::string name, program;         ///< program: version of verbund
  std::optional<Disk> disk;
  std::map<std::string, std::string> options;  ///< of the office's files in config/: "verbund.toml feed.slot"; texts as digests
  std::optional<ServerLook> server;
  std::optional<BackupLook> backup;  ///< absent: none is configured there, or no run is known there
  std::optional<milliseconds> clock_ahead;     ///< of the reader's clock
};

enum class FindingKind { kProgram, kPostgres, kSetting, kOption, kExtension, kCollation, kDisk, kBackup, kClock };
enum class Severity {
  kNotice,   ///< shown
  kWarning,  ///< an alarm
  kDanger,   ///< an alarm; nobody should switch over now
};
std::string_view to_string(FindingKind kind);
std::string_view to_string(Severity severity);

struct Finding {
  FindingKind kind = FindingKind::kProgram;
  Severity severity = Severity::kNotice;
  std::string name;                  ///< of the setting, the extension …; of a disk or a backup: "production", "mirror": whose
  std::string production, mirror;    ///< what stands there; empty: nothing, or it does not concern that machine
  std::string also = {};             ///< kCollation: the version recorded; kDisk: hours that it lasts; kBackup: hours overdue
  friend bool operator==(const Finding&, const Finding&) = default;
};
/// The same as long as the trouble lasts: "setting/work_mem".
std::string key_of(const Finding& finding);
Phrase text_of(const Finding& finding);
/// What to do.
Phrase hint_of(const Finding& finding);

/// Severest first. What one of the two has not said is not compared.
std::vector<Finding> compare(const MachineFacts* production, const MachineFacts* mirror, WallTime now);

/// Settings that PostgreSQL is asked for whether or not somebody has set them; each unequal one is a warning.
const std::vector<std::string>& settings_that_matter();
/// It differs from machine to machine for good reason.
bool setting_is_of_one_machine(std::string_view name);
bool option_is_of_one_machine(std::string_view name);

}  // namespace verbund::mirror
