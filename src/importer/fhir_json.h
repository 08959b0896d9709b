#pragma once
/// Reading FHIR's JSON without trusting it: every getter answers "nothing" for what is absent or of another type. Pure.
#include <optional>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "importer/rows.h"

namespace verbund::importer {

namespace json = boost::json;

const json::object* object_at(const json::object& object, std::string_view name);
const json::array* array_at(const json::object& object, std::string_view name);
/// The array's elements that are objects; an object in place of an array counts as one element.
std::vector<const json::object*> objects_at(const json::object& object, std::string_view name);

/// A string without blanks around it and without NUL (PostgreSQL's text has no place for it); nothing when empty.
Text text_at(const json::object& object, std::string_view name);
std::optional<bool> bool_at(const json::object& object, std::string_view name);
/// A number as decimal text for `numeric`. Digits beyond a double's 17, and zeros at the end, are lost in reading.
Text number_at(const json::object& object, std::string_view name);

/// First coding and a text for people of a CodeableConcept: its text, else a display, else the code.
struct Concept {
  Text system, code, display;
};
Concept concept_of(const json::object* codeable);
Concept concept_at(const json::object& object, std::string_view name);

/// Strings of an array joined ("given", "line").
Text joined_at(const json::object& object, std::string_view name, std::string_view separator);

/// Texts of Annotation[] joined.
Text notes_at(const json::object& object);

}  // namespace verbund::importer
