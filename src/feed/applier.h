#pragma once
/// Turns steps of the stream into csns, events, journal rows and shadow rows. One thread; inside the caller's mid-tier
/// batch. A source transaction may come in several chunks.
#include "feed/journal.h"
#include "feed/record_set.h"
#include "feed/shadow.h"
#include "feed/world.h"

namespace verbund::feed {

class Applier {
 public:
  Applier(const Tables& tables, Cursor head, Term term, std::size_t listed)
      : tables_(tables), head_(std::move(head)), term_(term), records_(listed) {}

  /// Applies a chunk. With `position` (only between transactions) this is the last of the mid-tier transaction.
  /// Errors: kSnapshotNeeded (the shadow does not have what the stream builds on), those of Connection.
  Status apply(BatchWriter& mid_tier, std::vector<Step> steps, std::optional<Lsn> position);

  [[nodiscard]] const Cursor& head() const { return head_; }
  /// Events of transactions that were completed since the last call: to hand on once the mid-tier has committed.
  std::vector<TransactionEvent> take_events() { return std::exchange(events_, {}); }

 private:
  Csn next_csn();
  Status apply_stretch(BatchWriter& mid_tier, std::span<Step> steps, JournalPart& part);
  Status write_stretch(BatchWriter& mid_tier, const World& world);
  Status row_changed(World& world, RowChange& change, JournalPart& part);
  Status fill_unchanged(const World& world, RowChange& change) const;
  void note_records(const World& world, const RowChange& change, const Row* old, std::vector<RecordKey>& touched);
  void note_root(const Mapping& mapping, const RowChange& change, const std::string& table, std::vector<RecordKey>& touched);
  void announced(const Announced& step, JournalPart& part);
  Status truncated(BatchWriter& mid_tier, const Truncated& step, JournalPart& part);
  void committed(JournalPart& part);

  const Tables& tables_;
  Cursor head_;
  Term term_;
  Begun open_;
  bool is_open_ = false;
  Csn first_csn_;  // of the open transaction; 0: it has none yet
  SessionId by_;
  RecordSet records_;
  Gone gone_;
  std::vector<TransactionEvent> events_;
};

}  // namespace verbund::feed
