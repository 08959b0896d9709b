#include "alarm/phrase_json.h"

#include <boost/json.hpp>

#include "base/messages.h"

namespace verbund::alarm {

namespace json = boost::json;

namespace {
constexpr int kMaxDepth = 8;  ///< a phrase in a phrase in …
}  // namespace

json::value json_of(const Phrase& phrase) {
  if (phrase.verbatim) return json::string(phrase.msgid);
  json::array out{phrase.msgid};
  for (const auto& value : phrase.values) out.push_back(json_of(value));
  return out;
}

std::optional<Phrase> phrase_of_json(const json::value& value, int depth) {
  if (value.is_string()) return verbatim(std::string(value.as_string()));
  const auto* array = value.if_array();
  if (array == nullptr || array->empty() || !array->front().is_string() || depth > kMaxDepth) return std::nullopt;
  Phrase phrase{std::string(array->front().as_string()), {}};
  for (std::size_t i = 1; i < array->size(); ++i) {
    auto part = phrase_of_json((*array)[i], depth + 1);
    if (!part) return std::nullopt;
    phrase.values.push_back(std::move(*part));
  }
  return phrase;
}

}  // namespace verbund::alarm
