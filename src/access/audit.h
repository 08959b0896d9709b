#pragma once
/// The audit trail: append-only (by rights: the node's role may INSERT and SELECT only, owner is the superuser's role),
/// who did what to what, when. No record contents. Table access.audit in the mid-tier database.
/// Threads: any; calls block.
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::access {

struct AuditEntry {
  std::uint64_t number = 0;
  WallTime at;
  std::string actor;   ///< user, or "node" / "agent"
  std::string action;  ///< dotted: "user.add", "lock.break"
  std::string object;
  std::string detail;
};

Status record_audit(postgres::Pool& pool, const Clock& clock, const AuditEntry& entry);
/// Newest first, at most `limit` (≤ 10,000), optionally only one actor or action prefix.
Result<std::vector<AuditEntry>> list_audit(postgres::Pool& pool, const Clock& clock, std::size_t limit,
                                           const std::string& actor, const std::string& action_prefix);

}  // namespace verbund::access
