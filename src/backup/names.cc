#include "backup/names.h"

#include "base/messages.h"
#include "platform/os/random.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kMaxParts = 4;
constexpr std::size_t kMaxKeptBytes = 40;  // of a text that becomes a part

bool letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool allowed(char c) { return letter_or_digit(c) || c == '.' || c == '_' || c == '+' || c == '-'; }

/// Windows takes these for devices, with any ending behind a '.'.
bool device_name(std::string_view part) {
  static constexpr std::string_view kDevices[] = {"con", "prn", "aux", "nul"};
  const std::string stem = folded(part.substr(0, part.find('.')));
  if (std::ranges::find(kDevices, stem) != std::end(kDevices)) return true;
  return stem.size() == 4 && (stem.starts_with("com") || stem.starts_with("lpt")) && stem[3] >= '0' && stem[3] <= '9';
}

bool good_part(std::string_view part) {
  return !part.empty() && letter_or_digit(part.front()) && part.back() != '.' && std::ranges::all_of(part, allowed) &&
         !device_name(part);
}

}  // namespace

Status check_name(std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    return fail(ErrorCode::kDamaged, phrase("a name of {} bytes, {} are allowed", name.size(), kMaxNameBytes));
  }
  std::size_t parts = 1;
  for (std::string_view rest = name;; ++parts) {
    const std::size_t slash = rest.find('/');
    if (parts > kMaxParts || !good_part(rest.substr(0, slash))) {
      return fail(ErrorCode::kDamaged, phrase("the name {} is not allowed in a backup set", printable(name)));
    }
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string shown;
  for (const char c : text.substr(0, max_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      shown += c;
    } else {
      shown += fmt::format("\\x{:02x}", byte);
    }
  }
  if (text.size() > max_bytes) shown += "…";
  return shown;
}

std::string folded(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

std::string portable_part(std::string_view text) {
  std::string part;
  bool changed = text.size() > kMaxKeptBytes;
  for (const char c : text.substr(0, kMaxKeptBytes)) {
    // An umlaut is two bytes; one '-' is enough for it.
    const bool continued = (static_cast<unsigned char>(c) & 0xc0) == 0x80;
    changed = changed || !allowed(c);
    if (allowed(c)) part += c;
    else if (!continued) part += '-';
  }
  const std::size_t before = part.size();
  while (!part.empty() && !letter_or_digit(part.front())) part.erase(0, 1);
  while (!part.empty() && part.back() == '.') part.pop_back();
  if (part.empty() || device_name(part)) part.insert(0, "x-");
  changed = changed || part.size() != before;
  // Where case does not count, "Praxis" and "praxis" are one file: only lower case goes without its hash.
  changed = changed || folded(text) != text;
  return changed ? part + '-' + os::blake2b_hex(text).substr(0, 8) : part;
}

}  // namespace verbund::backup
