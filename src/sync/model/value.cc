#include "sync/model/value.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/messages.h"
#include "base/utf8.h"

namespace verbund::sync {
namespace {

// pg_type.oid of built-in types, which never change.
constexpr std::uint32_t kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kOid = 26, kFloat4 = 700, kFloat8 = 701;

constexpr std::array<std::string_view, 5> kNames{"integer", "boolean", "real", "bytes", "text"};
constexpr std::array<std::string_view, 5> kSqlite{"INTEGER", "INTEGER", "ANY", "BLOB", "TEXT"};

std::unexpected<Error> unreadable(Kind kind, std::string_view text) {
  return fail(ErrorCode::kInternal, fmt::format("read a value of PostgreSQL: {} characters are no {}", text.size(), name_of(kind)));
}

std::unexpected<Error> not_of(Kind kind) { return fail(ErrorCode::kBadMessage, phrase("read a value of a device: it is no {}", name_of(kind))); }

Result<Value> integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return unreadable(Kind::kInteger, text);
  return Value{number};
}

Result<Value> real(std::string_view text) {
  if (text == "NaN" || text == "-0") return Value{std::string(text)};
  if (text == "Infinity") return Value{std::numeric_limits<double>::infinity()};
  if (text == "-Infinity") return Value{-std::numeric_limits<double>::infinity()};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return unreadable(Kind::kReal, text);
  return Value{number};
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

Result<Value> bytes(std::string_view text) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return unreadable(Kind::kBytes, text);
  Blob blob;
  blob.bytes.reserve(text.size() / 2 - 1);
  for (std::size_t at = 2; at < text.size(); at += 2) {
    const int high = digit(text[at]), low = digit(text[at + 1]);
    if (high < 0 || low < 0) return unreadable(Kind::kBytes, text);
    blob.bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return Value{std::move(blob)};
}

Result<std::optional<std::string>> text_of_real(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (*text == "NaN" || *text == "-0") return *text;
    return not_of(Kind::kReal);
  }
  // A program may write 3 into a column of reals.
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return std::to_string(*whole);
  const auto* number = std::get_if<double>(&value);
  if (number == nullptr || std::isnan(*number)) return not_of(Kind::kReal);
  if (std::isinf(*number)) return *number > 0 ? "Infinity" : "-Infinity";
  if (*number == 0 && std::signbit(*number)) return "-0";
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), *number);
  if (error != std::errc{}) return not_of(Kind::kReal);
  return std::string(buffer.data(), end);
}

std::string hex_of(const Blob& blob) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "\\x";
  text.reserve(2 + blob.bytes.size() * 2);
  for (const char c : blob.bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15U]);
  }
  return text;
}

}  // namespace

Kind kind_of(std::uint32_t type_oid) {
  switch (type_oid) {
    case kInt2:
    case kInt4:
    case kInt8:
    case kOid:
      return Kind::kInteger;
    case kBool:
      return Kind::kBoolean;
    case kFloat4:
    case kFloat8:
      return Kind::kReal;
    case kBytea:
      return Kind::kBytes;
    default:
      return Kind::kText;
  }
}

std::string_view name_of(Kind kind) { return kNames.at(static_cast<std::size_t>(kind)); }

std::optional<Kind> kind_named(std::string_view name) {
  for (std::size_t at = 0; at < kNames.size(); ++at) {
    if (kNames[at] == name) return static_cast<Kind>(at);
  }
  return std::nullopt;
}

std::string_view sqlite_type(Kind kind) { return kSqlite.at(static_cast<std::size_t>(kind)); }

Result<Value> value_of(Kind kind, std::optional<std::string_view> text) {
  if (!text) return Value{};
  switch (kind) {
    case Kind::kInteger:
      return integer(*text);
    case Kind::kBoolean:
      if (*text != "t" && *text != "f") return unreadable(kind, *text);
      return Value{std::int64_t{*text == "t"}};
    case Kind::kReal:
      return real(*text);
    case Kind::kBytes:
      return bytes(*text);
    case Kind::kText:
      break;
  }
  return Value{std::string(*text)};
}

Result<std::optional<std::string>> text_of(Kind kind, const Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return std::optional<std::string>{};
  if (kind == Kind::kReal) return text_of_real(value);
  if (kind == Kind::kBytes) {
    const auto* blob = std::get_if<Blob>(&value);
    if (blob == nullptr) return not_of(kind);
    return hex_of(*blob);
  }
  if (kind == Kind::kText) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr || text->find('\0') != std::string::npos || !is_utf8(*text)) return not_of(kind);
    return *text;
  }
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number == nullptr || (kind == Kind::kBoolean && *number != 0 && *number != 1)) return not_of(kind);
  if (kind == Kind::kBoolean) return *number == 1 ? "t" : "f";
  return std::to_string(*number);
}

}  // namespace verbund::sync
