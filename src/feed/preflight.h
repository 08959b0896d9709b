#pragma once
/// Is a server ready to be captured? Looks only, changes nothing, and names everything that is missing at once.
/// One thread; blocks on the connection.
#include <string>
#include <utility>
#include <vector>

#include "base/messages.h"
#include "feed/feed.h"
#include "platform/postgres/connection.h"

namespace verbund::feed {

struct PreflightQuestion {
  std::string slot = "verbund_feed";
  std::string publication = "verbund";
  std::vector<TrackedTable> tables;
  std::vector<std::string> databases;  ///< that are to stand on the same server
  bool adopted = false;                ///< slot, publication and databases that exist are this installation's
};

enum class Severity { kMissing, kAdvice };
/// From when on a statement counts.
enum class TakesEffect { kAtOnce, kReload, kRestart };

struct Finding {
  Severity severity = Severity::kMissing;
  std::string name;       ///< stable, for programs: "wal_level", "table_owner"
  Phrase what;
  std::string statement;  ///< SQL that mends it; empty: `what` says what to do
  TakesEffect takes_effect = TakesEffect::kAtOnce;
};

struct Preflight {
  std::string database, role, server_version;
  std::vector<Finding> findings;                              ///< in the order in which they are mended
  std::vector<std::string> captured;                          ///< "patient", "labor.probe"
  std::vector<std::pair<std::string, std::string>> excluded;  ///< table → why it is not captured
  std::vector<std::string> new_databases;
  bool slot_exists = false, publication_exists = false;
  std::string new_event_trigger;  ///< that will be created in the source database; empty: none

  /// Nothing is missing; advice doesn't count.
  [[nodiscard]] bool ready() const;
};

/// Errors: those of the connection; kBadConfig when `tables` don't fit the catalog.
Result<Preflight> preflight(postgres::Connection& source, const PreflightQuestion& question);

}  // namespace verbund::feed
