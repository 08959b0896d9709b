#pragma once
/// Uploads of devices: queue, staging, change data (D2, D4, D5). Blocking; any thread, one connection each.
#include "sync/server/bound.h"

namespace verbund::sync::server {

/// Of one device, that no sync has taken yet.
inline constexpr std::uint64_t kMaxInputBytes = 2'000'000'000;
/// Keeps a block of an upload until the sync that names it. Again: nothing happens. Errors: kBadMessage, kTooLarge (`most` of the device are here already).
Status keep_block(postgres::Connection& mid_tier, std::uint64_t device, std::uint64_t upload, std::uint32_t block, std::string_view content, std::uint64_t most = kMaxInputBytes);

/// The upload that a request names becomes change data, all of it or nothing, once. What can't be read as the column's type, or is of a subscription that is not
/// the user's, becomes a reject at once. `bounds`: what the device may sync. Errors: kNotFound (blocks are missing: send them again), kBadMessage (they are not
/// those of the hash), kAlreadyExists (another upload had this number: somebody has copied the device's database). `history`: the feed's; bases of another one say nothing.
Status take_upload(postgres::Connection& mid_tier, const DeviceIdentity& device, const SyncRequest& request, const std::vector<Bound>& bounds, const std::string& history);

}  // namespace verbund::sync::server
