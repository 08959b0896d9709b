#pragma once
/// What a node must not find as it was after databases have come back from a set: numbers that were given since. Blocking; one thread.
#include "backup/office_swap.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "node/installation.h"

namespace verbund::node {

/// After source, mid-tier or both were restored, the server running, before a node starts: the feed begins a new history and
/// compares all (equal rows keep their version); csns and fencing tokens go on in a term above every earlier one that is known here, in
/// the mid-tier and `above`, and apart from those of other restores of the same set, by `now` (docs/adr/0017); session ids are
/// skipped. Can be repeated. Returns the term. Errors: those of the database, kIo.
Result<Term> begin_after_restore(const Installation& installation, const postgres::ConnectionSettings& superuser, Term above, const std::string& set,
                                 WallTime now);

/// The same for a restore in place, when it is the feed's databases that were exchanged; the journals of sets get a line.
Status begin_after_exchange(const Installation& installation, const postgres::ConnectionSettings& superuser, const backup::OfficeSwap& swap, WallTime now);

/// Where a restore's term begins at least: days since 2026; and its start count: sixteen for each minute of the day, since two offices
/// that come from one set were not made in the same minute. A clock that is far off is not believed. Pure.
struct Beginning {
  Term at_least;
  std::uint16_t starts = 0;
};
Beginning beginning_at(WallTime now);

}  // namespace verbund::node
