#pragma once
/// The office's databases and folders, exchanged together. While a restore in place prepares, everything lies beside; once
/// all is there, DIR/backup/restoring.json says so (synced, 0600), and names change. Stopped before that, it is taken back; stopped
/// after it, it is brought to its end, without the medium: never a part of the old office with a part of the new one.
/// Blocking; one thread; the run's lock is held throughout.
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/swap.h"

namespace verbund::backup {

/// What a restore in place has under way.
struct OfficeSwap {
  std::string set, installation;         ///< of the manifest
  std::uint64_t sequence = 0;
  std::filesystem::path medium;          ///< directory of the sets
  bool exchanging = false;               ///< false: prepares; of a database only the two names are known then
  bool keep_old = true;
  std::vector<Swap> databases;

  [[nodiscard]] std::string to_json() const;
  static Result<OfficeSwap> parse(std::string_view text);
};

/// Journals of folders: DIR/backup/restore-folder-N.
std::filesystem::path folder_journal(const std::filesystem::path& installation, std::size_t number);

/// On disk before it returns. Errors: kIo, kDiskFull.
Status write_office_swap(const std::filesystem::path& installation, const OfficeSwap& swap);
/// Errors: kDamaged, kIo.
Result<std::optional<OfficeSwap>> read_office_swap(const std::filesystem::path& installation);

/// Removes what lies beside, then the journal. `superuser` is used when there are databases. Errors: those of the server, kIo.
Status take_back(const std::filesystem::path& installation, const postgres::ConnectionSettings& superuser, const OfficeSwap& swap);

struct OfficeSwapHooks {
  /// Databases have been exchanged: csns and tokens of before must not be given again. Called again when it was stopped since.
  std::function<Status(const OfficeSwap&)> after_databases;
  std::function<void(const Phrase&)> on_step;
};
/// From wherever it stands to the end; then the journal goes. Can be repeated. `changed`: a name of the old office has been changed, now
/// or before. Errors: kInUse, kAlreadyExists (something stands in a folder's place), those of the server and of the hook, kIo.
Status bring_to_end(const std::filesystem::path& installation, const postgres::ConnectionSettings& superuser, const OfficeSwap& swap,
                    const OfficeSwapHooks& hooks, bool& changed);

/// Whether a restore was interrupted: one in place, or one of folders alone. Errors: kDamaged, kIo.
struct Unfinished {
  bool folders = false;
  std::optional<OfficeSwap> office;
};
Result<Unfinished> unfinished_restore(const std::filesystem::path& installation);
/// Ends it in the new state or the old one, and says which. Errors: as above; it can be repeated.
Result<std::vector<Phrase>> settle_restore(const std::filesystem::path& installation, const postgres::ConnectionSettings& superuser, const OfficeSwapHooks& hooks);

}  // namespace verbund::backup
