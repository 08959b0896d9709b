#pragma once
/// An installation from a backup set alone, on a machine that has none. Blocking; one thread.
#include "backup/set.h"
#include "base/log.h"
#include "node/installation.h"

namespace verbund::node {

struct FromSet {
  std::filesystem::path directory;         ///< of the new installation; must hold none
  backup::PublicKey signer;                ///< whose set it is; believed from then on
  const backup::RecipientKey* key = nullptr;
  Term above;                              ///< of earlier restores that the medium knows of
  std::function<void(const Phrase&)> on_step;
  std::function<Status(Term)> on_term;     ///< before the installation counts as whole
  /// Anything but a server of its own is refused (kUnsupported): a drill must not touch the server that the office works on.
  bool only_own_server = false;
};

/// Configuration, secrets and certificates, an empty server, roles, databases; the feed begins anew with a higher term. The set is
/// verified (L2) before. What was interrupted says so in the directory, and is gone on with by the same call. Returns the term.
/// Errors: kAlreadyExists, kForbidden (the directory is not empty; it is being made from another set), kNotFound (the set has no installation in it), kDamaged, kDiskFull, those of the server.
Result<Term> install_from_set(const backup::SetReader& set, const FromSet& options, backup::Progress& progress, const Clock& clock, Log& log);

/// A directory that `install_from_set` has begun and not ended. Errors: kIncomplete.
Status refuse_half_installed(const std::filesystem::path& directory);

}  // namespace verbund::node
