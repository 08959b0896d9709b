#include "backup/database.h"

namespace verbund::backup {
namespace {

/// Of Windows' file systems, which may lie on the medium.
std::string fit_for_a_file(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool refused = static_cast<unsigned char>(c) < 0x20 || std::string_view("/\\:*?\"<>|").find(c) != std::string_view::npos;
    out += refused ? '-' : c;
  }
  return out;
}

}  // namespace

std::string dump_file_name(std::chrono::year_month_day day, std::string_view database, std::string_view host, std::string_view this_machine,
                           const std::function<bool(const std::string&)>& taken) {
  const bool socket = host.empty() || host.front() == '/' || host.front() == '@';
  const std::string stem = fmt::format("{:04}{:02}{:02}_{}_{}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                                       static_cast<unsigned>(day.day()), fit_for_a_file(database), fit_for_a_file(socket ? this_machine : host));
  std::string name = stem + ".backup";
  for (int number = 2; taken(name); ++number) name = fmt::format("{}_{}.backup", stem, number);
  return name;
}

}  // namespace verbund::backup
