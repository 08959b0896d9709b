#pragma once
/// How the mirror follows: [mirror] of verbund.toml, and what `verbund mirror follow` has set since (DIR/mirror/follow.json, which comes
/// first). They are production's; the mirror hears them with each heartbeat. Values; file I/O in load and save.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "base/result.h"
#include "base/time.h"
#include "platform/os/config_file.h"

namespace verbund::node {

/// [mirror] but for `listen`.
struct FollowConfig {
  bool synchronous = false;             ///< commits wait until they are on the mirror's disk
  seconds fall_back_after{3};           ///< but no longer than this
  seconds interval{0};                  ///< 0: streams; else log is shipped at least this often
  std::uint64_t archive_gb = 10;        ///< of log kept, packed, for a mirror that was away for longer than its slot lasts; 0: none
};
/// Errors: kBadConfig.
Result<FollowConfig> read_follow_config(os::ConfigFile& file);

/// What can be switched at run time.
struct FollowMode {
  bool synchronous = false;
  seconds interval{0};                  ///< 0: streams
  [[nodiscard]] bool periodic() const { return interval.count() > 0; }
  friend bool operator==(const FollowMode&, const FollowMode&) = default;
};
/// Errors: kDamaged, kIo.
Result<FollowMode> load_follow_mode(const std::filesystem::path& directory, const FollowConfig& config);
Status save_follow_mode(const std::filesystem::path& directory, const FollowMode& mode);

boost::json::object to_json(const FollowMode& mode);
/// Errors: kBadMessage.
Result<FollowMode> follow_mode_from(const boost::json::object& object);
/// `base` with those members that the request has; a periodic mirror can't be waited for. Errors: kBadMessage, kUsage.
Result<FollowMode> changed_mode(const FollowMode& base, const boost::json::object& request);

/// "10min", "90s", "1h"; 1 s to 24 h. Errors: kUsage.
Result<seconds> parse_interval(std::string_view text);

}  // namespace verbund::node
