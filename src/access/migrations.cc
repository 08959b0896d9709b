#include "access/accounts.h"
#include "access/migrations.inc"

namespace verbund::access {

postgres::MigrationSet migrations() { return {"access", kMigrations}; }

}  // namespace verbund::access
