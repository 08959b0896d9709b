#pragma once
/// A file beside the databases that says up to where changes were handed on. A mid-tier database that knows less is an older one: it was
/// copied back, with the source or without. One thread; format: docs/formats/journal.md.
#include <filesystem>
#include <optional>

#include "base/ids.h"
#include "base/result.h"

namespace verbund::feed {

class Witness {
 public:
  /// What stands in the file; nullopt: there is none, or it was cut short by a crash of the machine.
  static std::optional<Cursor> read(const std::filesystem::path& path);

  explicit Witness(std::filesystem::path path) : path_(std::move(path)) {}
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  ~Witness();

  /// Survives the process at once, the machine's crash by and by: then it is older, and less is noticed.
  Status note(const Cursor& cursor);

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace verbund::feed
