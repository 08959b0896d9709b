#pragma once
/// From settings to a stream that can be started: checks the server, keeps publication, slot and shadow tables in step
/// with the configuration and the source's catalog, and finds out whether the stored position still continues the server's
/// history. What the log can't tell is found by comparing (retake.h). Blocking.
#include <functional>
#include <set>

#include "feed/journal.h"
#include "feed/tables.h"
#include "platform/postgres/replication.h"

namespace verbund::feed {

/// Beyond the usual, what a preparation is to do.
struct Orders {
  std::string rebuild;            ///< why the shadow can't be trusted; empty: it can
  bool new_slot = false;          ///< ... nor the slot
  bool forked = false;            ///< ... and the source's log is not the one that was stored
  bool reconcile = false;         ///< a person wants everything compared
  bool running = false;           ///< not the first preparation of this process: rows of new tables are told
  std::set<TableName> continued;  ///< a person wants these taken in again
  std::set<std::uint32_t> doubtful;  ///< relations whose columns in the log are not those of the shadow
  std::set<std::uint32_t> truncated;  ///< relations whose truncation the log has told: why they have other files
  std::set<std::uint32_t> settled;    ///< Prepared::unconfirmed of before, and the log has been passed since
  std::function<void(const std::string& reason)> on_loss;  ///< told before everything is compared
  /// Tables that could not be taken in, and why: left out until they are continued. Filled here.
  std::map<TableName, Error> refused;
};

struct Prepared {
  postgres::Connection source;
  postgres::Connection mid_tier;
  postgres::ReplicationStream stream;
  Tables tables;
  Position position;
  std::string forked;     ///< why a new history began; empty: it goes on, or this is the first start
  std::string made_good;  ///< what had been lost and was found by comparing; empty: nothing
  std::vector<TableStatus> states;
  /// Relations whose rows stand in other files than before: truncated, which the log will tell before `seen`, or rewritten.
  std::set<std::uint32_t> unconfirmed;
  Lsn seen;                  ///< of the log, when the catalog was read
  CatalogQuestion catalog;   ///< what these tables hang on
  std::string catalog_mark;  ///< and what the catalog said (catalog.h)
  ReconcileReport report;                            ///< of what was compared
  std::map<TableName, std::uint64_t> differences;    ///< of each table that was compared
  bool keys_watched = false;  ///< by an event trigger: see keyless.h
};

/// Errors: kServerSetting (with the command that helps), kInUse (somebody else reads the slot, or the catalog changes just
/// now: try again), kTimedOut (open transactions keep a slot from being made), kFeedStopped (a person has to say
/// `reconcile`), kBadConfig, kDatabaseDown.
Result<Prepared> prepare(const FeedSettings& settings, Orders& orders, const Clock& clock, Log& log);

/// Settings of a connection to the source whose text forms are those of the log, whatever the server's settings say.
postgres::ConnectionSettings with_exact_text(postgres::ConnectionSettings settings);

}  // namespace verbund::feed
