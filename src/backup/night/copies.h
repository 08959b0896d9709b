#pragma once
/// Sets on their way out of the house after a night: what has still to be copied stands in DIR/backup/offsite/NAME.open until it has
/// been read back, so that a copy that was cut, or killed, is taken up again. Blocking; one thread; several processes may use one directory.
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/offsite/offsite.h"

namespace verbund::backup {

struct OpenCopy {
  std::string site, set;                 ///< name of the place; id
  std::filesystem::path path;            ///< where the set lies
  WallTime since{};                      ///< since when nothing has got out to this place; a newer set takes it over
  std::string error;                     ///< of the last attempt, in English; empty: none has ended yet
};
/// Of the places that are configured. What can't be read is no open copy. Errors: kIo.
Result<std::vector<OpenCopy>> open_copies(const Office& office);

struct CopyOut {
  std::string site, set;
  std::optional<CopyReport> report;      ///< it is there, and read back
  std::optional<Error> error;            ///< kInUse: somebody else copies to this place just now
};
/// Copies `set` (empty: none) to every configured place, and takes up what is still open. What fails is in the result and stays open; a
/// newer set takes an older one's place. A complete set that was read back is entered into the ledger.
std::vector<CopyOut> copy_out(const Office& office, const std::filesystem::path& set, Progress& progress, const Clock& clock,
                              const std::function<void(const Phrase&)>& on_step);

}  // namespace verbund::backup
