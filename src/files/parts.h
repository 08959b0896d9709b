#pragma once
/// Files on their way: each lies under a name of its own until it is whole, is held against its hash (BLAKE2b-256), and then takes its place at once.
/// One thread per name; blocks. Errors: kIo, kDiskFull, and what is said below.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/time.h"
#include "files/tree.h"

namespace verbund::files {

/// What a file is to be.
struct Whole {
  std::string path;              ///< below its root, with '/'
  std::uint64_t bytes = 0;
  std::string hash;              ///< BLAKE2b-256, hex
  std::int64_t modified_ms = 0;  ///< Unix epoch
  unsigned mode = 0600;
};

class Parts {
 public:
  /// `directory`: made with the first part; on the file system of the roots that parts are put below.
  explicit Parts(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// Bytes that are there; 0: none, or there is no such part.
  [[nodiscard]] std::uint64_t begun(const std::string& name) const;
  /// From `offset` on, over what is there. Errors: kBadMessage (there would be a gap).
  Status write(const std::string& name, std::uint64_t offset, std::string_view bytes);
  /// The part is a copy of this file, as far as it gets. Errors: those of read_piece.
  Status copy(const std::string& name, const std::filesystem::path& root, const Entry& file);

  enum class Taken {
    kReplaced,  ///< what was at its place goes
    kBeside     ///< what was there stays; the new one is called "name (2).ext" and so on, unless it is the same
  };
  /// Puts the part at its place, and makes the folders it lies in. Returns its path. Errors: kDamaged (another length or hash; the part is gone), kNotFound (no such root),
  /// kAlreadyExists (kBeside: too many of that name; kReplaced: a folder is called so).
  Result<std::string> put(const std::string& name, const std::filesystem::path& root, const Whole& whole, Taken taken);
  /// Of which nothing has come for so long.
  Status forget_old(std::chrono::days days, const Clock& clock);
  Status forget(const std::string& name);

 private:
  [[nodiscard]] std::filesystem::path place(const std::string& name) const { return directory_ / name; }
  Status check(const std::string& name, const Whole& whole);

  std::filesystem::path directory_;
};

}  // namespace verbund::files
