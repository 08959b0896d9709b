#include "base/ids.h"
#include "base/messages.h"

#include <charconv>

#include <fmt/format.h>

namespace verbund {

std::string to_string(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn.value >> 32, lsn.value & 0xffffffff); }

Result<Lsn> parse_lsn(std::string_view text) {
  const auto slash = text.find('/');
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  const auto part = [](std::string_view digits, std::uint32_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return error == std::errc() && !digits.empty() && end == digits.data() + digits.size();
  };
  if (slash == std::string_view::npos || !part(text.substr(0, slash), high) || !part(text.substr(slash + 1), low)) {
    return fail(ErrorCode::kBadMessage, phrase("read a WAL position: '{}' is not of the form 16/B374D848", text));
  }
  return Lsn{std::uint64_t{high} << 32 | low};
}

std::string to_string(const RecordKey& key) { return key.type + '/' + key.id; }

Result<RecordKey> parse_record_key(std::string_view text) {
  const auto slash = text.find('/');
  const auto shown = text.substr(0, 80);
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) {
    return fail(ErrorCode::kBadKey, phrase("read a record key: '{}' is not of the form TYPE/ID", shown));
  }
  if (slash > kMaxRecordTypeBytes || text.size() - slash - 1 > kMaxRecordIdBytes) {
    return fail(ErrorCode::kBadKey,
                phrase("read a record key: '{}…' is too long (type {} bytes, id {} bytes at most)", shown,
                            kMaxRecordTypeBytes, kMaxRecordIdBytes));
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return fail(ErrorCode::kBadKey, phrase("read a record key: it holds a control character"));
    }
  }
  return RecordKey{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

Result<std::uint64_t> parse_u64(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || text.empty() || end != text.data() + text.size()) {
    return fail(ErrorCode::kBadMessage, phrase("read a number: '{}' is no 64-bit decimal", text.substr(0, 40)));
  }
  return value;
}

}  // namespace verbund
