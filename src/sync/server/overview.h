#pragma once
/// How the devices stand, for people: who has synced when, what waits, what was rejected; what of it needs somebody. Blocking; any thread, one connection each.
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::sync::server {

struct DeviceStand {
  std::uint64_t id = 0;
  std::string name, user, state;     ///< "active", "disabled"
  std::uint64_t split_from = 0;      ///< it is a copy of that one's database; 0: it is none
  WallTime enrolled{};
  std::optional<WallTime> synced = {};    ///< the last sync that it has acknowledged
  std::uint64_t waiting = 0;         ///< changes that are not decided
  std::uint64_t rejects = 0;         ///< neither retried nor dismissed
  std::optional<WallTime> rejected = {};  ///< the oldest of them
  std::uint64_t behind = 0;          ///< subscriptions that it does not have as of now
};
/// All devices that are not revoked, by number.
Result<std::vector<DeviceStand>> device_stands(postgres::Connection& mid_tier);

struct Patience {
  std::chrono::days not_synced{7};  ///< zero: however long
  std::chrono::days unread{3};      ///< rejects; zero: however long
};
/// What needs a person. `key`: the same as long as the trouble lasts. Pure.
struct DeviceTrouble {
  std::string key;
  Phrase text;
};
/// Active, and for too long without a sync.
bool is_away(const DeviceStand& device, const Patience& patience, WallTime now);
std::vector<DeviceTrouble> troubles_of(const std::vector<DeviceStand>& devices, const Patience& patience, WallTime now);

}  // namespace verbund::sync::server
