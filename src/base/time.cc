#include "base/time.h"

#include <fmt/chrono.h>

namespace verbund {

std::string to_iso8601(WallTime time) {
  const auto whole = std::chrono::floor<seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                     (time - whole).count());
}

}  // namespace verbund
