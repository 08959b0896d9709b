#include "backup/name_list.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace verbund::backup {

std::string shown_path(std::string_view path) {
  if (path.empty()) return ".";
  std::string out;
  while (!path.empty()) {
    const std::size_t length = utf8_length(path);
    const auto first = static_cast<unsigned char>(path[0]);
    if (length == 0 || first < 0x20 || first == 0x7F) {
      out += fmt::format("\\x{:02x}", first);
      path.remove_prefix(1);
    } else {
      out += path.substr(0, length);
      path.remove_prefix(length);
    }
  }
  return out;
}

void NameList::add(std::string_view path, std::string_view remark) {
  ++count;
  if (names.size() >= kMaxNamed) return;
  names.push_back(shown_path(path));
  if (!remark.empty()) names.back() += fmt::format(" ({})", remark);
}

}  // namespace verbund::backup
