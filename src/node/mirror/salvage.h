#pragma once
/// The log of a production that is gone, from its own disk: what the mirror has not received is laid ready for its PostgreSQL (DIR/postgres/incoming), file by file, before a promotion.
/// Format: PostgreSQL 15's access/xlog_internal.h, XLogLongPageHeaderData. Blocking; one thread.
#include <filesystem>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/ids.h"
#include "base/result.h"

namespace verbund::node {

/// Which log is wanted: that of the mirror.
struct WantedLog {
  std::uint64_t system = 0;      ///< pg_control_system()
  std::uint32_t timeline = 0;
  Lsn from;                      ///< the mirror has everything before
};
struct OldLog {
  std::filesystem::path directory;
  std::vector<std::string> files;  ///< without a gap, from that of WantedLog::from on
  Lsn last_record;               ///< where the last whole record begins; a mirror that has replayed beyond has everything
};
/// `from`: a data directory, or its pg_wal. Errors: kNotFound (no log there; the file that is needed is not), kForbidden (another database's), kIo, kProgramFailed (pg_waldump's words).
Result<OldLog> look_at_old_log(const std::filesystem::path& from, const WantedLog& wanted, const Clock& clock);
/// Copies them to where the mirror's PostgreSQL looks; what lies there already stays. Errors: kIo, kDiskFull, kDamaged (a file that is not as long as it should be).
Status lay_ready(const OldLog& log, const std::filesystem::path& server);

}  // namespace verbund::node
