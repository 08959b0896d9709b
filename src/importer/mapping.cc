#include "importer/mapping.h"

#include "importer/map_shared.h"

namespace verbund::importer {
namespace {

/// Far above anything that a person writes, far below what would hurt a statement of 500 rows.
constexpr std::size_t kMaxTextBytes = 64 * 1024;

/// A unique index takes less than a third of a page per key.
constexpr std::size_t kMaxKeyBytes = 2000;

/// Names the first column whose text is too long.
struct LengthCheck {
  std::string_view* too_long;
  void operator()(std::string_view column, const std::string& value) const {
    const auto limit = column.starts_with("identifier_") ? kMaxKeyBytes : kMaxTextBytes;
    if (value.size() > limit && too_long->empty()) *too_long = column;
  }
  void operator()(std::string_view column, const Text& value) const {
    if (value) (*this)(column, *value);
  }
  void operator()(std::string_view, bool) const {}
};

Mapped map_known(Reading& reading, std::string_view type) {
  if (type == "Patient") return map_patient(reading);
  if (type == "Encounter") return map_encounter(reading);
  if (type == "Condition") return map_condition(reading);
  if (type == "Observation") return map_observation(reading);
  if (type == "MedicationRequest") return map_medication(reading, "request");
  return map_medication(reading, "statement");
}

}  // namespace

std::string_view too_long_column(const Mapped& mapped) {
  std::string_view column;
  const LengthCheck check{&column};
  std::visit(
      [&](const auto& row) {
        if constexpr (std::is_same_v<std::decay_t<decltype(row)>, ObservationRows>) {
          for (const auto& part : row) for_each_column(part, check);
        } else {
          for_each_column(row, check);
        }
      },
      mapped.row);
  for (const auto& identifier : mapped.identifiers) {
    if (identifier.system.size() + identifier.value.size() > kMaxKeyBytes) column = "identifier";
  }
  return column;
}

std::expected<Mapped, Skip> map_resource(const json::object& resource, const Context& context) {
  constexpr std::array<std::string_view, 6> kTypes{"Patient",     "Encounter",         "Condition",
                                                   "Observation", "MedicationRequest", "MedicationStatement"};
  const auto type = text_at(resource, "resourceType").value_or("");
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
    return std::unexpected(Skip{SkipReason::kTypeNotImported, {}});
  }
  Reading reading{resource, context, {}, {}};
  auto mapped = map_known(reading, type);
  if (reading.problem) return std::unexpected(std::move(*reading.problem));
  if (const auto column = too_long_column(mapped); !column.empty()) {
    return std::unexpected(Skip{SkipReason::kTextTooLong, std::string(column)});
  }
  mapped.notes = std::move(reading.notes);
  return mapped;
}

}  // namespace verbund::importer
