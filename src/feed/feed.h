#pragma once
/// The ordered change log: captures the source database's WAL through one logical slot, writes the journal and the
/// shadow tables in the mid-tier database, hands each committed transaction on in commit order.
///
/// Threads: one capture thread of its own; callbacks come from it. All methods but start and stop from any thread.
/// Exactly once: journal rows, shadow changes and the position commit in one mid-tier transaction; the slot is
/// confirmed only after it; csns are assigned in commit order, so what is decoded again gets the same csn or is skipped.
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/migrations.h"

namespace verbund::feed {

/// One hop from a child table towards its record's root: child.columns reference parent.columns.
struct Hop {
  std::vector<std::string> columns;
  std::string parent_schema, parent_table;
  std::vector<std::string> parent_columns;
};

/// A captured table and the record its rows belong to. Several entries for one table: its rows belong to several types.
struct TrackedTable {
  std::string schema, table;
  std::string record_type;  ///< empty: captured, but of no record
  std::vector<Hop> path;    ///< empty: this is the root table, its primary key is the record's id
  bool images = false;      ///< the journal keeps what its rows held before and after each change
};

struct FeedSettings {
  postgres::ConnectionSettings source;    ///< a role with REPLICATION that owns the publication
  postgres::ConnectionSettings mid_tier;  ///< owner of schema feed
  std::string slot = "verbund_feed";
  std::string publication = "verbund";
  std::vector<TrackedTable> tables;
  /// Further tables, captured though of no record, as soon as they exist: "public.*", "!public.log_*" (see catalog.h).
  std::vector<std::string> capture;
  Term term;
  std::size_t batch_changes = 20'000;          ///< rows held in memory at most, whatever the transaction's size
  milliseconds rest_per_transaction{2};        ///< a commit here rests so long for each transaction it held: see feed/rest.h
  milliseconds longest_rest{20};               ///< but at most; 0: commits as fast as they come
  std::size_t listed_changes_per_event = 1'000;  ///< more records in one transaction become a count per type
  std::uint64_t journal_rows_kept = 5'000'000;
  seconds journal_kept_for{0};           ///< changes older than this go; 0: whatever their age
  std::uint64_t journal_kept_bytes = 0;  ///< the oldest go when the journal takes more on disk; 0: whatever it takes
  /// An alarm is told when the source keeps more log than this because of the slot. PostgreSQL drops the slot's claim at
  /// max_slot_wal_keep_size; then everything is compared once.
  std::uint64_t lag_warn_bytes = 1'073'741'824;
  milliseconds start_patience{5'000};  ///< of `start`, for a comparison with the source
  milliseconds upkeep_every{5'000};  ///< journal, catalog and slot are looked after
  /// Without an event trigger on the source (feed/keyless.h) published tables that lost their key are looked for this often.
  milliseconds keys_looked_at_every{1'000};
  /// Readers of images (row_versions.h): what they have not read is not pruned. Who is not named any more is forgotten.
  std::vector<std::string> consumers;
  /// A file, best not beside the databases' own, that remembers up to where changes were handed on (feed/witness.h); empty: none.
  std::filesystem::path witness;
  /// Nobody but who wrote the witness has handed anything on since the stored position was written. A new timeline of the same system, with the
  /// mid-tier on it, then forks only if the witness knows more than the mid-tier: else nothing was told that a promotion has taken back.
  bool follows_promotions = false;
};

enum class RowOp : char { kInsert = 'I', kUpdate = 'U', kDelete = 'D', kTruncate = 'T', kAnnounced = 'A', kReshaped = 'S' };

/// What happened to one record in one transaction.
struct RecordEvent {
  enum class Op { kInsert, kUpdate, kDelete } op = Op::kUpdate;
  RecordKey key;
  std::optional<RecordKey> was;     ///< its key before, when the root's primary key changed
  std::vector<std::string> tables;  ///< tables whose rows changed, "observation" (schema named unless public)
};

struct TransactionEvent {
  Cursor cursor;  ///< csn of its last change
  Lsn commit_lsn;
  WallTime commit_time;
  SessionId by;   ///< from a 'verbund.by' logical message in front of the writes; none otherwise
  std::vector<RecordEvent> records;                             ///< each key once
  std::vector<std::pair<std::string, std::uint64_t>> bulk;      ///< record type → records touched, instead of keys
  std::vector<std::string> truncated;                           ///< record types whose root was truncated
};

struct VersionPage;
struct VersionLimits;
struct RowLayout;

enum class FeedState { kStarting, kRunning, kWaiting /* for the database */, kStopped };

enum class TableState { kCaptured, kPaused /* its shadow stands still */, kExcluded };
struct TableStatus {
  std::string schema, table;
  TableState state = TableState::kExcluded;
  std::string reason;                     ///< of kPaused, kExcluded; of kCaptured: what is not right all the same
  std::vector<std::string> record_types;  ///< that its rows belong to
};

struct ReconcileReport {
  std::uint64_t tables = 0;
  std::uint64_t rows_compared = 0;  ///< rows of the source
  std::uint64_t inserted = 0, updated = 0, deleted = 0;
  milliseconds took{0};
};

struct FeedStatus {
  FeedState state = FeedState::kStarting;
  std::string reason;      ///< of kWaiting, kStopped
  Cursor head;
  Lsn passed;              ///< handed on up to here
  Lsn server_end;          ///< end of WAL at the last message
  std::uint64_t lag_bytes = 0;
  std::uint64_t kept_bytes = 0;  ///< of log that the source keeps for the slot
  std::string alarm;             ///< why the source's disk or the slot is in danger; empty: it is not
  milliseconds last_message_age{0};
  std::uint64_t changes_total = 0, transactions_total = 0;
  std::vector<std::pair<std::string, std::string>> excluded;  ///< table → why it is not captured
};

struct FeedEvents {
  std::function<void(TransactionEvent)> on_transaction;           ///< in csn order
  std::function<void(Lsn)> on_passed;                             ///< WAL position moved on (also without changes)
  std::function<void(std::string reason, Cursor)> on_snapshot;    ///< history forked or was reconciled
  std::function<void(FeedState, std::string reason)> on_state;
  std::function<void(std::string alarm)> on_alarm;  ///< FeedStatus::alarm, when it begins, becomes another or ends (empty); from the upkeep thread
};

/// Schema `feed` of the mid-tier database; to be run before Feed::start.
postgres::MigrationSet migrations();

class Feed {
 public:
  Feed(FeedSettings settings, FeedEvents events, const Clock& clock, Log& log, Counters& counters);
  ~Feed();  ///< stops

  /// Creates publication, slot (with exported snapshot), shadow tables and their first content when missing; then runs.
  /// When the database goes away it waits and goes on by itself. A comparison that takes longer than `start_patience` goes on behind a
  /// feed that has started: its state is kWaiting, its head the stored one, and what is found is handed on like any change.
  Status start();
  /// Ends the capture thread after its batch.
  void stop();

  /// Events after `from`, oldest first, from the journal; at most `limit`. Blocking.
  /// Errors: kSnapshotNeeded (message "cursor_too_old" or "history_changed"), kDatabaseDown.
  Result<std::vector<TransactionEvent>> replay(const Cursor& from, std::size_t limit);

  /// Row versions behind `from`, see row_versions.h. Blocking.
  Result<VersionPage> versions_after(const std::string& consumer, const Cursor& from, const VersionLimits& limits);
  /// The columns that images of this layout were made of. Blocking. Errors: kNotFound.
  Result<RowLayout> layout(int id);
  /// The consumer has stored everything up to `csn`: it may be pruned. Blocking.
  Status consumed(const std::string& consumer, Csn csn);
  /// Removes the contents of all changes up to this commit time that touched the record; the changes stay. Blocking; reads the
  /// whole journal, unless it begins later.
  Status forget_images(const RecordKey& record, WallTime upto);

  /// Emits a transactional logical message on the source, which comes back as kAnnounced through the log. Blocking.
  Status announce(std::span<const RecordEvent> records, SessionId by);

  /// Replaces FeedSettings::capture. Blocks until the tables that it names are captured, or `tables()` says why one is not; their first content is read
  /// meanwhile. Errors: kTimedOut (not within `patience`; it goes on), kFeedStopped, kInUse and those of the databases: it is tried again with the next look
  /// at the tables.
  Status capture(std::vector<std::string> patterns, milliseconds patience);
  /// All configured tables, by schema and name, as of the last look at the catalog. Does not block.
  Result<std::vector<TableStatus>> tables() const;
  /// Compares the table with its shadow, tells what differs, and takes a paused one in again. Blocking; capture rests
  /// meanwhile. Returns the rows that differed. Errors: kNotFound (not configured, or it can't be captured: says why),
  /// kTimedOut (open transactions or a lock on the table are in the way), kDatabaseDown, kFeedStopped, kCancelled.
  Result<std::uint64_t> continue_table(std::string schema, std::string table);
  /// The same of all tables. Goes on from a lost position, too, also where the feed waits for a person to say so.
  Result<ReconcileReport> reconcile();
  /// pg_current_wal_insert_lsn() of the source. Blocking.
  Result<Lsn> current_lsn();

  /// Stands still between two commits, once everything that was committed on the source before this call is in the mid-tier:
  /// whoever copies the databases finds them in step. Blocks until then, at most until `deadline`; ends by `release`, or by itself
  /// after `span`. Nobody's write waits for it. Returns the position it stands at. Errors: kTimedOut, kInUse (held already),
  /// kFeedStopped (not running: says why), those of the source.
  Result<Lsn> hold(Deadline deadline, nanoseconds span);
  /// Goes on. Whether it still stood still.
  bool release();

  [[nodiscard]] FeedStatus status() const;
  [[nodiscard]] Cursor head() const;
  [[nodiscard]] Lsn passed() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::feed
