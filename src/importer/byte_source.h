#pragma once
/// The bytes of a file, plain or gzip, in bounded pieces.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "importer/input.h"

struct gzFile_s;

namespace verbund::importer {

/// Plain or gzip, told by the first bytes (zlib reads both).
class ByteSource {
 public:
  /// `file` outlives the source. Errors: kIo.
  static Result<ByteSource> open(const InputFile& file);
  /// The next bytes, valid until the next call; empty at the end. Errors: kIo, kBadInput (damaged gzip).
  Result<std::string_view> next();
  [[nodiscard]] std::uint64_t disk_position() const;

 private:
  struct Close {
    void operator()(gzFile_s* handle) const;
  };
  ByteSource(gzFile_s* handle, const InputFile& file);

  std::unique_ptr<gzFile_s, Close> handle_;
  const InputFile* file_;
  std::string buffer_;
};

/// Counts the bytes taken from disk into `total` as a source goes on.
class DiskProgress {
 public:
  DiskProgress(const ByteSource& source, std::uint64_t& total) : source_(source), total_(total) {}
  void update();

 private:
  const ByteSource& source_;
  std::uint64_t& total_;
  std::uint64_t seen_ = 0;
};

}  // namespace verbund::importer
