#pragma once
/// The order in which a pair gets a newer version: the mirror, a switchover, the other machine. Pure; any thread.
#include <string>
#include <string_view>

namespace verbund::mirror {

struct Versions {
  std::string program, postgres;  ///< "1.2.0", "15.14"; empty: not known
};

enum class UpgradeStep {
  kNothing,       ///< both are equal: whoever wants a newer version begins with the mirror
  kUpdateMirror,  ///< something of the mirror is older than production's
  kSwitchOver,    ///< the mirror is newer: it can take over
  kUnknown,       ///< one of them has not said what it is
};
std::string_view to_string(UpgradeStep step);
UpgradeStep next_step(const Versions& production, const Versions& mirror);

/// Numbers between dots one after the other; equal ones by their text. Negative, 0, positive.
int compare_versions(std::string_view one, std::string_view other);

}  // namespace verbund::mirror
