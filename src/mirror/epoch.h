#pragma once
/// (term, start count) of this node as a lock authority, kept in the file agent/epoch. One thread.
#include <filesystem>

#include "base/ids.h"
#include "base/result.h"

namespace verbund::mirror {

/// Raises the start count, durably, and returns the new epoch; (1, 1) when there is no file yet. Greater than every
/// epoch returned before. A start count of 65535 is followed by the next term, so that tokens go on growing.
/// Errors: kBadJournal (damaged: it is never guessed, since a lower epoch would give tokens twice), kIo, kDiskFull.
Result<LockEpoch> next_epoch(const std::filesystem::path& file);

/// Begins a term above both the file's and `above`, durably: after a restore no token or csn of before is given again. A damaged file
/// is replaced when `above` is known to be the highest. The next start has start count `starts` + 1. `member` (pair.h) of a pair: only a term of its own. Errors: kUnsupported, kIo, kDiskFull.
Result<Term> begin_term(const std::filesystem::path& file, Term above, std::uint16_t starts = 0, std::uint64_t member = 0);

/// Begins `term` unless it is the file's already. Errors: kInternal (the file's is higher), kBadJournal, kIo, kDiskFull.
Status begin_exactly(const std::filesystem::path& file, Term term);

/// Without raising it. Errors: kNotFound, kBadJournal.
Result<LockEpoch> read_epoch(const std::filesystem::path& file);

}  // namespace verbund::mirror
