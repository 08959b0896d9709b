#include "api/json.h"

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::api {

namespace json = boost::json;

Result<json::object> read_object(std::string_view body) {
  json::parse_options options;
  options.max_depth = 16;
  boost::system::error_code error;
  auto value = json::parse(body, error, {}, options);
  if (error) return fail(ErrorCode::kBadMessage, phrase("read the request's body: {}", error.message()));
  if (!value.is_object()) return fail(ErrorCode::kBadMessage, phrase("read the request's body: it is no JSON object"));
  return std::move(value.as_object());
}

Result<std::string> string_member(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (!value || !value->is_string()) {
    return fail(ErrorCode::kBadMessage, phrase("read the request's body: field '{}' is missing or no string", name));
  }
  return std::string(value->as_string());
}

Result<bool> bool_member(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (!value || !value->is_bool()) {
    return fail(ErrorCode::kBadMessage, phrase("read the request's body: field '{}' is missing or neither true nor false", name));
  }
  return value->as_bool();
}

Result<std::uint64_t> number_member(const json::object& object, std::string_view name, std::uint64_t low, std::uint64_t high) {
  const auto* value = object.if_contains(name);
  if (!value || !value->is_int64() || value->as_int64() < 0 || static_cast<std::uint64_t>(value->as_int64()) < low ||
      static_cast<std::uint64_t>(value->as_int64()) > high) {
    return fail(ErrorCode::kBadMessage, phrase("read the request's body: field '{}' is missing or no whole number from {} to {}", name, low, high));
  }
  return static_cast<std::uint64_t>(value->as_int64());
}

}  // namespace verbund::api
