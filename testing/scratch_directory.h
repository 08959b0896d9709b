#pragma once
/// Directories for tests. Any thread.
#include <filesystem>
#include <string_view>

namespace verbund::testing {

/// Makes an empty directory below TMPDIR (or /tmp) that other users may enter. Throws std::runtime_error.
std::filesystem::path make_scratch_directory(std::string_view prefix);

/// A directory of its own below TMPDIR (or /tmp), which other users may enter; removed with its contents at the end.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace verbund::testing
