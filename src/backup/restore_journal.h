#pragma once
/// What a restore of folders has planned and begun, one line each, on disk before the step. One thread. For this folder's units only.
///
///   verbund-restore 1 ID BASE             a restore begins; all names have their special bytes as %XX; '-' is no name
///   place N FOLDER NAME OLD ORIGINAL DEV INODE   N goes to FOLDER/NAME; OLD there (device, inode) becomes ORIGINAL
///   staged N DEV INODE                    N is unpacked in FOLDER/.verbund-restore-ID/N
///   ready · aside N · in N · done · back · ended
#include <optional>
#include <vector>

#include "backup/folder_restore.h"
#include "platform/os/file.h"

namespace verbund::backup {

struct Identity {
  std::uint64_t device = 0, inode = 0;
  bool operator==(const Identity&) const = default;
};

/// Something that is moved in by one rename.
struct Placement {
  std::string folder;    ///< that it goes to, below the base; empty: the base itself
  std::string name;      ///< in it
  std::string old_name;  ///< what is there; empty: nothing. Not always `name`: letter case
  std::string original;  ///< what that becomes
  Identity old, fresh;   ///< fresh: once it is staged
};

struct RestoreRecord {
  std::string id;
  std::string base;                   ///< absolute
  std::vector<Placement> placements;
  bool ready = false, done = false, back = false, ended = false;
};
RestoreState state_of(const std::optional<RestoreRecord>& record);

/// Of the last restore in it; nothing: no journal. Errors: kBadJournal, kIo.
Result<std::optional<RestoreRecord>> read_restore_journal(const std::filesystem::path& path);

class RestoreJournal {
 public:
  static Result<RestoreJournal> open(const std::filesystem::path& path);
  Status begin(const RestoreRecord& record);
  Status staged(std::size_t number, const Identity& identity);
  Status step(std::string_view word, std::optional<std::size_t> number = {});

 private:
  explicit RestoreJournal(os::AppendFile file) : file_(std::move(file)) {}
  os::AppendFile file_;
};

/// "NAME" as it stands in a line.
std::string journal_name(std::string_view name);
std::optional<std::string> from_journal_name(std::string_view text);

}  // namespace verbund::backup
