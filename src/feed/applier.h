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
  /// `spare`: for so many changes more than there are the journal is made room.
  Applier(const Tables& tables, Cursor head, Term term, std::size_t listed, std::uint64_t spare)
      : tables_(tables), head_(std::move(head)), term_(term), records_(listed), spare_(spare), layouts_(tables.all.size()),
        old_row_bytes_(tables.all.size(), kAssumedRowBytes) {}

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
  Status flush(BatchWriter& mid_tier, JournalPart& part, std::optional<Lsn> position);
  [[nodiscard]] std::size_t stretch_length(std::span<const Step> rest) const;
  Status enter_layouts(BatchWriter& mid_tier, std::span<const Step> steps);
  Status note_images(const RowChange& change, const Row* old, JournalChange& journal) const;
  Status keep_truncated(BatchWriter& mid_tier, std::size_t table, JournalPart& part);
  Status keep_rows(BatchWriter& mid_tier, std::size_t table, const std::vector<std::string>& keys, JournalPart& part);
  Status fill_unchanged(const World& world, RowChange& change) const;
  void note_records(const World& world, const RowChange& change, const Row* old, std::vector<RecordKey>& touched);
  void note_root(const Mapping& mapping, const RowChange& change, const std::string& table, std::vector<RecordKey>& touched);
  void announced(const Announced& step, JournalPart& part);
  Status truncated(BatchWriter& mid_tier, const Truncated& step, JournalPart& part);
  void reshaped(const Reshaped& step, JournalPart& part);
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
  std::uint64_t spare_;
  Csn room_;  // the first csn that the journal has no part for; 0: not known yet

  /// Assumed of a table's rows until some were read: makes the first stretches short.
  static constexpr std::size_t kAssumedRowBytes = 32 * 1024;
  std::vector<int> layouts_;                // feed.layout, by table; 0: not known yet
  std::vector<std::size_t> old_row_bytes_;  // of a row read for its image, by table: what was last read, on average
};

}  // namespace verbund::feed
