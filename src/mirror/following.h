#pragma once
/// What production and mirror ask their PostgreSQL about the pair: role and slot of a mirror, heartbeats, what has been received.
/// Blocking; one thread per connection. What follows from it: loss.h, pair_engine.h.
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "mirror/pair.h"
#include "platform/postgres/connection.h"

namespace verbund::mirror {

/// "verbund_mirror_2": role and slot of the mirror with this number.
std::string mirror_role(Member member);

/// How much log production keeps for a mirror that is away: half of the free disk, at least 1 GB, at most 100 GB. More would let an
/// absent mirror stop production; less would make every short absence a new copy.
std::uint64_t slot_keep_bytes(std::uint64_t free_bytes);

/// On production, as superuser: the role (REPLICATION, pg_monitor, nothing else) with this password and the physical slot, which keeps the
/// log from now on; both may exist. Limits what slots may keep to `keep_bytes`, at once and durably.
Status admit_mirror(postgres::Connection& superuser, Member member, const std::string& password, std::uint64_t keep_bytes);
/// The other way: ends its connections, drops slot and role.
Status dismiss_mirror(postgres::Connection& superuser, Member member);

/// On production: what it says of itself. The numbers are read so that Beat's promises hold.
Result<Beat> read_beat(postgres::Connection& production);

/// Whether production still has all that the mirror needs.
struct SlotSafety {
  bool active = false;                      ///< the mirror is connected; says nothing about how far it has come
  bool lost = false;                        ///< it needs a new copy
  std::uint64_t kept_bytes = 0;             ///< log that is kept for it
  Lsn from;                                 ///< where that begins; 0 when it is lost
  std::optional<std::uint64_t> safe_bytes;  ///< so much may be written until it is lost; absent: without limit
};
/// Errors: kNotFound (no such slot).
Result<SlotSafety> read_slot(postgres::Connection& production, Member member);

/// On the mirror.
struct Received {
  Lsn received;                   ///< on its disk; never beyond what production has written
  Lsn replayed;                   ///< can be read
  std::uint32_t timeline = 0;
  bool streaming = false;         ///< connected; says nothing about how far it has come
  bool in_recovery = false;
};
Result<Received> read_received(postgres::Connection& mirror);

}  // namespace verbund::mirror
