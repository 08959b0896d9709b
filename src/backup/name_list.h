#pragma once
/// Files that a report names. Pure, any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace verbund::backup {

/// A path as people read it: bytes that are no UTF-8, and control characters, as \xNN.
std::string shown_path(std::string_view path);

/// The first names and how many there were: a report stays readable, memory bounded.
struct NameList {
  static constexpr std::size_t kMaxNamed = 1000;
  std::vector<std::string> names;  ///< as shown_path writes them
  std::uint64_t count = 0;

  void add(std::string_view path, std::string_view remark = {});
  [[nodiscard]] bool empty() const { return count == 0; }
};

}  // namespace verbund::backup
