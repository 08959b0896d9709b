#pragma once
/// The ledger: facts about media, sets, duty and drills (rotation/book.h) as files that only grow, an entry per line, each signed
/// by the installation and naming the hash of the one before. One copy in the installation (DIR/backup/ledger.jsonl), one on every
/// medium that was ever in the drive; a lost one is rebuilt from the others. Format: docs/formats/backup-ledger.md.
/// Threads: one per object; several processes may append (a lock file).
#include <filesystem>
#include <vector>

#include "backup/keys.h"
#include "backup/rotation/book.h"

namespace verbund::backup {

class Ledger {
 public:
  /// Reads and checks all of it. Errors: kDamaged (a line changed, removed or put in: names the first; what a crash has cut off at the
  /// end is cut away and told in `mended`), kIo, kForbidden (signed by none of `trusted`).
  static Result<Ledger> open(const std::filesystem::path& installation, const std::vector<PublicKey>& trusted);

  /// Signed, chained, fsynced. Errors: kUsage (the book does not take it), kIo, kDiskFull. Then nothing has changed.
  Status enter(Fact fact, LocalTime at, const SigningKey& key);

  /// Writes the whole ledger beside the sets of a medium when that one's is shorter; takes over what the medium has and we don't (an
  /// installation that was restored). Errors: kDamaged: the two have forked (both are kept, and somebody is told).
  Status exchange_with(const std::filesystem::path& target);

  [[nodiscard]] const Book& book() const { return book_; }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] const std::optional<std::string>& mended() const { return mended_; }

 private:
  std::filesystem::path file_;
  std::vector<PublicKey> trusted_;
  Book book_;
  std::vector<Entry> entries_;
  std::string last_hash_;
  std::optional<std::string> mended_;
};

}  // namespace verbund::backup
