#pragma once
/// Takes tables in anew as a snapshot of the source has them: shadows get their columns, what differs is written as changes
/// of one transaction of the journal. All or nothing, in one mid-tier transaction. One thread, blocking.
#include "feed/applier.h"
#include "feed/difference.h"
#include "feed/setup.h"

namespace verbund::feed {

/// What is to happen to one captured table.
struct Intake {
  std::size_t table = 0;     ///< index into Tables::all
  Reshaping change{};
  bool fresh = false;        ///< there is no shadow yet
  bool silent = false;       ///< fresh, and its rows are not told
  bool compare = false;

  [[nodiscard]] bool reads_source() const { return fresh || compare; }
};

/// A table that is gone from the source or from the configuration.
struct Dropped {
  KnownTable known;
  std::vector<std::string> root_of, child_of;  ///< record types that are told; empty: nobody is
  bool told = false;
  bool images = false;  ///< TrackedTable::images
};

class Retake {
 public:
  Retake(const FeedSettings& settings, Prepared& to, const Clock& clock, Log& log)
      : settings_(settings), to_(to), clock_(clock), log_(log), batch_(to.mid_tier) {}

  /// `snapshot`: exported, to be read by `to.source`; empty when no intake reads the source. `point`: changes that
  /// committed later are not in it.
  /// `new_history`: the journal begins with it.
  Status run(const std::vector<Intake>& intakes, const std::vector<Dropped>& dropped, const std::string& snapshot, Lsn point,
             bool new_history);
  /// Index of the table that could not be read; nullopt: the error is not of a single table.
  [[nodiscard]] std::optional<std::size_t> failed() const { return failed_; }

 private:
  Status open_snapshot(const std::vector<Intake>& intakes, const std::string& snapshot);
  Status lock_tables(const std::vector<Intake>& intakes);
  Status prepare_shadow(postgres::Connection& mid_tier, const Intake& intake, Lsn point);
  Status fill(const Intake& intake);
  Status compare(const Intake& intake);
  Status forget(const Dropped& dropped, std::size_t table);
  Status tell(Step step);
  Status flush();
  Status finish();

  const FeedSettings& settings_;
  Prepared& to_;
  const Clock& clock_;
  Log& log_;
  BatchWriter batch_;
  std::optional<Applier> applier_;
  std::vector<Step> steps_;
  std::size_t step_bytes_ = 0;
  bool told_ = false;
  std::optional<std::size_t> failed_;
};

}  // namespace verbund::feed
