#include "protocol/json_read.h"

#include <boost/json/parser.hpp>

#include "base/messages.h"
#include "base/utf8.h"
#include "protocol/json_write.h"

namespace verbund::protocol {
namespace {

std::string describe(const Place& place) {
  std::string path = place.parent == nullptr ? std::string() : describe(*place.parent) + '.';
  path += place.name;
  if (place.index != Place::kNone) {
    path += fmt::format("[{}]", place.index);
  }
  return path;
}

bool allowed(char c, Controls controls) {
  const auto byte = static_cast<unsigned char>(c);
  if ((byte >= 0x20 && byte != 0x7f) || controls == Controls::kAny) {
    return true;
  }
  return controls == Controls::kLines && (c == '\n' || c == '\r' || c == '\t');
}

Error parse_error(const boost::json::error_code& cause, std::size_t offset) {
  if (cause == boost::json::error::too_deep) {
    return make_error(ErrorCode::kTooDeep, phrase("read a message: it is nested deeper than allowed"));
  }
  return make_error(ErrorCode::kBadMessage, phrase("read a message: no JSON: {} near byte {}", cause.message(), offset),
          phrase("Send one JSON object per line or frame."));
}

}  // namespace

Status Document::parse(std::string_view text, std::size_t max_nesting) {
  const auto valid = valid_utf8_prefix(text);
  if (valid != text.size()) {
    return fail(ErrorCode::kBadUtf8, phrase("read a message: byte {} is not UTF-8", valid),
                phrase("Send text as UTF-8, not in a code page."));
  }
  std::array<unsigned char, 2048> scratch;
  boost::json::parse_options options;
  options.max_depth = max_nesting;
  options.allow_invalid_utf8 = true;  // looked at above, and faster; escapes are still checked
  try {
    boost::json::parser parser({}, options, scratch.data(), scratch.size());
    parser.reset(&memory_);
    boost::json::error_code cause;
    const auto offset = parser.write(text.data(), text.size(), cause);
    if (cause) {
      return std::unexpected(parse_error(cause, offset));
    }
    value_.emplace(parser.release());
  } catch (const std::exception& error) {  // out of memory, or a size that Boost.JSON does not take
    return fail(ErrorCode::kTooLarge, phrase("read a message of {} bytes: {}", text.size(), error.what()));
  }
  if (!value_->is_object()) {
    return fail(ErrorCode::kBadMessage, phrase("read a message: it is JSON, but no object"),
                phrase("Send one JSON object per line or frame."));
  }
  return {};
}

void Findings::complain(ErrorCode code, const Place& place, Phrase must) {
  if (!error) {
    error = make_error(code, phrase("{}: field '{}' {}", operation, describe(place), must));
  }
}

const boost::json::value* Fields::find(std::string_view name) const {
  const auto* value = object_.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string Fields::checked_text(const boost::json::value& value, const Place& place, const TextRule& rule) const {
  if (!value.is_string()) {
    findings_.complain(ErrorCode::kBadMessage, place, phrase("must be a string"));
    return {};
  }
  const auto& json = value.get_string();
  const std::string_view text(json.data(), json.size());
  if (text.size() > rule.max_bytes) {
    findings_.complain(ErrorCode::kTooLarge, place,
                       phrase("has {} bytes, {} are allowed", text.size(), rule.max_bytes));
    return {};
  }
  for (const char c : text) {
    if (!allowed(c, rule.controls)) {
      findings_.complain(ErrorCode::kBadMessage, place, phrase("must not hold control characters"));
      return {};
    }
  }
  if (text.empty() && rule.presence == Presence::kRequired) {
    findings_.complain(ErrorCode::kBadMessage, place, phrase("must not be empty"));
  }
  return std::string(text);
}

std::string Fields::text(std::string_view name, const TextRule& rule) const {
  const auto* value = find(name);
  if (value == nullptr) {
    if (rule.presence == Presence::kRequired) {
      complain(ErrorCode::kBadMessage, name, phrase("is missing; it must be a string"));
    }
    return {};
  }
  return checked_text(*value, {place_, name}, rule);
}

bool Fields::flag(std::string_view name, bool absent) const {
  const auto* value = find(name);
  if (value == nullptr) {
    return absent;
  }
  if (!value->is_bool()) {
    complain(ErrorCode::kBadMessage, name, phrase("must be true or false"));
    return absent;
  }
  return value->get_bool();
}

std::uint64_t Fields::number(std::string_view name, std::uint64_t max, std::uint64_t absent) const {
  const auto* value = find(name);
  if (value == nullptr) {
    return absent;
  }
  std::uint64_t number = 0;
  bool good = true;
  if (value->is_int64() && value->get_int64() >= 0) {
    number = static_cast<std::uint64_t>(value->get_int64());
  } else if (value->is_uint64()) {
    number = value->get_uint64();
  } else {
    good = false;
  }
  if (!good || number > max) {
    complain(ErrorCode::kBadMessage, name, phrase("must be a whole number from 0 to {}", max));
    return absent;
  }
  return number;
}

milliseconds Fields::span(std::string_view name, milliseconds max, milliseconds absent) const {
  return milliseconds{static_cast<milliseconds::rep>(
      number(name, static_cast<std::uint64_t>(max.count()), static_cast<std::uint64_t>(absent.count())))};
}

std::uint64_t Fields::decimal(std::string_view name, Presence presence) const {
  const auto* value = find(name);
  if (value == nullptr && presence == Presence::kOptional) {
    return 0;
  }
  if (value != nullptr && value->is_string()) {
    const auto& text = value->get_string();
    if (const auto number = parse_u64({text.data(), text.size()})) {
      return *number;
    }
  }
  complain(ErrorCode::kBadMessage, name, phrase("must be a decimal number of 64 bits in a string"));
  return 0;
}

std::optional<Lsn> Fields::lsn(std::string_view name) const {
  const auto* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_string()) {
    const auto& text = value->get_string();
    if (const auto lsn = parse_lsn({text.data(), text.size()})) {
      return *lsn;
    }
  }
  complain(ErrorCode::kBadMessage, name, phrase("must be a WAL position like '16/B374D848'"));
  return std::nullopt;
}

RecordKey Fields::checked_key(const boost::json::value& value, const Place& place) const {
  if (!value.is_string()) {
    findings_.complain(ErrorCode::kBadMessage, place, phrase("must be a record key, a string 'TYPE/ID'"));
    return {};
  }
  const auto& text = value.get_string();
  auto key = parse_record_key({text.data(), text.size()});
  if (!key) {
    findings_.complain(key.error().code, place, phrase("is no record key: {}", key.error().message_parts.front()));
    return {};
  }
  return std::move(*key);
}

RecordKey Fields::key(std::string_view name) const {
  const auto* value = find(name);
  if (value == nullptr) {
    complain(ErrorCode::kBadMessage, name, phrase("is missing; it must be a record key 'TYPE/ID'"));
    return {};
  }
  return checked_key(*value, {place_, name});
}

const boost::json::array* Fields::list(std::string_view name, const ListRule& rule) const {
  const auto* value = find(name);
  const bool needed = rule.presence == Presence::kRequired;
  if (value == nullptr && !needed) {
    return nullptr;
  }
  if (value == nullptr || !value->is_array() || (needed && value->get_array().empty())) {
    complain(ErrorCode::kBadMessage, name, needed ? phrase("must be a list with at least one element") : phrase("must be a list"));
    return nullptr;
  }
  const auto& values = value->get_array();
  if (values.size() > rule.max) {
    complain(rule.too_many, name, phrase("has {} elements, {} are allowed", values.size(), rule.max));
    return nullptr;
  }
  return &values;
}

std::vector<std::string> Fields::texts(std::string_view name, const ListRule& rule, const TextRule& each) const {
  std::vector<std::string> out;
  if (const auto* values = list(name, rule)) {
    out.reserve(values->size());
    for (std::size_t i = 0; i < values->size() && !findings_.error; ++i) {
      out.push_back(checked_text((*values)[i], {place_, name, i}, each));
    }
  }
  return out;
}

std::vector<RecordKey> Fields::keys(std::string_view name, const ListRule& rule) const {
  std::vector<RecordKey> out;
  if (const auto* values = list(name, rule)) {
    out.reserve(values->size());
    for (std::size_t i = 0; i < values->size() && !findings_.error; ++i) {
      out.push_back(checked_key((*values)[i], {place_, name, i}));
    }
  }
  return out;
}

}  // namespace verbund::protocol
