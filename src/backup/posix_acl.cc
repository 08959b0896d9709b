#include "backup/posix_acl.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace verbund::backup {
namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kNobody = 0xFFFFFFFF;
enum Tag : std::uint16_t { kOwner = 1, kUser = 2, kOwningGroup = 4, kGroup = 8, kMask = 16, kOther = 32 };

std::uint32_t number(std::string_view bytes, std::size_t at, std::size_t length) {
  std::uint32_t value = 0;
  for (std::size_t i = length; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

void append(std::string& to, std::uint32_t value, std::size_t length) {
  for (std::size_t i = 0; i < length; ++i) to += static_cast<char>(value >> (8 * i) & 0xFF);
}

std::string_view word(std::uint32_t tag) {
  switch (tag) {
    case kOwner:
    case kUser: return "user";
    case kOwningGroup:
    case kGroup: return "group";
    case kMask: return "mask";
    case kOther: return "other";
    default: return {};
  }
}

std::string rights(std::uint32_t bits) {
  return {(bits & 4) != 0 ? 'r' : '-', (bits & 2) != 0 ? 'w' : '-', (bits & 1) != 0 ? 'x' : '-'};
}

std::optional<std::uint32_t> rights(std::string_view text) {
  std::uint32_t bits = 0;
  for (const char c : text) {
    if (c == 'r') bits |= 4;
    else if (c == 'w') bits |= 2;
    else if (c == 'x') bits |= 1;
    else if (c != '-') return std::nullopt;
  }
  return bits;
}

std::optional<std::uint32_t> read_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return id;
}

/// Names that would break the text apart stand there as numbers.
std::string who(const std::string& name, std::uint32_t id) {
  if (name.empty() || name.find_first_of(":,\n# \t") != std::string::npos) return fmt::to_string(id);
  return name;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    parts.push_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

struct Entry {
  std::uint16_t tag = 0;
  std::uint32_t bits = 0, id = kNobody;
};

std::optional<Entry> read_entry(std::string_view text, OwnerNames& names) {
  const auto parts = split(text, ":");
  if (parts.size() < 3 || parts.size() > 4) return std::nullopt;
  const bool named = !parts[1].empty();
  Entry entry;
  if (parts[0] == "user") entry.tag = named ? kUser : kOwner;
  else if (parts[0] == "group") entry.tag = named ? kGroup : kOwningGroup;
  else if (parts[0] == "mask" && !named) entry.tag = kMask;
  else if (parts[0] == "other" && !named) entry.tag = kOther;
  else return std::nullopt;
  const auto bits = rights(parts[2]);
  if (!bits) return std::nullopt;
  entry.bits = *bits;
  if (!named) return entry;
  auto id = entry.tag == kUser ? names.user_id(std::string(parts[1])) : names.group_id(std::string(parts[1]));
  if (!id && parts.size() == 4) id = read_id(parts[3]);
  if (!id) id = read_id(parts[1]);
  if (!id) return std::nullopt;
  entry.id = *id;
  return entry;
}

}  // namespace

std::string acl_text(std::string_view bytes, OwnerNames& names) {
  if (bytes.size() < 4 || (bytes.size() - 4) % 8 != 0 || number(bytes, 0, 4) != kVersion) return {};
  std::string text;
  for (std::size_t at = 4; at < bytes.size(); at += 8) {
    const std::uint32_t tag = number(bytes, at, 2), bits = number(bytes, at + 2, 2), id = number(bytes, at + 4, 4);
    if (word(tag).empty()) return {};
    if (!text.empty()) text += ',';
    if (tag == kUser || tag == kGroup) {
      text += fmt::format("{}:{}:{}:{}", word(tag), who(tag == kUser ? names.user(id) : names.group(id), id), rights(bits), id);
    } else {
      text += fmt::format("{}::{}", word(tag), rights(bits));
    }
  }
  return text;
}

std::string acl_bytes(std::string_view text, OwnerNames& names) {
  std::vector<Entry> entries;
  for (const auto part : split(text, ",\n")) {
    if (part.empty()) continue;
    const auto entry = read_entry(part, names);
    if (!entry) return {};
    entries.push_back(*entry);
  }
  // The kernel wants them by tag, then by number.
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.tag, entry.id); });
  std::string bytes;
  append(bytes, kVersion, 4);
  for (const Entry& entry : entries) {
    append(bytes, entry.tag, 2);
    append(bytes, entry.bits, 2);
    append(bytes, entry.id, 4);
  }
  return entries.empty() ? std::string() : bytes;
}

}  // namespace verbund::backup
