#pragma once
/// What differs between a table of the source, as a snapshot has it, and its shadow. Equal rows cost a hash on either side
/// and don't travel: both databases sum up their rows by buckets of keys at the same time, and only buckets whose sums
/// differ are read, in the order of the key. Memory: a number per bucket and a page of rows. One thread, blocking; while
/// `run` lasts a second thread waits for the source.
#include <functional>

#include "feed/steps.h"

namespace verbund::feed {

struct Differences {
  std::uint64_t compared = 0;  ///< rows of the source
  std::uint64_t inserted = 0, updated = 0, deleted = 0;
};

class Comparison {
 public:
  using Sink = std::function<Status(RowChange)>;

  /// `source` is in a transaction whose snapshot counts, `shadow` in the one that the changes are written in.
  Comparison(postgres::Connection& source, postgres::Connection& shadow) : source_(source), shadow_(shadow) {}

  /// Calls `sink` with what makes the shadow equal, by ascending key; `sink` may write to the shadow. `index` stands in the
  /// changes as their table.
  Result<Differences> run(const CapturedTable& table, std::size_t index, const Sink& sink);

 private:
  using Conditions = std::optional<std::pair<std::string, std::string>>;

  Result<bool> hashes_alike();
  Result<Conditions> differing(const CapturedTable& table, Differences& result);

  postgres::Connection& source_;
  postgres::Connection& shadow_;
  std::optional<bool> alike_;
};

}  // namespace verbund::feed
