#pragma once
/// What `dump` and `restore` share: which database, through whom, with whose programs. Main thread.
#include <filesystem>

#include "backup/database.h"
#include "cli/command.h"
#include "node/command_server.h"
#include "node/installation.h"

namespace verbund::cli {

enum class Kept { kSource, kVersions };

struct ArchiveOptions {
  bool versions = false;
  std::string programs;          ///< -d
  std::string superuser;         ///< -u, -su
  std::string password;          ///< -p, -sup
  std::string system_database;   ///< -db, -sudb
  [[nodiscard]] Kept kept() const { return versions ? Kept::kVersions : Kept::kSource; }
};

/// The installation, its programs, its server (started when no node runs), and who connects.
struct ArchiveScene {
  node::Installation installation;
  backup::Programs programs;
  node::CommandServer server;
  std::string database;                   ///< the one that is dumped or replaced
  postgres::ConnectionSettings superuser; ///< to the system database
};
/// `command`: "verbund dump". Errors: kNotFound, kInUse, kUsage, those of the server's start.
Result<ArchiveScene> archive_scene(const Globals& globals, const ArchiveOptions& options, std::string_view command);

/// Anything the user should know that is no error; on standard error, not with --json.
void warn(const Globals& globals, const Phrase& words);

/// The four names that are the same binary (S10 to S12): what stands for "verbund" and the words behind it, and the
/// single-dash long options as CLI11 reads them. A password is taken out of the process list.
std::vector<std::string> command_words(int argc, char** argv);

}  // namespace verbund::cli
