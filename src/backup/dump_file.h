#pragma once
/// A file that appears whole or not at all, and one that is read. One thread each.
#include <filesystem>
#include <vector>

#include "backup/stream.h"

namespace verbund::backup {

/// Written under a hidden name with mode 0600; removed by its destructor unless published. What a killed process has left in
/// the directory under such a name is removed by the next one.
class DumpFile final : public Sink {
 public:
  /// Errors: kNotFound (no such directory), kForbidden (may not write there), kDiskFull, kIo.
  static Result<std::unique_ptr<DumpFile>> create(const std::filesystem::path& directory);
  ~DumpFile() override;
  DumpFile(const DumpFile&) = delete;
  DumpFile& operator=(const DumpFile&) = delete;

  Status write(std::string_view bytes) override;
  Status finish() override;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// After `finish`: it gets its name, on disk before this returns. Errors: kAlreadyExists (then another name may be tried), kIo.
  Status publish(const std::filesystem::path& name);

 private:
  DumpFile(int descriptor, std::filesystem::path path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_;
  std::filesystem::path path_;  ///< empty: published
  std::uint64_t bytes_ = 0, written_back_ = 0;
};

class FileSource final : public Source {
 public:
  /// Errors: kNotFound, kForbidden, kIo.
  static Result<std::unique_ptr<FileSource>> open(const std::filesystem::path& path);
  ~FileSource() override;
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  Result<std::size_t> read(std::span<char> into) override;

 private:
  FileSource(int descriptor, std::filesystem::path path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_;
  std::filesystem::path path_;
};

}  // namespace verbund::backup
