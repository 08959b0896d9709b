#pragma once
/// What a machine of a pair can say of itself (mirror/drift.h), by looking at its disk, its files and its PostgreSQL.
///
/// Threads: one. Blocks: PostgreSQL is waited for at most 3 s per statement. Nothing is written.
#include <string>

#include "mirror/disk_trend.h"
#include "mirror/drift.h"
#include "node/installation.h"

namespace verbund::node {

class MachineLook {
 public:
  /// All borrowed.
  MachineLook(const Installation& installation, const Clock& clock, Log& log) : installation_(installation), clock_(clock), log_(log) {}
  /// What can't be read now is absent; why is logged once.
  mirror::MachineFacts look();

 private:
  void note(std::string& before, const Error* now, std::string_view what);
  const Installation& installation_;
  const Clock& clock_;
  Log& log_;
  mirror::DiskTrend trend_;
  std::string server_error_, backup_error_, options_error_;
  std::optional<mirror::BackupLook> backup_;
  std::optional<TimePoint> backup_seen_;
  std::filesystem::file_time_type ledger_seen_;
};

/// Of all its databases. Errors: those of PostgreSQL, kTimedOut.
Result<mirror::ServerLook> look_at_server(const Installation& installation, Deadline deadline, const Clock& clock);
/// The office's files in config/: numbers and yes or no as they stand, texts as digests (they may hold what nobody else should read).
Result<std::map<std::string, std::string>> look_at_options(const std::filesystem::path& directory);

}  // namespace verbund::node
