#pragma once
/// Devices and invitations, in schema `sync` of the mid-tier database. Secrets are 256 random bits and stored as BLAKE2b. Blocking; any thread, one connection each.
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "platform/postgres/connection.h"
#include "sync/server/directory.h"

namespace verbund::sync::server {

enum class DeviceState { kActive, kDisabled, kRevoked };
std::string_view to_wire(DeviceState state);  ///< "active", "disabled", "revoked"

struct Device {
  std::uint64_t id = 0;
  std::string name, user;
  DeviceState state = DeviceState::kActive;
  std::uint64_t generation = 0;
  WallTime enrolled;
  std::optional<WallTime> last_sync;
  std::string last_address;
};

struct NewInvitation {
  std::string user;
  std::string device_name;          ///< empty: as the device calls itself
  std::string fingerprint;          ///< of the authority, 32 raw bytes (access::fingerprint); goes into the code
  std::chrono::minutes valid{60};   ///< 1 min to 30 days
};
struct DeviceInvitation {
  std::string code;  ///< shown once; only its hash is kept
  WallTime until;
};
inline constexpr std::chrono::minutes kMaxInvitation{30 * 24 * 60};

/// Errors: kNotFound (the rules know no such user), kForbidden (a disabled one), kUsage (a time out of range, a name that can't be one).
Result<DeviceInvitation> invite(postgres::Connection& mid_tier, const NewInvitation& wanted, WallTime now);
/// Uses the code up and makes the device. Errors: kUnauthenticated (no such code, used, too old), kForbidden (the user is gone or disabled), kUsage (a name that can't be one).
Result<EnrolReply> enrol(postgres::Connection& mid_tier, const EnrolRequest& request, WallTime now);
/// "Device ID:SECRET". Notes when and from where, to ten seconds. Errors: kUnauthenticated (nobody with this secret), kRevoked, kForbidden (the device is disabled, its
/// user disabled or gone: says which).
Result<DeviceIdentity> authenticate(postgres::Connection& mid_tier, std::string_view authorization, const std::string& address, WallTime now);

/// One that may sync at present, as it would be authenticated; nobody: it is gone, disabled or revoked, or its user is.
Result<std::optional<DeviceIdentity>> active_device(postgres::Connection& mid_tier, std::uint64_t id);
/// Made with the first call, the same ever after. Errors: kNotFound.
Result<os::BoxKeys> lease_keys(postgres::Connection& mid_tier, std::uint64_t device);
/// A device for a copy of another one's database (docs/protocol/devices.md, "Copies"). `call`: what showed it; the same call gets the same device, with another secret, until
/// that one has called. Errors: kRateLimited (ten of one device within a day).
Result<EnrolReply> split(postgres::Connection& mid_tier, const DeviceIdentity& device, const std::string& call, WallTime now);
Result<std::vector<Device>> list_devices(postgres::Connection& mid_tier);
/// A revoked device stays revoked: it is enrolled anew. Errors: kNotFound, kForbidden.
Status set_state(postgres::Connection& mid_tier, std::uint64_t device, DeviceState state);

/// Whose devices.
struct Whose {
  enum class By { kDevice, kUser, kGroup, kAll } by = By::kAll;
  std::string name;  ///< the device's id, the user's or group's name
};
/// What these devices have counts for nothing any more: their next sync brings everything anew. Returns how many. Errors: kNotFound (no such device, user, group).
Result<std::uint64_t> reset(postgres::Connection& mid_tier, const Whose& whose);

}  // namespace verbund::sync::server
