#pragma once
/// Reads a tree's archive, member by member: what tar_writer.h writes, and what GNU tar writes in its posix format. One thread.
///
/// Whatever the bytes are, the members have paths that stay below the root: relative, no "..", no empty part; the same holds for
/// what a hard link names. (What a symbolic link says is only text here.) Limits keep memory bounded.
#include <map>
#include <vector>

#include "backup/stream.h"
#include "backup/tar_format.h"
#include "backup/tree_member.h"

namespace verbund::backup {

inline constexpr std::size_t kMaxTarRecordBytes = 4 * 1024 * 1024;  ///< of one member's pax records
inline constexpr std::size_t kMaxMemberPathBytes = 256 * 1024;

class TarReader {
 public:
  /// `source` is borrowed.
  explicit TarReader(Source& source);

  /// The next member; what is left of the content of the one before is skipped. False: the archive has ended, complete.
  /// Errors: kDamaged (says where and what), those of the source.
  Result<bool> next(TreeMember& member);

  struct Piece {
    std::uint64_t offset = 0;  ///< in the file
    std::string_view bytes;    ///< until the next call; empty: the content has ended
  };
  Result<Piece> content();

  /// Bytes of archive so far.
  [[nodiscard]] std::uint64_t position() const { return position_; }

 private:
  using Records = std::map<std::string, std::string, std::less<>>;

  Result<bool> fill();
  Status take_block(tar::Block& block);
  Result<std::string> take_text(std::uint64_t bytes);
  Status skip(std::uint64_t bytes);
  Status end();
  Result<bool> take_header(TreeMember& member);
  Status read_extension(char type, std::uint64_t bytes, Records& records);
  Status read_records(std::string_view text, Records& records) const;
  Status read_member(const tar::Block& block, const Records& records, TreeMember& member);
  Status read_sparse_map(TreeMember& member);
  Result<std::uint64_t> take_map_number(std::uint64_t& map_bytes);
  [[nodiscard]] std::unexpected<Error> damaged(Phrase what) const;

  Source* source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t left_ = 0;     ///< content bytes of this member still in the archive
  std::uint64_t padding_ = 0;
  std::vector<Extent> extents_;
  std::size_t extent_ = 0;
  std::uint64_t in_extent_ = 0;
};

/// Whether a member may have this path (empty: the root).
bool is_member_path(std::string_view path);

}  // namespace verbund::backup
