#pragma once
/// Schema `sync` of the mid-tier database.
#include "platform/postgres/migrations.h"

namespace verbund::sync::server {

postgres::MigrationSet migrations();

}  // namespace verbund::sync::server
