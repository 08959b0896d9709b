// states.jsonl
#include <boost/json.hpp>

#include "alarm/phrase_json.h"
#include "alarm/states.h"

namespace verbund::alarm {
namespace {

namespace json = boost::json;

std::optional<std::string> text(const json::object& object, const char* name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::optional(std::string(member->as_string())) : std::nullopt;
}

std::vector<std::string> texts(const json::object& object, const char* name) {
  std::vector<std::string> out;
  const auto* member = object.if_contains(name);
  if (member == nullptr || !member->is_array()) return out;
  for (const auto& each : member->as_array()) {
    if (each.is_string()) out.emplace_back(each.as_string());
  }
  return out;
}

std::optional<Stored> stored_of_line(std::string_view line) {
  boost::system::error_code error;
  const auto value = json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr || !object->contains("text")) return std::nullopt;
  const auto source = text(*object, "source"), key = text(*object, "key"), since = text(*object, "since"), told_at = text(*object, "told_at");
  if (!source || !key || !since || !told_at) return std::nullopt;
  const auto begun = from_iso8601(*since), told = from_iso8601(*told_at);
  auto phrase = phrase_of_json(object->at("text"));
  if (!begun || !told || !phrase) return std::nullopt;
  return Stored{*source, State{*key, std::move(*phrase), texts(*object, "to"), *begun}, *told, texts(*object, "told")};
}

}  // namespace

std::string lines_of(const std::vector<Stored>& stored) {
  std::string out;
  for (const auto& each : stored) {
    out += json::serialize(json::object{{"source", each.source}, {"key", each.state.key}, {"text", json_of(each.state.text)},
                                        {"since", to_iso8601(each.state.since)}, {"to", json::value_from(each.state.to)},
                                        {"told_at", to_iso8601(each.told_at)}, {"told", json::value_from(each.told)}}) +
           "\n";
  }
  return out;
}

Result<std::vector<Stored>> stored_of(std::string_view lines) {
  std::vector<Stored> out;
  for (int number = 1; !lines.empty(); ++number) {
    const auto end = std::min(lines.find('\n'), lines.size());
    auto stored = stored_of_line(lines.substr(0, end));
    if (!stored) return fail(ErrorCode::kDamaged, phrase("alarm states: line {} is none", number));
    out.push_back(std::move(*stored));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return out;
}

}  // namespace verbund::alarm
