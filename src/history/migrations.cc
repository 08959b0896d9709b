#include "history/migrations.h"

#include "history/migrations.inc"

namespace verbund::history {

postgres::MigrationSet migrations() { return {"history", kMigrations}; }

}  // namespace verbund::history
