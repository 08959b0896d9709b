#pragma once
/// The replication slot on the source, and whether the stored position still continues what it has.
#include <optional>
#include <string>

#include "feed/journal.h"
#include "platform/postgres/replication.h"

namespace verbund::feed {

struct Slot {
  Lsn confirmed;
  bool lost = false;      ///< the server has removed WAL that it needed
  bool foreign = false;   ///< of another database or plugin
};
/// nullopt: there is none. Blocking.
Result<std::optional<Slot>> read_slot(postgres::Connection& source, const std::string& name);
/// Errors: kInUse. Blocking.
Status drop_slot(postgres::Connection& source, const std::string& name);

/// nullopt: the log goes on. `follows_promotions`: a new timeline alone takes nothing back that was handed on. Pure.
std::optional<Loss> loss_of(const Position& position, const postgres::SystemIdentity& server, const std::optional<Slot>& slot,
                            const std::string& slot_name, bool follows_promotions = false);

}  // namespace verbund::feed
