#pragma once
/// config/P2P.properties: how workstations are taken in. Each key with default and limits; the file that `init` writes
/// is made from the same table, so documentation and parser can't differ.
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "platform/os/config_file.h"
#include "protocol/messages.h"

namespace verbund::cluster {

struct Settings {
  protocol::Mode mode = protocol::Mode::kShared;
  std::uint16_t first_port = 2223;   ///< Terminalservice: first port of the range
  std::uint16_t port_count = 50;     ///< and how many: bounds the number of simultaneous clients
  milliseconds accept_timeout{10'000};
  milliseconds heartbeat{5'000};
  milliseconds suspect{10'000};
  milliseconds lease{30'000};
  milliseconds reconnect{35'000};    ///< reconnect window: lease plus margin (must be >= lease + 1 s)
  milliseconds jitter{500};
  milliseconds release_wait{2'000};  ///< a release waits at most so long for its changes
  bool read_while_locked = true;
  std::size_t max_sessions = 20'000;
  std::size_t max_locks_per_session = 4096;
};

/// Errors: kBadConfig with file, line and range.
Result<Settings> read_settings(os::ConfigFile& file);
/// The commented file with all keys at their defaults, in German and English.
std::string default_properties();

}  // namespace verbund::cluster
