#pragma once
/// Inside backup only: tables' contents as numbers that two servers can compare. One thread.
#include "backup/database.h"

namespace verbund::backup {

/// A table that a dump holds rows of.
struct HashedTable {
  std::string schema, table;
  std::vector<std::string> columns;  ///< in the catalog's order, generated ones left out
  bool unlogged = false;
};

/// Text forms that do not depend on the server's or the role's settings, for the transaction that is open.
Status pin_text_forms(postgres::Connection& connection);
/// The same for a child: what PGOPTIONS has to hold.
extern const char* const kPinnedOptions;
/// Not those of extensions, nor what a standby can't read. By schema and name.
Result<std::vector<HashedTable>> hashed_tables(postgres::Connection& connection);
/// What pg_dump locks, so that nothing is dropped or rewritten until it has been read.
Status lock_tables(postgres::Connection& connection, const std::vector<HashedTable>& tables);
/// In the transaction that is open, whose text forms are pinned. The columns of a table are read in the order in which `like` has them.
/// `cancelled` is asked now and then (kCancelled).
Result<std::vector<TableHash>> hash_all(postgres::Connection& connection, const std::vector<HashedTable>& tables, const std::vector<TableHash>& like,
                                        const std::function<bool()>& cancelled);

}  // namespace verbund::backup
