#pragma once
/// Times, sizes and durations as people of either language write them. Pure; any thread. Inside this folder only.
#include <string>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/messages.h"
#include "base/time.h"

namespace verbund::backup::shown {

/// "2026-11-22" or "2026-11-22T01:30:00" → "22.11.2026 01:30" in German, "2026-11-22 01:30" in English; anything else as it is.
std::string moment(std::string_view iso, Language language);
std::string moment(WallTime time, Language language);
std::string day(WallTime time, Language language);
/// "01:30:05"
std::string clock(WallTime time);
/// "1,4 GB", "1.4 GB"
std::string bytes(std::uint64_t bytes, Language language);
/// "3.2 s", "12 min 5 s", "1 h 2 min"
std::string span(milliseconds span, Language language);
/// "+12 %", "±0 %"; empty: there is nothing to compare with.
std::string change(std::uint64_t now, std::optional<std::uint64_t> before, Language language);

}  // namespace verbund::backup::shown
