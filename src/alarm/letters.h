#pragma once
/// What people read. Pure; any thread. Inside this folder only.
#include "alarm/states.h"

namespace verbund::alarm {

/// "Praxis Weber: ALARM: no run in the night (+1)"; without recipients and id.
mail::Mail mail_of(const Letter& letter, const Config& config);
/// For the printer.
std::string paper_of(const std::vector<State>& begun, const Config& config, WallTime now);

}  // namespace verbund::alarm
