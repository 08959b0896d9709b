#pragma once
/// The captured rows as they are at a point of the stream: the shadow plus what the present chunk changes.
/// One thread. Lives for one chunk; what it says of deleted parents outlives it in `Gone`.
#include <unordered_map>
#include <unordered_set>

#include "feed/batch_writer.h"
#include "feed/steps.h"

namespace verbund::feed {

/// Rows that lead to records and were deleted earlier in a transaction that is longer than one chunk. Bounded: what is
/// lost beyond it are only table names of events, since the parent's own deletion has named the record already.
class Gone {
 public:
  static constexpr std::size_t kMaxRows = 100'000;
  void add(std::size_t lookup, std::string joined, Row row) {
    if (rows_.size() < kMaxRows) rows_.insert_or_assign({lookup, std::move(joined)}, std::move(row));
  }
  [[nodiscard]] const Row* find(std::size_t lookup, const std::string& joined) const {
    const auto found = rows_.find({lookup, joined});
    return found == rows_.end() ? nullptr : &found->second;
  }
  void clear() { rows_.clear(); }

 private:
  std::map<std::pair<std::size_t, std::string>, Row> rows_;
};

class World {
 public:
  /// A row that the chunk changes.
  struct Entry {
    Row row;                 ///< all of it while it lives; its last known image when it doesn't; may be empty then
    bool live = false;
    bool in_shadow = false;  ///< the shadow holds a row of this key from before the chunk
    Csn csn;
  };
  using Entries = std::unordered_map<std::string, Entry>;

  World(const Tables& tables, const Gone& gone)
      : tables_(tables), gone_(gone), entries_(tables.all.size()), fetched_(tables.all.size()),
        fetched_by_(tables.lookups.size()), index_(tables.lookups.size()), fetched_whole_(tables.all.size()) {}

  /// What was read of rows as wholes, by table.
  struct Fetched {
    std::size_t rows = 0, bytes = 0;
  };
  [[nodiscard]] const Fetched& fetched_whole(std::size_t table) const { return fetched_whole_[table]; }

  /// Reads from the shadow what `steps` need: old images, unchanged values, parents on the ways to records.
  Status prefetch(BatchWriter& mid_tier, std::span<const Step> steps);

  /// The row before a change: of this chunk, else of the shadow; nullptr when it was not needed or is not there.
  [[nodiscard]] const Row* before(std::size_t table, const std::string& key) const;
  /// The record that `row` of a table belongs to.
  [[nodiscard]] std::optional<std::string> record_of(const Mapping& mapping, const Row& row) const;

  void put(std::size_t table, const std::string& key, Row row, Csn csn, bool is_new);
  void remove(std::size_t table, const std::string& key);

  [[nodiscard]] const Entries& entries(std::size_t table) const { return entries_[table]; }
  /// Deleted parents, for the chunks to come.
  void remember_gone(Gone& gone) const;

 private:
  using Wanted = std::vector<std::unordered_set<std::string>>;  // per table or lookup
  using ChunkRows = std::vector<std::unordered_multimap<std::string, const Row*>>;

  Status fetch_keys(BatchWriter& mid_tier, std::size_t table, const std::unordered_set<std::string>& keys, bool whole);
  Status fetch_lookup(BatchWriter& mid_tier, std::size_t lookup, const std::unordered_set<std::string>& values);
  Status fetch_old(BatchWriter& mid_tier, std::span<const Step> steps);
  Status fetch_parents(BatchWriter& mid_tier, std::span<const Step> steps);
  void explore(const Mapping& mapping, std::size_t hop, const Row& row, const ChunkRows& chunk, Wanted& wanted) const;
  [[nodiscard]] const Row* fetched(std::size_t lookup, const std::string& joined) const;
  [[nodiscard]] const Row* find(std::size_t lookup, const std::string& joined) const;

  const Tables& tables_;
  const Gone& gone_;
  std::vector<Entries> entries_;
  std::vector<std::unordered_map<std::string, Row>> fetched_;     // by key; an empty Row: not in the shadow
  std::vector<std::unordered_map<std::string, Row>> fetched_by_;  // by a lookup that is not the key
  std::vector<std::unordered_map<std::string, std::string>> index_;  // entries by such lookups: joined values → key
  std::vector<Fetched> fetched_whole_;
};

/// Values of some columns as one text; nullopt when one is NULL.
std::optional<std::string> joined_values(const Row& row, std::span<const std::size_t> columns);

}  // namespace verbund::feed
