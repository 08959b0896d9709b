#pragma once
/// The shadow tables: the mid-tier's copy of each captured table, every value as text (docs/adr/0004-shadow-text.md).
/// Columns: verbund_key (the record id form of the primary key), verbund_csn (the row's version), then the source's own.
/// One thread, inside the caller's transaction.
#include "feed/tables.h"
#include "feed/world.h"

namespace verbund::feed {

/// What feed.source_table knows of one table.
struct KnownTable {
  int id = 0;
  std::string schema, table, shadow, layout;
  Lsn since;
  std::uint32_t relation = 0;
  std::string files;
  std::string paused;    ///< why; empty: it is captured
  bool retried = false;  ///< paused only until it can go on
  bool truncated = false;  ///< as the log has told; `files` are older than that
};
Result<std::vector<KnownTable>> known_tables(postgres::Connection& mid_tier);

/// Registers the table and creates its empty shadow; fills id, shadow and since of `table`.
Status create_shadow(postgres::Connection& mid_tier, CapturedTable& table, Lsn since);
/// Writes what is known of the table anew: names, columns, since; it is captured from now on.
Status register_table(postgres::Connection& mid_tier, const CapturedTable& table);
/// The table's files are those that it knows, after all: others later are not explained by a truncation of before.
Status forget_truncation(postgres::Connection& mid_tier, int id);
/// The shadow stays as it is. `retried`: it goes on by itself as soon as it can.
Status pause_table(postgres::Connection& mid_tier, int id, const std::string& reason, bool retried);
/// Makes the shadow's columns those of the table; indexes that are not of the key go.
Status reshape_shadow(postgres::Connection& mid_tier, const CapturedTable& table, const Reshaping& change);
/// The shadow's columns as a layout whose numbers and types say nothing: what is left when the stored one can't be read.
Result<Layout> shadow_layout(postgres::Connection& mid_tier, const std::string& shadow);

Status drop_shadow(postgres::Connection& mid_tier, const KnownTable& table);
/// Indexes for lookups that are not by the primary key.
Status index_lookups(postgres::Connection& mid_tier, const Tables& tables);

/// COPY → COPY of the whole table, in the snapshot that `source`'s transaction has. Returns its rows.
Result<std::uint64_t> fill_shadow(postgres::Connection& source, postgres::Connection& mid_tier, const CapturedTable& table,
                                  Csn version);

/// Writes what a chunk leaves of its rows.
Status write_shadow(BatchWriter& mid_tier, const CapturedTable& table, const World::Entries& entries);
/// Empties it; how many rows there were.
Result<std::uint64_t> truncate_shadow(BatchWriter& mid_tier, const CapturedTable& table);

}  // namespace verbund::feed
