#pragma once
/// The log as lines of JSON (file, rotated) or as readable text (terminal), by spdlog. Any thread.
#include <filesystem>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/result.h"

namespace verbund::os {

struct LogSettings {
  std::optional<std::filesystem::path> file;  ///< JSON lines, rotated at 10 MiB, 5 kept
  bool terminal = true;                       ///< readable lines on standard error
  LogLevel file_level = LogLevel::kInfo;
  LogLevel terminal_level = LogLevel::kWarning;
};
Result<std::unique_ptr<Log>> open_log(const LogSettings& settings);
/// Drops everything (tests, one-shot commands).
Log& null_log();

}  // namespace verbund::os
