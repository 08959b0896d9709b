#pragma once
/// The queues of a sync as a person looks at them, and what a person does about rejects. Blocking; any thread, one connection each.
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::sync::server {

/// What lies between a device and the source, by device.
struct DeviceQueue {
  std::uint64_t device = 0;
  std::string name, user;
  std::uint64_t input = 0;     ///< blocks of uploads that no sync has taken yet
  std::uint64_t waiting = 0;   ///< changes: their record is held, the source has not answered
  std::uint64_t applying = 0;  ///< changes of which the source has not told yet what became of them
  std::uint64_t rejects = 0;   ///< neither retried nor dismissed
  std::uint64_t output = 0;    ///< blocks of replies that the device has not acknowledged
  std::optional<WallTime> last_reply, last_acknowledged;
};
/// All devices that are not revoked, by number.
Result<std::vector<DeviceQueue>> list_queues(postgres::Connection& mid_tier);

struct WaitingChange {
  std::uint64_t id = 0, device = 0;
  std::string device_name, subscription, key;
  char op = 'U';           ///< I, U, D
  std::string state;       ///< accepted, applying
  std::string waits_for;   ///< "held": its record is held; "source": the feed has not told; empty: it was not tried yet
  WallTime since;
};
inline constexpr std::size_t kMostListed = 1'000;
/// The oldest first, at most kMostListed; `device`: of one, or all.
Result<std::vector<WaitingChange>> list_waiting(postgres::Connection& mid_tier, std::optional<std::uint64_t> device);

struct Reject {
  std::uint64_t id = 0, device = 0;
  std::string device_name, user, subscription, key;
  char op = 'U';
  std::string reason, message;
  std::vector<std::string> columns;
  std::vector<std::optional<std::string>> before, mine, theirs;  ///< of `columns`; empty: there is none (or none that may be shown)
  WallTime decided;
  bool told = false;  ///< the device knows
};
/// The newest first, at most kMostListed.
Result<std::vector<Reject>> list_rejects(postgres::Connection& mid_tier, std::optional<std::uint64_t> device);

/// Judged again, as if the device had made it now: it wins over what was changed since. What comes of it the device hears as others do when it was told of the
/// reject. Errors: kNotFound (no such reject, or it was retried or dismissed).
Status retry_reject(postgres::Connection& mid_tier, std::uint64_t id);
/// Nobody wants to see it any more. Errors: kNotFound.
Status dismiss_reject(postgres::Connection& mid_tier, std::uint64_t id);

}  // namespace verbund::sync::server
