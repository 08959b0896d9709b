#pragma once
/// The journal's parts: partitions of feed.change and feed.transaction by csn, made as changes come, dropped as wholes.
/// Functions block on the connection they are given.
#include "feed/journal.h"

namespace verbund::feed {

/// Makes room for changes up to `last` and `spare` more. Within the batch. Returns the first csn that has no room.
Result<Csn> extend_journal(postgres::Connection& mid_tier, Csn last, std::uint64_t spare);

/// What is kept of the journal at least, and at most but for one part.
struct Retention {
  std::uint64_t rows = 0;
  seconds age{0};           ///< 0: whatever it is
  std::uint64_t bytes = 0;  ///< on disk; 0: whatever it is
};
/// A consumer that is so many times the rows or bytes behind loses what it has not read: the disk is bounded, too.
inline constexpr std::uint64_t kConsumerPatience = 4;
/// Parts are about so many times smaller than what is kept.
inline constexpr std::uint64_t kJournalParts = 8;

/// Drops the oldest part when all of it is beyond one of the limits and read by all consumers. False: it is not. kTimedOut:
/// somebody reads the journal for long.
Result<bool> prune_journal(postgres::Connection& mid_tier, const Retention& retention);

}  // namespace verbund::feed
