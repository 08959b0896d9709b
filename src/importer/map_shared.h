#pragma once
/// Shared by the units of mapping; not for other folders.
#include "importer/mapping.h"
#include "importer/references.h"

namespace verbund::importer {

/// One resource on its way to a row. Remembers the first element that could not be read.
struct Reading {
  const json::object& resource;
  const Context& context;
  std::optional<Skip> problem;
  std::vector<Note> notes;

  void fail(SkipReason reason, std::string detail = {}) {
    if (!problem) problem = Skip{reason, std::move(detail)};
  }
  /// Absent: nothing. Present and not a FHIR dateTime: the resource's problem.
  std::optional<PartialTime> time(const json::object& object, std::string_view name);
  std::optional<PartialDate> date(const json::object& object, std::string_view name);
  /// start and end of a Period.
  void period(std::string_view name, std::optional<PartialTime>& start, std::optional<PartialTime>& end);
  /// The contained resource that "#id" names.
  const json::object* contained(std::string_view reference) const;
};

/// Candidates for a Reference to `type`. Follows contained resources and conditional references.
Link link_of(const Reading& reading, const json::object* reference, std::string_view type);
/// Identifier[] of a resource, without those that have no value.
std::vector<Identifier> identifiers_of(const json::object& resource);

/// Fills id and identity of a child.
void identify_child(const Reading& reading, std::string_view type, ChildRow& row);

Mapped map_patient(Reading& reading);
Mapped map_encounter(Reading& reading);
Mapped map_condition(Reading& reading);
Mapped map_observation(Reading& reading);
Mapped map_medication(Reading& reading, std::string_view kind);

}  // namespace verbund::importer
