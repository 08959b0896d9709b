#include "importer/fhir_json.h"

#include <cmath>

namespace verbund::importer {
namespace {

Text clean(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c != '\0') out += c;
  }
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = out.find_first_not_of(kBlanks);
  if (first == std::string::npos) return {};
  return out.substr(first, out.find_last_not_of(kBlanks) - first + 1);
}

void append_part(std::string& out, std::string_view separator, const Text& part) {
  if (!part) return;
  if (!out.empty()) out += separator;
  out += *part;
}

Text none_if_empty(std::string text) { return text.empty() ? Text() : Text(std::move(text)); }

}  // namespace

const json::object* object_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr ? value->if_object() : nullptr;
}

const json::array* array_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr ? value->if_array() : nullptr;
}

std::vector<const json::object*> objects_at(const json::object& object, std::string_view name) {
  std::vector<const json::object*> out;
  if (const auto* array = array_at(object, name)) {
    for (const auto& element : *array) {
      if (const auto* found = element.if_object()) out.push_back(found);
    }
  } else if (const auto* single = object_at(object, name)) {
    out.push_back(single);
  }
  return out;
}

Text text_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  const auto* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? clean({text->data(), text->size()}) : Text();
}

std::optional<bool> bool_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  const auto* flag = value != nullptr ? value->if_bool() : nullptr;
  return flag != nullptr ? std::optional(*flag) : std::nullopt;
}

Text number_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return {};
  if (const auto* number = value->if_int64()) return std::to_string(*number);
  if (const auto* number = value->if_uint64()) return std::to_string(*number);
  const auto* number = value->if_double();
  if (number == nullptr || !std::isfinite(*number)) return {};
  return fmt::format("{}", *number);
}

Concept concept_of(const json::object* codeable) {
  Concept out;
  if (codeable == nullptr) return out;
  out.display = text_at(*codeable, "text");
  for (const auto* coding : objects_at(*codeable, "coding")) {
    if (!out.code) {
      out.code = text_at(*coding, "code");
      if (out.code) out.system = text_at(*coding, "system");
    }
    if (!out.display) out.display = text_at(*coding, "display");
  }
  if (!out.display) out.display = out.code;
  return out;
}

Concept concept_at(const json::object& object, std::string_view name) {
  const auto all = objects_at(object, name);
  return concept_of(all.empty() ? nullptr : all.front());
}

Text joined_at(const json::object& object, std::string_view name, std::string_view separator) {
  std::string out;
  if (const auto* array = array_at(object, name)) {
    for (const auto& element : *array) {
      if (const auto* text = element.if_string()) append_part(out, separator, clean({text->data(), text->size()}));
    }
  } else {
    append_part(out, separator, text_at(object, name));
  }
  return none_if_empty(std::move(out));
}

Text notes_at(const json::object& object) {
  std::string out;
  for (const auto* note : objects_at(object, "note")) append_part(out, "\n", text_at(*note, "text"));
  return none_if_empty(std::move(out));
}

}  // namespace verbund::importer
