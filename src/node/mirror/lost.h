#pragma once
/// What a production that was overtaken wrote beyond the point from which the other machine went on: listed into a file before it is given up.
#include <filesystem>

#include "base/result.h"
#include "base/time.h"
#include "mirror/pair.h"
#include "platform/postgres/owned_server.h"

namespace verbund::node {

/// A transaction beyond the fork.
struct LostTransaction {
  std::uint64_t number = 0;   ///< PostgreSQL's, 32 bits
  Lsn committed;
  std::string time;           ///< of the commit, as PostgreSQL's log says it
};
/// Rows of committed transactions in one relation, as its records say; PostgreSQL's own relations are among them.
struct LostRows {
  std::string relation;       ///< "tablespace/database/filenode"
  std::uint64_t inserted = 0, updated = 0, deleted = 0;
  friend bool operator==(const LostRows&, const LostRows&) = default;
};
struct Lost {
  std::uint32_t timeline = 0; ///< of ours
  Lsn fork, end;              ///< [fork, end) is given up
  std::vector<LostTransaction> transactions;
  std::vector<std::string> relations;  ///< "database/filenode" of what was touched, indexes among them; at most kMostRelations
  std::vector<LostRows> rows;          ///< the most touched first; at most kMostRelations
};
inline constexpr std::size_t kMostRelations = 1000;

/// Of pg_waldump's lines. Pure.
Lost lost_in(std::string_view waldump);
/// Where `timeline` was left, by a history file of PostgreSQL ("1\t0/3000060\treason"). Errors: kNotFound (it is no part of that history).
Result<Lsn> fork_of(std::string_view history, std::uint32_t timeline);

/// DIR/mirror/lost-TERM.json. A list of the same term that is there already stays as it is: what an interrupted rejoin has left can't be
/// listed a second time. `source`: the new production. Nothing lost: a file that says so. Errors: kProgramFailed (the log can't be read),
/// kTooLarge (more than can be listed), kDamaged (only a part of the log can be read; no common history), those of PostgreSQL, kIo.
Status list_lost(const std::filesystem::path& directory, const postgres::OwnedServer& server, const postgres::ConnectionSettings& source,
                 const mirror::PairRecord& record, WallTime now);
/// In its place when it can't be listed: the file says why; the old data must then be kept. Never in the place of a list.
Status note_unlisted(const std::filesystem::path& directory, const mirror::PairRecord& record, const Error& why, WallTime now);

}  // namespace verbund::node
