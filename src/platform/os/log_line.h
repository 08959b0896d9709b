#pragma once
/// One event as a line. Whatever the fields hold, the result is one line of valid UTF-8 without control characters, so
/// that nobody can forge an entry or move the cursor of a terminal. For this folder's units only; pure, any thread.
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/time.h"

namespace verbund::os {

/// {"time":"…Z","level":"info","event":"session.lost","session":"7"}; values are strings. A field called time, level or
/// event gets a '_' behind its name.
std::string json_line(WallTime time, LogLevel level, std::string_view event, std::initializer_list<LogField> fields);
/// 2026-11-22T03:04:05.123456Z WARNING session.lost session=7 user="Dr. Adler"
std::string readable_line(WallTime time, LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

}  // namespace verbund::os
