#pragma once
/// What stands around a run, out of the plan, the roster and the book. Pure; any thread.
#include "backup/report/publish.h"
#include "backup/rotation/duty.h"

namespace verbund::backup {

/// `medium`: id of the one that was written to, empty: none with a label. The people are those who control the report of `night`.
Surroundings surroundings_of(const PlanRules& plan, const DutyRules& duty, const Book& book, const Night& night, const Due& due, const std::string& medium, LocalTime now);

/// Whoever of them can be told by mail; nobody: the administrators of [mail].
std::vector<std::string> addresses(const std::vector<Person>& people);

}  // namespace verbund::backup
