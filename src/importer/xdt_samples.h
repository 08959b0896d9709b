#pragma once
/// GDT and BDT records with right lengths, for tests. Bytes as they stand: the caller writes in the character set it means.
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace verbund::importer::xdt {

inline std::string line(std::string_view id, std::string_view content) {
  return fmt::format("{:03}{}{}\r\n", content.size() + 9, id, content);
}

/// Fields as "3101Meier"; 8100 is calculated and put behind the first, unless it is there.
inline std::string record(const std::vector<std::string>& fields) {
  constexpr std::size_t kLengthLine = 14;
  std::size_t total = kLengthLine;
  for (const auto& field : fields) total += field.size() + 5;
  std::string out;
  for (const auto& field : fields) {
    out += line(std::string_view(field).substr(0, 4), std::string_view(field).substr(4));
    if (field.starts_with("8000")) out += line("8100", fmt::format("{:05}", total));
  }
  return out;
}

}  // namespace verbund::importer::xdt
