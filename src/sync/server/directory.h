#pragma once
/// Who the devices are and what rules are in force, as the sessions of this folder need it. Implemented by the rules' store; by a list in tests.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "platform/os/sealed_box.h"
#include "sync/model/messages.h"
#include "sync/model/rules.h"

namespace verbund::sync::server {

struct DeviceIdentity {
  std::uint64_t id = 0;
  std::string name, user;
  std::uint64_t generation = 0;  ///< another one: what the device has counts for nothing, it gets everything anew
  std::uint64_t split_from = 0;  ///< the device whose database this one's was copied from; 0: it has begun on its own
};

struct RulesInForce {
  Rules rules;
  std::map<std::string, std::uint64_t> versions;  ///< of each subscription; another one: its definition is another
};

/// From any thread; may block.
class Directory {
 public:
  virtual ~Directory() = default;
  /// Errors: kUnauthenticated, kRevoked, kForbidden (disabled: says so).
  virtual Result<DeviceIdentity> authenticate(std::string_view authorization, const std::string& address) = 0;
  /// For what a device has left here. Nobody: it is gone, disabled or revoked, or its user is.
  virtual Result<std::optional<DeviceIdentity>> device(std::uint64_t id) = 0;
  /// Errors: kUnauthenticated (no such code, used, too old), kBadMessage.
  virtual Result<EnrolReply> enrol(const EnrolRequest& request, const std::string& address) = 0;
  /// A device for a copy of this one's database, which `call` (a hash) has shown to be one; the same for the same call, until it has called itself.
  /// Errors: kRateLimited (too many of one device in a day).
  virtual Result<EnrolReply> split(const DeviceIdentity& device, const std::string& call, const std::string& address) = 0;
  /// The keys of a device's lease: made with the first call, the same ever after.
  virtual Result<os::BoxKeys> lease_keys(const DeviceIdentity& device) = 0;
  virtual Result<std::shared_ptr<const RulesInForce>> rules() = 0;
};

/// How far the feed is. From any thread.
class FeedProgress {
 public:
  virtual ~FeedProgress() = default;
  /// Until the mid-tier has everything that committed before this position of the source's log. False: not in time.
  virtual bool wait_until_passed(Lsn lsn, Deadline deadline) = 0;
};

}  // namespace verbund::sync::server
