#pragma once
/// Work locks of an import: a session of its own at the node, named "import", which others see as the holder.
#include <memory>
#include <unordered_map>

#include "cli/command.h"
#include "importer/record_locks.h"

namespace verbund::cli {

/// Reaches for the node at the first record that needs a lock. Threads: one.
class ImportLocks final : public importer::RecordLocks {
 public:
  explicit ImportLocks(const Globals& globals) : globals_(globals) {}

  Result<std::vector<FencingToken>> take(std::span<const RecordKey> keys) override;
  void release() override;
  std::string holder(const RecordKey& key) override;

 private:
  Status connect();

  const Globals& globals_;
  std::unique_ptr<Client> client_;
  std::vector<std::string> taken_;
  std::unordered_map<std::string, std::string> holders_;  ///< asked for since the last release
};

}  // namespace verbund::cli
