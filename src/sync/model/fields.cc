#include "sync/model/fields.h"

#include <boost/json/parse.hpp>

#include "base/ids.h"
#include "base/messages.h"

namespace verbund::sync {

namespace json = boost::json;

Fields Fields::parse(std::string_view text, std::string_view what) {
  boost::system::error_code failed;
  json::parse_options options;
  options.max_depth = 16;
  auto value = json::parse(text, failed, {}, options);
  Fields fields(json::value{}, what);
  if (failed || !value.is_object()) {
    fields.status_ = fail(ErrorCode::kBadMessage, phrase("read {}: it is no JSON object", what));
    return fields;
  }
  fields.own_ = std::move(value);
  fields.object_ = &fields.own_.get_object();
  fields.status_ = {};
  return fields;
}

Fields::Fields(const json::value& value, std::string_view what) : what_(what) {
  if (value.is_object()) {
    object_ = &value.get_object();
  } else {
    status_ = fail(ErrorCode::kBadMessage, phrase("read {}: it is no JSON object", what));
  }
}

void Fields::wrong(std::string_view name, std::string_view why) {
  if (status_) status_ = fail(ErrorCode::kBadMessage, phrase("read {}: field {}: {}", what_, name, why));
}

void Fields::take_error(const Status& other) {
  if (status_ && !other) status_ = other;
}

const json::value* Fields::find(std::string_view name) {
  if (object_ == nullptr) return nullptr;
  // A moved Fields still reads what it owns.
  const auto& object = own_.is_object() ? own_.get_object() : *object_;
  const auto* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const json::value* Fields::child(std::string_view name) { return find(name); }

std::string Fields::text(std::string_view name) {
  const auto* value = find(name);
  if (value != nullptr && value->is_string()) return std::string(value->get_string());
  wrong(name, "it is no text");
  return {};
}

std::string Fields::optional_text(std::string_view name) { return find(name) == nullptr ? std::string() : text(name); }

std::uint64_t Fields::number(std::string_view name) {
  const auto* value = find(name);
  if (value != nullptr && value->is_string()) {
    if (auto number = parse_u64(value->get_string())) return *number;
  }
  if (value != nullptr && value->is_uint64()) return value->get_uint64();
  if (value != nullptr && value->is_int64() && value->get_int64() >= 0) return static_cast<std::uint64_t>(value->get_int64());
  wrong(name, "it is no number");
  return 0;
}

std::uint64_t Fields::optional_number(std::string_view name) { return find(name) == nullptr ? 0 : number(name); }

std::uint32_t Fields::small(std::string_view name) {
  const auto found = number(name);
  if (found > UINT32_MAX) wrong(name, "it is too large");
  return static_cast<std::uint32_t>(found);
}

bool Fields::flag(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return false;
  if (!value->is_bool()) wrong(name, "it is neither true nor false");
  return value->is_bool() && value->get_bool();
}

std::vector<std::string> Fields::texts(std::string_view name, std::size_t most) {
  std::vector<std::string> all;
  const auto* value = find(name);
  if (value == nullptr) return all;
  if (!value->is_array() || value->get_array().size() > most) {
    wrong(name, "it is no list, or too long");
    return all;
  }
  for (const auto& item : value->get_array()) {
    if (!item.is_string()) wrong(name, "it holds what is no text");
    all.emplace_back(item.is_string() ? std::string(item.get_string()) : std::string());
  }
  return all;
}

void Fields::each(std::string_view name, std::size_t most, const std::function<void(Fields&)>& take) {
  const auto* value = find(name);
  if (value == nullptr) return;
  if (!value->is_array() || value->get_array().size() > most) return wrong(name, "it is no list, or too long");
  for (const auto& item : value->get_array()) {
    Fields inner(item, what_);
    if (inner.status()) take(inner);
    take_error(inner.status());
    if (!status_) return;
  }
}

}  // namespace verbund::sync
