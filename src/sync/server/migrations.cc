#include "sync/server/migrations.h"

#include "sync/migrations.inc"

namespace verbund::sync::server {

postgres::MigrationSet migrations() { return {"sync", sync::kMigrations}; }

}  // namespace verbund::sync::server
