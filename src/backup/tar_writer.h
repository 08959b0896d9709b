#pragma once
/// Writes a tree's members as POSIX tar (pax) that GNU tar restores exactly. One thread.
///
/// Names go out as they are: short ones in the ustar header, long ones and those in UTF-8 beyond ASCII in a pax record, so that tar
/// reads them back byte for byte in the C locale. Equal members give equal bytes: no own time, no process number.
#include <span>
#include <vector>

#include "backup/stream.h"
#include "backup/tree_member.h"

namespace verbund::backup {

class TarWriter {
 public:
  /// `sink` is borrowed; finishing it stays with the caller.
  explicit TarWriter(Sink& sink);

  /// Begins a member; then exactly member.stored() bytes follow, extent after extent. The member before is complete.
  Status begin(const TreeMember& member);
  /// Room for content, at least 64 KiB, or what is left of the member when that is less. Empty: the member is complete.
  Result<std::span<char>> room();
  /// The first `bytes` of the last room() are content.
  void fill(std::size_t bytes);
  /// NULs for what is left: the file came out shorter than it was.
  Status fill_with_nothing();
  /// The end marks. Nothing may follow.
  Status finish();

  [[nodiscard]] std::uint64_t left() const { return left_; }
  /// Bytes of archive so far.
  [[nodiscard]] std::uint64_t written() const { return written_ + used_; }

 private:
  Status put(std::string_view bytes);
  Status pad(std::uint64_t bytes);
  Status flush();

  Sink* sink_;
  std::vector<char> buffer_;
  std::size_t used_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t left_ = 0;     ///< content of the member that is open
  std::uint64_t padding_ = 0;  ///< behind it
};

}  // namespace verbund::backup
