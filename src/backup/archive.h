#pragma once
/// Inside backup only: what an archive holds, as pg_restore reads it. Any thread.
#include "backup/database.h"
#include "backup/sql_script.h"

namespace verbund::backup {

/// The head of `pg_restore --list`. Pure. Errors: kDamaged.
Result<ArchiveFacts> read_facts(std::string_view list);

/// Reads all of a file (L2). How many bytes the archive comes to as plain SQL.
Result<std::uint64_t> read_whole_archive(const Programs& programs, const std::filesystem::path& archive, Progress& progress);

/// Roles, tablespaces, and the database's own statements.
Result<ScriptNeeds> archive_needs(const Programs& programs, const std::filesystem::path& archive);

}  // namespace verbund::backup
