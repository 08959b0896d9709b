#pragma once
/// What was erased, in two places: the versions database, and a file of the installation (DIR/history/erasures.jsonl), since the
/// database may be restored to a state before an erasure. Any thread; calls block.
#include <filesystem>
#include <string>
#include <vector>

#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::history {

struct Erasure {
  std::string id;              ///< UUID
  std::string record;          ///< "TYPE/ID"
  WallTime at;                 ///< versions committed up to then lose their contents
  std::string by, reason;
  std::uint64_t versions = 0;  ///< whose contents are gone
};

/// Where it lies in an installation.
std::filesystem::path erasures_file(const std::filesystem::path& installation);

/// A file that is not there is an empty list.
Result<std::vector<Erasure>> read_erasures(const std::filesystem::path& file);
Status append_erasure(const std::filesystem::path& file, const Erasure& erasure);
/// Of the database; oldest first.
Result<std::vector<Erasure>> entered_erasures(postgres::Connection& versions);
/// Brings into the file what stands in the database alone; to be called before the database is replaced. The whole list.
Result<std::vector<Erasure>> note_erasures(const std::filesystem::path& file, postgres::Connection& versions);

}  // namespace verbund::history
