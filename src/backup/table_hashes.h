#pragma once
/// Inside backup only: tables' contents as numbers that two servers can compare. One thread.
#include <atomic>

#include "backup/database.h"

namespace verbund::backup {

/// A table that a dump holds rows of.
struct HashedTable {
  std::string schema, table;
  std::string row;  ///< SQL: the row's image, of relation alias `t`
};

/// Text forms that do not depend on the server's or the role's settings, for the transaction that is open.
Status pin_text_forms(postgres::Connection& connection);
Result<std::vector<HashedTable>> hashed_tables(postgres::Connection& connection);
/// What pg_dump locks, so that nothing is dropped or rewritten until it has been read.
Status lock_tables(postgres::Connection& connection, const std::vector<HashedTable>& tables);
/// In the transaction that is open. `give_up` is looked at between tables (kCancelled).
Result<std::vector<TableHash>> hash_all(postgres::Connection& connection, const std::vector<HashedTable>& tables, const std::atomic<bool>& give_up);

}  // namespace verbund::backup
