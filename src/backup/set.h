#pragma once
/// The backup set ("Sicherung"): a directory of stock formats that counts from the moment its signature stands in it.
/// Format: docs/formats/backup-set.md. A stranger restores it with sha256sum, age, zstd, tar and pg_restore by its RESTORE.txt.
///
/// Threads: a writer or reader belongs to one thread; several sinks of one writer may be filled from threads of their own.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backup/keys.h"
#include "backup/level.h"
#include "backup/manifest.h"
#include "backup/stream.h"

namespace verbund::backup {

/// FAT32 ends at 4 GiB, some programs at 2 GiB: every file of a set stays below (REQUIREMENTS C6).
inline constexpr std::uint64_t kDefaultPartBytes = 2'000ULL << 20;
inline constexpr std::uint64_t kMaxPartBytes = (2ULL << 30) - 1;

struct WriteOptions {
  std::filesystem::path target;         ///< directory that holds sets
  std::string id;                       ///< manifest.h, set_id
  std::vector<Recipient> recipients;    ///< empty: not encrypted
  int zstd_level = 3;
  int zstd_threads = 2;                 ///< of each stream
  std::uint64_t part_bytes = kDefaultPartBytes;
  std::uint64_t expected_bytes = 0;     ///< refused at once when less is free; 0: not known
};

/// Writes `target/.ID.partial`; `publish` makes it `target/ID`. Destroyed before: removes the partial directory. What a killed
/// process left there is removed by the next `begin`. One writer at a time per target (flock on `.verbund-backup.lock`).
class SetWriter {
 public:
  /// `key` is borrowed until `publish`. Errors: kInUse (that id exists; another writer is at work), kDiskFull (with free and
  /// needed), kMediumGone, kIo.
  static Result<SetWriter> begin(WriteOptions options, const SigningKey& key);
  SetWriter(SetWriter&&) noexcept;
  SetWriter& operator=(SetWriter&&) noexcept;
  ~SetWriter();

  /// A stream that is hashed, compressed, encrypted, split and hashed again on its way. `name` is the plain stream's
  /// ("db/praxis.dump", see names.h); it is a member of the set once its `finish` has returned. Sinks are destroyed before the
  /// writer; one that was not finished removes its files.
  /// Errors: kDamaged (name), kAlreadyExists, kTooLarge (more than kMaxPartsPerMember parts), kDiskFull, kMediumGone, kIo.
  Result<std::unique_ptr<Sink>> add(const std::string& name, Content content);
  /// What stands on the medium so far, in bytes. Any thread.
  [[nodiscard]] std::uint64_t stored_bytes() const;
  /// The finished ones, in the order in which they ended.
  [[nodiscard]] std::vector<Member> members() const;

  /// Takes everything of `manifest` but id, members, recipients and details, which are the writer's own. Writes manifest,
  /// RESTORE.txt (German, English), signing-key.pub and SHA256SUMS; the signature last, then the rename. Every step is fsynced;
  /// nothing is read back. After it the set counts. The writer is of no more use, whatever comes out.
  /// Errors: kInternal (a sink is still open), kDamaged (the manifest names a member that isn't there), kDiskFull, kMediumGone, kIo.
  Result<std::filesystem::path> publish(Manifest manifest);

 private:
  struct Impl;
  explicit SetWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What is wrong with one file of a set.
struct Finding {
  enum class Kind { kDamaged, kMissing, kAdditional, kUnreadable };
  Kind kind = Kind::kDamaged;
  std::string file;    ///< relative to the set
  std::string cause;   ///< the system's words; empty: the kind says it all
};

class SetReader {
 public:
  /// Checks the signature over SHA256SUMS, the manifest's hash and that both name the same files, nothing more.
  /// Errors: kNotFound (no signature: no set), kDamaged, kForbidden (signed by a key that `trusted` does not hold),
  /// kUnsupported (a newer format).
  static Result<SetReader> open(const std::filesystem::path& directory, const std::vector<PublicKey>& trusted);
  SetReader(SetReader&&) noexcept;
  SetReader& operator=(SetReader&&) noexcept;
  ~SetReader();

  [[nodiscard]] const Manifest& manifest() const;
  [[nodiscard]] const std::filesystem::path& directory() const;
  /// SHA-256 of SHA256SUMS: what the next set's previous_hash is.
  [[nodiscard]] const std::string& hash() const;
  /// Sealed sets: puts the whole manifest in place of the one without details. Errors: those of `read`.
  Status unlock(const RecipientKey& key);

  /// The stream as it was written: parts joined, decrypted and decompressed; `kCompressed`: still as zstd has it. At its end the
  /// plain stream's size and hash are compared with the manifest (kDamaged).
  /// Errors: kNotFound (no such member), kForbidden (sealed, and `key` is none of its recipients), kDamaged, kIo.
  enum class Form { kPlain, kCompressed };
  [[nodiscard]] Result<std::unique_ptr<Source>> read(std::string_view member, Form form = Form::kPlain,
                                                     const RecipientKey* key = nullptr) const;

  /// L1, and L3 with `drop_cache`: every file against SHA256SUMS, and no file too many. `find_damage` names all that is wrong,
  /// `check_hashes` says the same as one error (kDamaged). Errors of `find_damage`: kIo (the directory can't be read),
  /// kCancelled (by `progress`).
  enum class Cache { kUse, kDrop };
  [[nodiscard]] Result<std::vector<Finding>> find_damage(Progress& progress, Cache cache) const;
  [[nodiscard]] Status check_hashes(Progress& progress, Cache cache) const;

  /// L2 without a database server: reads each member to its end (parts, encryption, zstd frames with their check sums, plain size
  /// and hash). `look` gets each plain stream on its way and may stop early: tar against the manifest (folders.h), check_archive
  /// (database.h). Names every member that is wrong, not only the first. Sealed sets need `key` (kForbidden).
  /// kCancelled: by `progress`.
  using Look = std::function<Status(const Member&, Source& plain)>;
  [[nodiscard]] Status check_structure(Progress& progress, const Look& look = {}, const RecipientKey* key = nullptr) const;

 private:
  struct Impl;
  explicit SetReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The public key that lies in the set itself. It proves nothing until a person has compared it with one that is known.
Result<PublicKey> key_inside(const std::filesystem::path& directory);

/// Directories under `target` that hold a signature of `trusted`, by sequence; others are named in `ignored` with the reason.
/// What begins with '.' is left out. Nothing is hashed but the manifests.
struct FoundSet {
  std::filesystem::path directory;
  Manifest manifest;       ///< without tables and lists of files
  std::string hash;        ///< SetReader::hash
};
struct FoundSets {
  std::vector<FoundSet> sets;
  std::vector<std::pair<std::filesystem::path, std::string>> ignored;
};
/// Errors: kNotFound (no such directory), kIo.
Result<FoundSets> find_sets(const std::filesystem::path& target, const std::vector<PublicKey>& trusted);

/// Takes a set away: out of the way by one rename first, for a set that is half removed is none. Errors: kIo.
Status remove_set(const std::filesystem::path& target, const std::string& id);
/// What a killed `remove_set` has left. Errors: kIo.
Status remove_leftovers(const std::filesystem::path& target);

/// What the sets of one directory say about each other. A medium that is only one of several has gaps by nature.
struct ChainFinding {
  enum class Kind {
    kGap,        ///< sequences between `before` and `after` are not here
    kTwice,      ///< two sets of the same sequence
    kReplaced,   ///< `after` follows another set than the one that stands before it
    kForeign,    ///< another installation's
    kClock,      ///< `after` has begun before `before` did: the clock was off, the sequence decides
  };
  Kind kind = Kind::kGap;
  std::uint64_t before = 0, after = 0;  ///< sequences
  std::string before_id, after_id;
};
/// Pure. `sets` by sequence.
std::vector<ChainFinding> check_chain(const std::vector<FoundSet>& sets);

}  // namespace verbund::backup
