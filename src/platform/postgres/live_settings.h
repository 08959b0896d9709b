#pragma once
/// Settings of an owned server that change while it runs: DIR/live.conf, beside its data directory (so that no copy takes it along), included
/// last. What is written counts from the next reload (`SELECT pg_reload_conf()`) or start on. Any thread, one writer.
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace verbund::postgres {

std::filesystem::path live_settings_file(const std::filesystem::path& server);
/// All of them; no secrets (others may read the file). Errors: kIo, kDiskFull.
Status write_live_settings(const std::filesystem::path& server, const std::map<std::string, std::string>& settings);
/// Empty when there is no file. Errors: kIo, kDamaged.
Result<std::map<std::string, std::string>> read_live_settings(const std::filesystem::path& server);

/// "NAME = 'VALUE'\n", as postgresql.conf has it.
std::string setting_line(std::string_view name, std::string_view value);

}  // namespace verbund::postgres
