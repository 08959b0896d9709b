#pragma once
/// Schema of the versions database (SIQVersions). Pure.
#include "platform/postgres/migrations.h"

namespace verbund::history {

postgres::MigrationSet migrations();

}  // namespace verbund::history
