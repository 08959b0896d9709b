#pragma once
/// Versions of rows as the journal keeps them (TrackedTable::images) for who stores them for good: history.
///
/// A consumer has a cursor of its own, moves it with what it stores, and tells the feed by `Feed::consumed` what may be
/// pruned. Lists are literals of PostgreSQL arrays as the journal holds them, to be handed on unread; `read_array` reads them.
/// Values stand in the order of the layout's columns, in the text form of docs/adr/0004-shadow-text.md.
#include "feed/feed.h"

namespace verbund::feed {

struct RowVersion {
  Csn csn;
  RowOp op = RowOp::kInsert;            ///< insert, update, delete; rows that a TRUNCATE removed are deleted
  int layout = 0;                       ///< Feed::layout
  std::string key;                      ///< of the row, in the form of record ids
  std::optional<std::string> was_key;   ///< before, when it changed
  std::vector<RecordKey> records;       ///< it belonged to before or after; empty: to none
  std::optional<std::string> changed;   ///< update: numbers of the columns that differ, from 0; `{}`: none
  std::optional<std::string> unchanged; ///< update: columns whose large value stayed and is left out of `after`
  std::optional<std::string> before;    ///< delete: all values; update: those of `changed`, in its order
  std::optional<std::string> after;     ///< insert, update: all values; NULL where `unchanged`
  std::size_t transaction = 0;          ///< index into VersionPage::transactions
};

struct VersionedTransaction {
  Csn last_csn;
  WallTime commit_time;
  SessionId by;         ///< of a 'verbund.by' message; none otherwise
  bool merged = false;  ///< found by comparing (docs/adr/0006): stands for any number of changes before its commit time
};

/// Where the versions of single changes are interrupted: what happened in between shows only in the next before-image.
struct VersionBreak {
  enum class Why {
    kNewHistory,  ///< the feed could not go on and began anew from the tables as they were
    kNotKept,     ///< no images were kept for this consumer meanwhile, or it was so far behind that they were pruned
    kForeign,     ///< the cursor is not of this mid-tier, or ahead of it: one of the two databases was restored
  } why = Why::kNewHistory;
  Cursor to;      ///< reading goes on behind it
};

struct VersionPage {
  std::vector<VersionedTransaction> transactions;  ///< those that `rows` are of, in commit order
  std::vector<RowVersion> rows;                    ///< in commit order; a long transaction comes in several pages
  Cursor upto;                                     ///< where to go on; equal to what was asked for: there is nothing new
  std::optional<VersionBreak> interrupted;         ///< then there are no rows, and `upto` lies behind the break
};

struct VersionLimits {
  Csn upto;                                ///< nothing behind it
  std::size_t rows = 5'000;
  std::size_t bytes = 16 * 1024 * 1024;    ///< of images; a single row may exceed it
};

struct RowLayout {
  std::string schema, table;
  std::string columns;  ///< text[] literal
  std::string key;      ///< smallint[] literal: places of the primary key's columns, in its order
  std::string digest;   ///< equal digests of a table mean equal columns, types and key
};

// What Feed does with a connection to the mid-tier; see its methods.
Result<VersionPage> read_versions(postgres::Connection& mid_tier, const std::string& consumer, const Cursor& from,
                                  const VersionLimits& limits);
Result<RowLayout> read_layout(postgres::Connection& mid_tier, int id);
/// Registers consumers that are new as having read everything; forgets those that are not named.
Status keep_consumers(postgres::Connection& mid_tier, const std::vector<std::string>& consumers);
Status move_consumer(postgres::Connection& mid_tier, const std::string& consumer, Csn csn);
Status forget_images(postgres::Connection& mid_tier, const RecordKey& record, WallTime upto);

}  // namespace verbund::feed
