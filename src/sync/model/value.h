#pragma once
/// A column's value as a device has it, and the way there from PostgreSQL's text form and back (docs/formats/types.md).
///
/// Exact both ways: text_of(kind, value_of(kind, text)) is what PostgreSQL reads as the same value; for every kind but reals it is the same
/// bytes. Pure; any thread.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace verbund::sync {

struct Blob {
  std::string bytes;
  friend bool operator==(const Blob&, const Blob&) = default;
};

/// monostate is NULL. A real is finite or infinite, never NaN and never negative zero: these two SQLite can't hold, so they are
/// the texts "NaN" and "-0".
using Value = std::variant<std::monostate, std::int64_t, double, std::string, Blob>;

/// What PostgreSQL's type is on a device.
enum class Kind : std::uint8_t {
  kInteger,  ///< smallint, integer, bigint, oid: INTEGER
  kBoolean,  ///< INTEGER 0 or 1
  kReal,     ///< real, double precision: ANY, since NaN and -0 are texts
  kBytes,    ///< bytea: BLOB
  kText,     ///< all else: TEXT, in PostgreSQL's form
};
/// By the oid of a built-in type; others (enums, domains, arrays, extensions' types) are texts.
Kind kind_of(std::uint32_t type_oid);
/// "integer", "boolean", "real", "bytes", "text"
std::string_view name_of(Kind kind);
std::optional<Kind> kind_named(std::string_view name);
/// The column's type in a STRICT table.
std::string_view sqlite_type(Kind kind);

/// `text`: as PostgreSQL prints it under the shadow's settings (docs/adr/0004-shadow-text.md). Errors: kInternal.
Result<Value> value_of(Kind kind, std::optional<std::string_view> text);
/// What PostgreSQL is to read. Errors: kBadMessage (a value that the kind can't hold: a text with a zero byte, 7 as boolean).
Result<std::optional<std::string>> text_of(Kind kind, const Value& value);

}  // namespace verbund::sync
