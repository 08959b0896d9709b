#include "mirror/upgrade.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace verbund::mirror {
namespace {

/// Takes the next part off. What does not begin with a number counts as 0.
std::uint32_t take_part(std::string_view& version) {
  const auto part = version.substr(0, version.find('.'));
  version.remove_prefix(std::min(part.size() + 1, version.size()));
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
  return error == std::errc{} ? number : 0;
}

}  // namespace

std::string_view to_string(UpgradeStep step) {
  constexpr std::string_view kNames[] = {"nothing", "update_mirror", "switch_over", "unknown"};
  return kNames[static_cast<std::size_t>(step)];
}

int compare_versions(std::string_view one, std::string_view other) {
  auto first = one, second = other;
  while (!first.empty() || !second.empty()) {
    const auto a = take_part(first), b = take_part(second);
    if (a != b) return a < b ? -1 : 1;
  }
  return one.compare(other);
}

UpgradeStep next_step(const Versions& production, const Versions& mirror) {
  for (const auto* each : {&production, &mirror}) {
    if (each->program.empty() || each->postgres.empty()) return UpgradeStep::kUnknown;
  }
  const int program = compare_versions(mirror.program, production.program), postgres = compare_versions(mirror.postgres, production.postgres);
  if (program < 0 || postgres < 0) return UpgradeStep::kUpdateMirror;
  return program > 0 || postgres > 0 ? UpgradeStep::kSwitchOver : UpgradeStep::kNothing;
}

}  // namespace verbund::mirror
