#pragma once
/// The whole catalog at once, for suggestions. Blocks on the connection; four queries, whatever the number of tables.
#include "base/result.h"
#include "platform/postgres/connection.h"
#include "records/suggest.h"

namespace verbund::records {

/// Errors: those of the connection.
Result<CatalogSnapshot> read_catalog(postgres::Connection& source);

}  // namespace verbund::records
