#pragma once
/// Clock time in Germany -> instant. GDT and BDT write local time without a zone; both are German formats. Pure.
#include "base/time.h"

namespace verbund::importer {

/// Central European time with the summer time rules in force since 1980 (none between 1950 and 1979). Of the hour that
/// comes twice in autumn the first is taken; the hour that spring leaves out counts as winter time.
WallTime from_german_clock(std::chrono::sys_days day, std::chrono::seconds time_of_day);

}  // namespace verbund::importer
