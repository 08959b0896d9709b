#pragma once
/// FHIR dates and times, which may be partial: '1974', '1974-12', '1974-12-24', with time and zone. Pure.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace verbund::importer {

enum class Precision { kYear, kMonth, kDay, kTime };
std::string_view name_of(Precision precision);  ///< "year", "month", "day", "time"

/// A date of which only the year, or year and month, may be known.
struct PartialDate {
  std::chrono::sys_days day;  ///< first day of what is known
  Precision precision = Precision::kDay;
  [[nodiscard]] std::string to_sql() const;  ///< "1974-01-01"
  friend bool operator==(const PartialDate&, const PartialDate&) = default;
};

/// The same with time; without one it is midnight UTC of the first day, with a precision that says so.
struct PartialTime {
  WallTime time;
  Precision precision = Precision::kTime;
  [[nodiscard]] std::string to_sql() const;  ///< ISO 8601, UTC
  friend bool operator==(const PartialTime&, const PartialTime&) = default;
};

/// Years 1 to 9999. Nothing for anything that is not exactly a FHIR date.
std::optional<PartialDate> parse_partial_date(std::string_view text);
/// FHIR dateTime or instant. A time needs a zone: an instant without one is a guess, so it is refused.
std::optional<PartialTime> parse_partial_time(std::string_view text);

}  // namespace verbund::importer
