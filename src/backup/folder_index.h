#pragma once
/// The list beside a tree's archive: a line of JSON per member, in the archive's order, then one that says how many there were.
///   {"path":"M1/Bin/a.exe","type":"file","size":12,"modified":"1700000000.000000001","sha256":"…"}
/// A path that is no UTF-8 stands as "path_hex". "to": what a hard or symbolic link names ("to_hex"). Sparse files have "stored"
/// and the hash of what is stored ("stored_sha256"). "changed":true: the file changed while it was read; no hash. One thread.
#include <memory>
#include <optional>

#include "backup/stream.h"
#include "backup/tree_member.h"

namespace verbund::backup {

struct IndexLine {
  std::string path;
  MemberType type = MemberType::kFile;
  std::uint64_t size = 0, stored = 0;
  Timestamp modified;
  std::string link;
  std::string sha256;  ///< hex, of the content as stored; empty: no file, or changed
  bool sparse = false, changed = false;
};
IndexLine index_line(const TreeMember& member);

/// Without newline.
std::string to_text(const IndexLine& line);
/// Errors: kDamaged.
Result<IndexLine> parse_index_line(std::string_view text);

class IndexWriter {
 public:
  /// `sink` is borrowed; nullptr: nothing is written.
  explicit IndexWriter(Sink* sink) : sink_(sink) {}
  Status add(const IndexLine& line);
  /// The last line. The sink is finished by its owner.
  Status finish();

 private:
  Status flush();
  Sink* sink_;
  std::string buffer_;
  std::uint64_t lines_ = 0;
};

class IndexReader {
 public:
  explicit IndexReader(Source& source);
  /// Nothing: the end, and as many lines as the last one says. Errors: kDamaged (names the line).
  Result<std::optional<IndexLine>> next();

 private:
  Result<std::optional<std::string_view>> line();
  Source* source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t lines_ = 0;
};

}  // namespace verbund::backup
