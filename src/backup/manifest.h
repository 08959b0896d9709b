#pragma once
/// What a backup set holds, and its text form manifest.json (docs/formats/backup-set.md). Values; any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace verbund::backup {

enum class Content { kDatabase, kGlobals, kFolder, kText };

/// One stream of a set: one file, or parts NAME….000, NAME….001, …
struct Member {
  std::string name;                 ///< of the plain stream: "db/praxis.dump" (names.h)
  Content content = Content::kDatabase;
  std::uint64_t plain_bytes = 0;    ///< before compression
  std::string plain_sha256;         ///< hex
  std::uint64_t stored_bytes = 0;   ///< of all parts
  std::vector<std::string> parts;   ///< files in order: "db/praxis.dump.zst", or "db/praxis.dump.zst.age.000", …
  bool sealed = false;              ///< encrypted (C13)
};

/// A table as the dump's own snapshot saw it: what a restore must come to (L4).
struct TableHash {
  std::string schema, table;
  std::uint64_t rows = 0;
  std::string hash;                 ///< "c" and hex: sum of row hashes, so that order does not matter (row_sum.h)
  std::vector<std::string> columns = {};  ///< in the order in which rows were read; none: a table without columns, large objects
  bool unlogged = false;                  ///< of a table that was looked at, not of a set's: a mirror does not have its rows
};

struct DatabaseEntry {
  std::string name, owner, encoding, locale;
  std::string member;               ///< Member::name of the dump
  int server_version = 0;           ///< 150020
  std::string snapshot_lsn;
  std::vector<TableHash> tables;
};

/// A folder tree of an application: saved whole; restored only by its second list (C11).
struct FolderEntry {
  std::string application, version; ///< program version as the application says it
  std::string root;                 ///< absolute path on the machine it was saved from
  std::string member;
  std::uint64_t files = 0, bytes = 0;
  std::vector<std::string> restore; ///< patterns of the second list (path_lists.h), those for this version
  std::vector<std::string> restore_optional;  ///< the same, may be missing
  bool ignore_case = false;         ///< LetterCase::kIgnored
  std::vector<std::string> missing; ///< configured, not optional, not there: the set is incomplete
  std::vector<std::string> changed; ///< changed while they were read: the set is incomplete
  std::vector<std::string> unreadable;
};

struct Manifest {
  int format = 1;
  std::string id;                   ///< directory name "20261122-013000-000123": time, sequence
  std::uint64_t sequence = 0;       ///< grows by one with each set of an installation, whatever the clock says
  std::string previous_hash;        ///< SHA-256 of the previous set's SHA256SUMS; empty: the first
  std::string copy_of;              ///< sealed off-site copy of a set that was not: SHA-256 of that one's SHA256SUMS; empty: no copy
  std::string installation, host, program_version, role;
  WallTime begun, ended;
  std::string barrier;              ///< how the parts belong together: "stopped", "mirror paused at LSN", "one snapshot each"
  bool complete = false;
  std::vector<std::string> reasons; ///< why it is not
  std::vector<std::string> recipients;  ///< "age1… NAME" of each that may open it; empty: not sealed
  std::string details;              ///< sealed sets: Member::name of the whole manifest; what names people's files is only there
  std::vector<Member> members;
  std::vector<DatabaseEntry> databases;
  std::vector<FolderEntry> folders;

  /// Nullptr: there is none of that name.
  [[nodiscard]] const Member* member(std::string_view name) const;
};

inline constexpr int kFormat = 1;
inline constexpr std::size_t kMaxManifestBytes = 32 * 1024 * 1024;
inline constexpr std::size_t kMaxMembers = 10'000;
inline constexpr std::size_t kMaxPartsPerMember = 1'000;
inline constexpr std::size_t kMaxListed = 100'000;      ///< tables of a database, files named by a folder, reasons
inline constexpr std::size_t kMaxTextBytes = 8 * 1024;  ///< each text; a path is 4 KiB at most

/// For people too: one entry a line. Bytes that are no UTF-8 (file names) are shown as \xNN.
std::string manifest_json(const Manifest& manifest);
/// Fields it does not know are left aside. Errors: kDamaged with the place; kUnsupported (a newer format).
Result<Manifest> read_manifest(std::string_view json);
/// What may be read without a key: no tables, paths, patterns, file names and reasons.
Manifest without_details(Manifest manifest);

/// "20261122-013000-000123"; the time is UTC.
std::string set_id(WallTime begun, std::uint64_t sequence);

}  // namespace verbund::backup
