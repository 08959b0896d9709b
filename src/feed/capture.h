#pragma once
/// Reads the stream, batches it, commits batches in the mid-tier, then hands events on and confirms the slot. One thread.
#include <functional>

#include "feed/applier.h"
#include "feed/continuity.h"
#include "feed/journal_parts.h"
#include "feed/pgoutput.h"
#include "feed/setup.h"
#include "feed/stream_reader.h"

namespace verbund::feed {

/// What the capture thread tells its owner; called from it, in this order per batch.
struct CaptureEvents {
  std::function<void(const Cursor&)> on_stored;  ///< before the transactions up to there are handed on
  std::function<void(TransactionEvent)> on_transaction;
  std::function<void(Lsn passed, Lsn server_end)> on_passed;
  std::function<void()> on_message;                ///< something came from the server
  std::function<void(std::uint64_t changes)> on_changes;
  std::function<void(WallTime commit_time)> on_commit;  ///< the commit of a transaction has been read
  std::function<void(std::uint32_t relation)> on_truncated;
  std::function<void(nanoseconds took)> on_written;     ///< a batch with changes was written and committed
  std::function<void()> before_write, after_write;      ///< around each commit in the mid-tier; the first may wait
};

class Capture {
 public:
  Capture(const FeedSettings& settings, Prepared& prepared, CaptureEvents events, const Clock& clock, Log& log)
      : settings_(settings), prepared_(prepared), events_(std::move(events)), clock_(clock), log_(log),
        applier_(prepared.tables, prepared.position.head, settings.term, settings.listed_changes_per_event,
                 settings.journal_rows_kept / kJournalParts),
        reader_(prepared.stream), stored_(prepared.position.lsn), passed_(stored_), stored_at_(clock.now()), told_at_(stored_at_) {}

  /// Until the stream is interrupted (kCancelled) or something fails.
  Error run();
  /// The relation whose columns were not those of the shadow, when `run` ended for this.
  [[nodiscard]] std::optional<std::uint32_t> strange_relation() const { return strange_; }
  /// `run` ended because the source's log is not the one that was stored.
  [[nodiscard]] bool forked() const { return forked_; }
  /// Ends `run` after what has come whole. From any thread.
  void interrupt() { reader_.interrupt(); }

 private:
  /// A relation as the log describes it now.
  struct Incoming {
    std::size_t table = 0;
    std::size_t columns = 0;           // of a row in the log
    std::vector<std::int32_t> places;  // of the table's columns in it; -1: older than the column
    std::string strange;               // why its rows can't be understood; empty: they can

    [[nodiscard]] Status check(const pgoutput::Tuple& tuple) const;
    [[nodiscard]] std::string key_of(const CapturedTable& captured, const pgoutput::Tuple& row, const pgoutput::Tuple* old) const;
    /// Copies the values out of the stream's buffer; returns their size.
    std::size_t copy_row(const CapturedTable& captured, const pgoutput::Tuple& tuple, const pgoutput::Tuple* old, RowChange& change) const;
  };

  Status start();
  std::unexpected<Error> fork();
  Status step();
  Status take(std::string_view data);
  Status take(const pgoutput::Begin& begin);
  Status take(const pgoutput::Commit& commit);
  Status take(const pgoutput::Origin&) { return {}; }
  Status take(const pgoutput::Relation& relation);
  Status take(const pgoutput::Type&) { return {}; }
  Status take(const pgoutput::Insert& insert);
  Status take(const pgoutput::Update& update);
  Status take(const pgoutput::Delete& gone);
  Status take(const pgoutput::Truncate& truncate);
  Status take(const pgoutput::LogicalMessage& message);
  Incoming understand(const pgoutput::Relation& relation, std::size_t table) const;
  /// The captured table that a change is for; nullptr: not ours, or in the shadow already.
  Result<const Incoming*> table_of(std::uint32_t relation);
  Status add(RowChange change, std::size_t bytes);
  Status flush_chunk();
  Status commit_batch();
  Status keep_position();
  BatchWriter& batch();
  void tell_passed(Lsn passed);

  const FeedSettings& settings_;
  Prepared& prepared_;
  CaptureEvents events_;
  const Clock& clock_;
  Log& log_;
  Applier applier_;
  StreamReader reader_;

  std::unordered_map<std::uint32_t, std::optional<Incoming>> relations_;
  std::optional<std::uint32_t> strange_;
  Continuity continuity_;
  bool forked_ = false;
  std::optional<BatchWriter> batch_;
  std::vector<Step> steps_;
  std::size_t step_rows_ = 0;     // rows in steps_
  std::size_t step_bytes_ = 0;
  bool anything_ = false;         // the batch holds changes, in steps_ or applied already
  std::optional<TimePoint> batch_began_;
  std::size_t batch_transactions_ = 0;
  TimePoint rests_until_{};       // no commit with changes before
  bool in_transaction_ = false;   // of the source
  bool skipping_ = false;
  Lsn transaction_lsn_;
  Lsn complete_;                  // end of the last whole transaction in the batch
  Lsn stored_;                    // position in the mid-tier, confirmed to the slot
  Lsn passed_;
  Lsn server_end_;
  TimePoint stored_at_;
  TimePoint told_at_;
};

}  // namespace verbund::feed
