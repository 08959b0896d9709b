#pragma once
/// The ledger: facts about media, sets, duty and drills (rotation/book.h) as files that only grow, an entry per line, each signed
/// by the installation and naming the hash of the one before. One copy in the installation (DIR/backup/ledger.jsonl), one on every
/// medium that was ever in the drive; a lost one is rebuilt from the others. Format: docs/formats/backup-ledger.md.
/// Threads: one per object; several processes may append (a lock file).
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "backup/keys.h"
#include "backup/rotation/book.h"
#include "backup/signed_journal.h"

namespace verbund::backup {

/// What came of comparing the installation's ledger with a medium's.
struct Exchange {
  enum class What {
    kSame,
    kGiven,      ///< the medium had less (or nothing) and has all now
    kTaken,      ///< the medium had more: an installation that was restored has its ledger back
    kDamaged,    ///< the medium's was damaged: kept there beside, and written anew
    kForked,     ///< both went on from the same entry: both are kept, ours goes on and has the other's facts in it
  };
  What what = What::kSame;
  std::size_t taken = 0;         ///< entries that we did not have
  Phrase said;                   ///< for people; msgid empty: nothing out of the ordinary
};

class Ledger {
 public:
  /// Reads and checks all of it; a missing one is empty. Errors: kDamaged (a line changed, removed or put in: names the first; fewer than
  /// there were), kIo, kForbidden (signed by none of `trusted`). What a crash has cut off at the end is cut away and told in `mended`.
  static Result<Ledger> open(const std::filesystem::path& installation, const std::vector<PublicKey>& trusted);

  /// What a damaged or lost one is replaced by: the longest of what is left of it and of what lies in `targets` (directories of media).
  /// The damaged one is kept beside; `mended` says what was done. Errors: kIo.
  static Result<Ledger> rebuild(const std::filesystem::path& installation, const std::vector<PublicKey>& trusted,
                                const std::vector<std::filesystem::path>& targets);

  /// Signed, chained, fsynced. What other processes have entered meanwhile is read first. Errors: kUsage (the book does not take it),
  /// kDamaged (as `open`), kIo, kDiskFull. Then nothing has changed.
  Status enter(Fact fact, LocalTime at, const SigningKey& key);

  /// Brings this ledger and the one in `target` to the same state. `key` signs facts of a fork that are entered here, too.
  /// Errors: kIo, kDiskFull, kMediumGone.
  Result<Exchange> exchange_with(const std::filesystem::path& target, const SigningKey& key);

  // ledger_pair.cc: the two machines of a pair keep one ledger (ADR 31), each its own copy of it.
  /// So many lines, and the hash of the last of them (of nothing: of whose ledger it is).
  struct Place {
    std::size_t lines = 0;
    std::string hash;
    friend bool operator==(const Place&, const Place&) = default;
  };
  [[nodiscard]] Place place() const { return {lines_.size(), last_hash()}; }
  /// Whether the other machine's, which ends there, is the beginning of this one.
  [[nodiscard]] bool has(const Place& place) const;
  /// At least one when there is one; further ones while they come to less than `most_bytes`.
  [[nodiscard]] std::vector<std::string> lines_behind(std::size_t lines, std::size_t most_bytes) const;
  /// Takes the other machine's lines over. Errors: kInUse (this one does not end at `at` any more), kDamaged, kForbidden (they are not what was signed), kIo, kDiskFull.
  Status extend(const Place& at, const std::vector<std::string>& lines);
  /// Both have gone on from the same place: the other machine's, whole in `theirs`, goes on with what only this one has entered, signed anew; this one as it was is kept
  /// beside. Errors: as `extend`.
  Result<Exchange> go_on_from(const std::vector<std::string>& theirs, const SigningKey& key);

  [[nodiscard]] const Book& book() const { return book_; }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] const std::optional<Phrase>& mended() const { return mended_; }
  /// Its name on media: "verbund-ledger-INSTALLATION.jsonl".
  [[nodiscard]] std::string name_on_media() const { return "verbund-ledger-" + installation_id_ + ".jsonl"; }

 private:
  Ledger(std::filesystem::path directory, std::string installation_id, std::vector<PublicKey> trusted)
      : directory_(std::move(directory)), installation_id_(std::move(installation_id)), trusted_(std::move(trusted)) {}
  static Result<Ledger> none(const std::filesystem::path& installation, const std::vector<PublicKey>& trusted);
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "ledger.jsonl"; }
  [[nodiscard]] std::filesystem::path head_file() const { return directory_ / "ledger.head"; }
  [[nodiscard]] std::string beginning() const { return "verbund-ledger " + installation_id_; }
  [[nodiscard]] Result<os::FileLock> lock() const { return lock_journal(directory_ / "ledger.lock"); }
  /// A file's lines; a missing one has none.
  [[nodiscard]] Result<SignedLines> read(const std::filesystem::path& path) const;
  Status load();
  Status cut_torn(std::size_t good_bytes);
  Status check_head();
  [[nodiscard]] Status write_head() const;
  /// Errors: kDamaged (the book does not take them): everything is as before.
  Status take(std::vector<SignedLine> lines);
  Status put_lines(const std::vector<SignedLine>& lines);
  Status enter_locked(Fact fact, LocalTime at, const SigningKey& key);
  Result<Exchange> keep_fork(const std::filesystem::path& theirs_at, const std::vector<SignedLine>& theirs, std::size_t common, const SigningKey& key);
  Result<Exchange> compare(const std::filesystem::path& theirs_at, SignedLines theirs, const SigningKey& key);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string last_hash() const;

  std::filesystem::path directory_;      ///< DIR/backup
  std::string installation_id_;
  std::vector<PublicKey> trusted_;
  Book book_;
  std::vector<Entry> entries_;
  std::vector<SignedLine> lines_;
  std::optional<Phrase> mended_;
};

}  // namespace verbund::backup
