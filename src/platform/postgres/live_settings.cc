#include "platform/postgres/live_settings.h"

#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::postgres {
namespace {

constexpr std::size_t kMaxBytes = 64UL * 1024;

}  // namespace

std::string setting_line(std::string_view name, std::string_view value) {
  std::string line = fmt::format("{} = '", name);
  for (const char c : value) {
    if (c == '\'' || c == '\\') line.push_back(c);
    line.push_back(c);
  }
  return line + "'\n";
}

std::filesystem::path live_settings_file(const std::filesystem::path& server) { return server / "live.conf"; }

Status write_live_settings(const std::filesystem::path& server, const std::map<std::string, std::string>& settings) {
  std::string text = "# Written by verbund while the server runs.\n";
  for (const auto& [name, value] : settings) text += setting_line(name, value);
  return os::write_file_atomically(live_settings_file(server), text, 0644);
}

Result<std::map<std::string, std::string>> read_live_settings(const std::filesystem::path& server) {
  std::map<std::string, std::string> settings;
  auto text = os::read_file(live_settings_file(server), kMaxBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return settings;
  if (!text) return pass(text);
  std::string_view rest = *text;
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.empty() || line.starts_with('#')) continue;
    const auto equals = line.find(" = '");
    if (equals == std::string_view::npos || !line.ends_with('\'') || line.size() < equals + 5) {
      return fail(ErrorCode::kDamaged, phrase("read {}: it is not as it was written", live_settings_file(server).string()), phrase("Remove it and start the node anew."));
    }
    std::string value;
    const auto quoted = line.substr(equals + 4, line.size() - equals - 5);
    for (std::size_t i = 0; i < quoted.size(); ++i) {
      value += quoted[i];
      if ((quoted[i] == '\'' || quoted[i] == '\\') && i + 1 < quoted.size()) ++i;  // doubled
    }
    settings.emplace(line.substr(0, equals), value);
  }
  return settings;
}

}  // namespace verbund::postgres
