#pragma once
/// One database into a stream and back, by Debian's pg_dump and pg_restore as child processes. Blocking; any thread.
/// Passwords go through a file in memory that only this user can read (PGPASSFILE), never argv or the environment.
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/manifest.h"
#include "backup/stream.h"
#include "base/time.h"
#include "platform/postgres/connection.h"

namespace verbund::backup {

/// Where pg_dump, pg_restore, psql lie; -d of S10 and S11. Errors of `find`: kNotFound (names where it has looked).
struct Programs {
  std::filesystem::path pg_dump, pg_restore, pg_dumpall, psql;
  static Result<Programs> find(const std::optional<std::filesystem::path>& directory);
};

struct DumpOptions {
  bool compressed = false;
  bool hash_tables = true;
  std::string use_snapshot;   ///< of somebody else's transaction; empty: an own one
};
/// pg_dump -Fc -Z0 in one exported snapshot, together with the hash of each table (L4), which is taken of what pg_dump writes. `compressed` true: -Fc with pg_dump's own compression, what `dumpSIQ` writes, that pg_restore reads without zstd.
/// Any line on standard error that is not a known harmless one makes it fail (L0). The sink is left to be finished by the caller.
/// DatabaseEntry::member is left empty. Errors: kDatabaseDown, kUnsupported (pg_dump older than the server), kCancelled,
/// kProgramFailed with pg_dump's words, kTimedOut (somebody keeps a table locked), those of the sink.
Result<DatabaseEntry> dump_database(const Programs& programs, const postgres::ConnectionSettings& database, const DumpOptions& options,
                                    Sink& sink, Progress& progress);

/// Roles with their password verifiers, tablespaces, settings of roles: pg_dumpall --globals-only. Needs a superuser. Secret: 0600.
Status dump_globals(const Programs& programs, const postgres::ConnectionSettings& superuser, Sink& sink);

/// L2 of a custom-format archive: pg_restore -f /dev/null reads all of it (--list does not: LESSONS "Backup"). The source is read
/// to its end. Errors: kDamaged with pg_restore's words, kUnsupported (made by a newer pg_dump), kCancelled, those of the source.
Status check_archive(const Programs& programs, Source& archive, Progress& progress);

/// What an archive says of itself, in its first lines: nothing of it is proven yet. Errors: kNotFound, kDamaged, kUnsupported.
struct ArchiveFacts {
  std::string database;     ///< whose dump it is
  std::string created;      ///< as pg_restore says it: local time of the machine that made it
  int server_version = 0;   ///< 150020
  bool compressed = false;
};
Result<ArchiveFacts> archive_facts(const Programs& programs, const std::filesystem::path& archive);

/// Hash of every ordinary table of the database now (partitions and children for themselves, extensions' tables left out), and one
/// of its large objects under pg_catalog.pg_largeobject; the same as DatabaseEntry::tables after a faithful restore. Not in it:
/// generated columns, sequences (they don't obey snapshots), materialised views. In the open transaction, or one of its own. Columns in
/// the order that `like` has: a restored child of an inherited table has them in another one.
Result<std::vector<TableHash>> hash_tables(postgres::Connection& database, const std::vector<TableHash>& like = {});
/// Errors: kDamaged, naming the tables that differ; kUnsupported (a hash function that this version does not know).
Status compare_hashes(const std::vector<TableHash>& expected, const std::vector<TableHash>& found);

/// Restores beside (NAME_restoring), compares table hashes when `expected` is given, then swaps: the old database is renamed to
/// NAME_before_YYYYMMDDHHMM, the new one takes its name with owner, settings and rights of the archive, in one transaction.
/// Checked before anything is written: the archive as a whole (L2), versions, roles and tablespaces, space where it can be known.
/// Any failure leaves the old database in place and removes what was restored; what an earlier, killed restore left is removed first.
/// `drop_first`: the old one is dropped after the checks, literally as S11 says.
/// Hooks: `before_swap` when all is restored and sessions are about to be ended; once it has returned success, `after_swap` is
/// called whatever happens then. An error of `after_swap` becomes a warning: the swap is done.
struct RestoreOptions {
  std::string database;                 ///< name that it gets
  std::string owner;                    ///< empty: the archive's
  std::string own_slot;                 ///< replication slots of this name, or with "_…" behind, go with the old database
  bool drop_first = false;
  bool keep_old = true;                 ///< false: dropped after the swap
  bool check_only = false;              ///< all checks, and nothing else: no hook is called
  int jobs = 2;
  std::vector<TableHash> expected;      ///< empty: nothing to compare with
  std::function<Status()> before_swap, after_swap;
};
struct RestoreResult {
  std::string old_database;    ///< the name under which the old one is kept; empty: there was none, or it was dropped
  std::vector<std::string> warnings;
};
/// `superuser` names the system database (postgres) to connect to. Errors: kDamaged, kNotFound (roles or tablespaces are missing:
/// named), kUnsupported (archive of a newer server), kDiskFull, kInUse (another restore of it runs; sessions that don't end;
/// somebody else's replication slot in it), kCancelled, kForbidden, kDatabaseDown, kProgramFailed.
Result<RestoreResult> restore_database(const Programs& programs, const postgres::ConnectionSettings& superuser,
                                       const std::filesystem::path& archive, const RestoreOptions& options, Progress& progress);

/// Proofs (L4) in a scratch server: creates `name` with the encoding and locale of `like`, restores into it, one table after the other
/// since the archive is a stream, swaps nothing. The caller drops it. `without_owners`: the server lacks the roles. Errors:
/// kAlreadyExists, kDamaged, kProgramFailed, kDatabaseDown, kDiskFull, kCancelled, those of the source.
Status restore_into(const Programs& programs, const postgres::ConnectionSettings& superuser, const DatabaseEntry& like, const std::string& name,
                    Source& archive, bool without_owners, Progress& progress);

/// `YYYYMMDD_dbName_dbHost.backup` (S10); ':' of IPv6 becomes '-', a socket or no host this machine's name; `taken` says whether a
/// name exists: then _2, _3 … before `.backup`. Characters that a file system may refuse become '-'.
std::string dump_file_name(std::chrono::year_month_day day, std::string_view database, std::string_view host, std::string_view this_machine,
                           const std::function<bool(const std::string&)>& taken);

}  // namespace verbund::backup
