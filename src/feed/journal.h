#pragma once
/// The journal and the position in the mid-tier database (docs/formats/journal.md).
/// Functions block on the connection they are given; writing happens inside the caller's transaction.
#include "feed/batch_writer.h"
#include "feed/continuity.h"
#include "feed/feed.h"
#include "feed/tables.h"

namespace verbund::feed {

/// The stored position does not continue what the server has.
struct Loss {
  std::string reason;
  bool forks = false;         ///< clients may have been told what the source never had, or has no more: cursors end
  bool needs_person = false;  ///< it may be the wrong server
};
struct Position {
  std::string system_id;
  std::uint32_t timeline = 0;
  std::string slot;
  Lsn lsn;  ///< every transaction whose commit record starts before it is in the journal
  Cursor head;
  std::optional<Loss> loss;  ///< found, and not yet made good
};
/// nullopt: this mid-tier database has never captured.
Result<std::optional<Position>> read_position(postgres::Connection& mid_tier);
/// The last transaction of the source that was stored in this history.
struct LastTransaction {
  bool known = false;  ///< false: it is pruned
  std::optional<LogTransaction> transaction;  ///< none: there was none yet
};
Result<LastTransaction> last_transaction(postgres::Connection& mid_tier);
/// This mid-tier has had that history, at some time.
Result<bool> has_had(postgres::Connection& mid_tier, const HistoryId& history);
/// Begins a history: writes the position; the journal counts from here on, what lies before is pruned when its consumers have read it.
Status begin_history(postgres::Connection& mid_tier, const Position& position);
Status move_position(postgres::Connection& mid_tier, Lsn lsn, Csn csn);
/// Before anything is done about it: a comparison that is interrupted begins again.
Status note_loss(postgres::Connection& mid_tier, const Loss& loss);
/// The same history goes on from another place of the log; the loss is made good.
Status settle_position(postgres::Connection& mid_tier, const Position& position);

/// One row of feed.change.
struct JournalChange {
  Csn csn;
  RowOp op = RowOp::kInsert;
  int table_id = 0;  ///< 0: announced, of no table
  std::string key;
  std::optional<std::string> was_key;
  std::string records;  ///< text[] literal of record keys
  int layout = 0;       ///< 0: without images; else see row_versions.h
  std::optional<std::string> changed = {}, unchanged = {}, before = {}, after = {};
};
/// One row of feed.transaction.
struct JournalTransaction {
  Csn first_csn;
  std::uint32_t xid = 0;
  TransactionEvent event;
};

struct JournalPart {
  std::vector<JournalChange> changes;
  std::vector<JournalTransaction> transactions;
};
/// Appends; with `position` also moves it (lsn, csn). Small parts take one queued statement, large ones COPY.
Status write_journal(BatchWriter& mid_tier, const JournalPart& part, std::optional<std::pair<Lsn, Csn>> position);

/// Events after `from` up to `head`, see Feed::replay.
Result<std::vector<TransactionEvent>> read_journal(postgres::Connection& mid_tier, const Cursor& from, const Cursor& head,
                                                   std::size_t limit);

/// Number of the table's present columns in feed.layout, entered when it is new. Within the batch.
Result<int> layout_id(BatchWriter& mid_tier, const CapturedTable& table);

}  // namespace verbund::feed
