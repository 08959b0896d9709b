#pragma once
/// Uploads of devices: queue, staging, change data (D2, D4, D5). Blocking; any thread, one connection each.
#include "sync/server/bound.h"

namespace verbund::sync::server {

/// Keeps a block of an upload until the sync that names it. Again: nothing happens. Errors: kBadMessage, kTooLarge.
Status keep_block(postgres::Connection& mid_tier, std::uint64_t device, std::uint64_t upload, std::uint32_t block, std::string_view content);

/// The upload that a request names becomes change data, all of it or nothing, once. What can't be read as the column's type, or is of a subscription that is not
/// the user's, becomes a reject at once. `bounds`: what the device may sync. Errors: kNotFound (blocks are missing: send them again), kBadMessage (they are not
/// those of the hash), kAlreadyExists (another upload had this number: somebody has copied the device's database).
Status take_upload(postgres::Connection& mid_tier, std::uint64_t device, const SyncRequest& request, const std::vector<Bound>& bounds);

}  // namespace verbund::sync::server
