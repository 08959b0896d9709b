#pragma once
/// The source's catalog as far as the feed reads it. Blocking.
#include "feed/tables.h"

namespace verbund::feed {

/// "observation", "other.observation": schema unless public.
std::string shown_name(std::string_view schema, std::string_view table);

struct FoundTable {
  CapturedTable table;  ///< without ways to records; relation 0: there is none
  std::string reason;   ///< why it can't be captured; empty: it can
  std::optional<TableName> root;  ///< of a partition
};
/// By its name, or by the relation that it was before (0: not known) when nothing has the name any more.
Result<FoundTable> find_table(postgres::Connection& source, const TableName& name, std::uint32_t relation);

/// Tables whose "schema.name" fits one of the patterns (`*`, `?`, `[a-z]`) and none of those behind a `!`; partitions stand
/// behind their partitioned table. The system's own are never among them.
Result<std::vector<TableName>> tables_like(postgres::Connection& source, const std::vector<std::string>& patterns);

/// A text that is another one after a change of these tables' columns, keys, names or files. Cheap enough to be asked for
/// every few seconds.
Result<std::string> table_mark(postgres::Connection& source, const CatalogQuestion& question);
/// The same of what the publication publishes.
Result<std::string> publication_mark(postgres::Connection& source, const std::string& publication);

}  // namespace verbund::feed
