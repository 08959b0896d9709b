#pragma once
/// What may leave the house (C13): a set that is sealed for its recipients, or a sealed copy of one that is not. The copy is a set of its
/// own, with its own sums and signature: sha256sum, minisign and age check and open it. It takes the set's size on a disk of the house
/// (docs/adr/0020). Blocking; one thread.
#include <functional>

#include "backup/office.h"

namespace verbund::backup {

/// Opens the set; seals it into `scratch` when it is not sealed, or finds the sealed copy that a cut task has left there.
/// Errors: kBadConfig (nobody is configured who could open it), kDamaged, kDiskFull (with what is needed), kInUse, kCancelled.
Result<SetReader> sealed_set(const Office& office, const std::filesystem::path& set, const std::filesystem::path& scratch, Progress& progress,
                             const std::function<void(const Phrase&)>& on_step);

}  // namespace verbund::backup
