#pragma once
/// A drill (C10, L5): the office from a set alone, on another system: made, started, looked at, removed. Blocking; one thread.
#include <atomic>

#include "backup/drill/record.h"
#include "node/from_set.h"

namespace verbund::node {

struct DrillOptions {
  std::filesystem::path scratch;           ///< must not exist, or be empty; the caller removes it
  backup::PublicKey signer;
  const backup::RecipientKey* key = nullptr;
  std::filesystem::path program;           ///< ours: the node is started as in everyday life
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const Phrase&)> on_step;
  /// How the node that runs there says it is: the JSON of `verbund status`.
  std::function<Result<std::string>(std::uint16_t port)> status;
  /// A person looks at it, as long as this call lasts; may be empty.
  std::function<void(std::uint16_t port)> look;
};

/// Whether this machine is the one that made the set: its host name, or an installation of `directories` of the same name.
bool same_system(const backup::Manifest& manifest, const std::vector<std::filesystem::path>& directories);

/// What was found, not yet signed off; checks that failed are in it. Errors: whatever keeps it from being begun: kAlreadyExists,
/// kDamaged, kDiskFull, kUnsupported (an office on somebody else's server), kCancelled.
Result<backup::DrillRecord> run_drill(const backup::SetReader& set, const DrillOptions& options, backup::Progress& progress, const Clock& clock, Log& log);

/// An installation of a drill: it sends no mail, makes no backup, asks nobody.
bool is_drill(const std::filesystem::path& directory);

}  // namespace verbund::node
