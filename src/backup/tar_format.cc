#include "backup/tar_format.h"

#include <algorithm>

#include <fmt/format.h>

#include "backup/tree_member.h"

namespace verbund::backup {

std::string_view to_string(MemberType type) {
  switch (type) {
    case MemberType::kFile: return "file";
    case MemberType::kHardLink: return "hardlink";
    case MemberType::kSymbolicLink: return "symlink";
    case MemberType::kCharacterDevice: return "chardev";
    case MemberType::kBlockDevice: return "blockdev";
    case MemberType::kFolder: return "folder";
    case MemberType::kFifo: return "fifo";
  }
  return "?";
}

namespace tar {

std::uint32_t checksum(const Block& block) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool inside = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.length;
    sum += inside ? ' ' : static_cast<unsigned char>(block[i]);
  }
  return sum;
}

std::optional<std::uint64_t> read_number(const Block& block, Field field) {
  std::string_view text(block.data() + field.offset, field.length);
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(text[0]) & 0x80) != 0) {
    if (static_cast<unsigned char>(text[0]) != 0x80) return std::nullopt;  // negative, or above 64 bits
    for (const char c : text.substr(1)) {
      if (value >> 56 != 0) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
  for (const char c : text) {
    if (c < '0' || c > '7') return std::nullopt;
    value = value << 3 | static_cast<std::uint64_t>(c - '0');  // 12 digits at most
  }
  return value;
}

std::string_view read_text(const Block& block, Field field) {
  const std::string_view text(block.data() + field.offset, field.length);
  return text.substr(0, text.find('\0'));
}

std::string record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;  // blank, '=', newline
  std::size_t length = rest + 1;
  while (length != rest + fmt::formatted_size("{}", length)) length = rest + fmt::formatted_size("{}", length);
  std::string out = fmt::format("{} ", length);
  out.append(key).append("=").append(value).append("\n");
  return out;
}

std::string encode_attribute(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '%') out += "%25";
    else if (c == '=') out += "%3D";
    else out += c;
  }
  return out;
}

std::string decode_attribute(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto code = name.substr(i, 3);
    if (code == "%25" || code == "%3D") {
      out += code == "%25" ? '%' : '=';
      i += 2;
    } else {
      out += name[i];
    }
  }
  return out;
}

}  // namespace tar
}  // namespace verbund::backup
