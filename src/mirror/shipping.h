#pragma once
/// Log files that are kept for a mirror that does not stream: DIR/postgres/archive, one "NAME.zst" each, whole or not there.
/// Stock formats: `zstd -d` gives what pg_wal held. One thread; `list` and `slice` from any.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace verbund::mirror {

struct KeptSegment {
  std::string name;
  std::uint64_t bytes = 0;  ///< packed
  friend bool operator==(const KeptSegment&, const KeptSegment&) = default;
};

class LogArchive {
 public:
  LogArchive(std::filesystem::path log, std::filesystem::path archive, std::uint64_t max_bytes)
      : log_(std::move(log)), archive_(std::move(archive)), max_bytes_(max_bytes) {}

  /// Oldest first; the newest run without a gap, of one timeline. Errors: kIo.
  [[nodiscard]] Result<std::vector<KeptSegment>> list() const;
  /// Packs the file of the server's log, which must not be written any more. Nothing goes for it: a mirror needs the oldest first. Errors: kDamaged
  /// (it was written over meanwhile), kNotFound (the server has removed it), kDiskFull (the bound; the server's own room), kIo.
  Status keep(const std::string& name);
  /// Those before it go, and what is no file of ours. Errors: kIo.
  Status drop_before(const std::string& name);
  /// At most `max` bytes of the packed file from `offset` on. Errors: kNotFound, kIo, kBadMessage (no such name or offset).
  [[nodiscard]] Result<std::string> slice(const std::string& name, std::uint64_t offset, std::size_t max) const;

 private:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return archive_ / (name + ".zst"); }
  [[nodiscard]] Status refuse_full(std::uint64_t bytes) const;

  const std::filesystem::path log_, archive_;
  const std::uint64_t max_bytes_;
};

/// What `keep` has packed. Errors: kDamaged.
Result<std::string> unpack_segment(std::string_view packed, const std::string& name);

}  // namespace verbund::mirror
