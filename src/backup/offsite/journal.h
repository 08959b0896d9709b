#pragma once
/// What went to a place outside the house and what came back from it: DIR/backup/offsite/NAME.jsonl, a JSON object a line, only grows,
/// fsynced. From it a cut copy is taken up again, and status and alarms are computed. Format: docs/formats/offsite-journal.md.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "platform/os/file.h"

namespace verbund::backup {

struct OffSiteEvent {
  enum class What {
    kBegun,     ///< a copy into `place`; what was sent there of other contents (`sums`) does not count any more
    kSent,      ///< `file` with `hash` is there, as far as the remote says
    kCopied,    ///< all of it, the signature last
    kVerified,  ///< read back whole, and good
    kDamaged,   ///< `file` is not what was sent, or missing; empty: the whole of it
    kProbed,    ///< `detail`: "protected", or what the account may do and shouldn't: "overwrite", "delete", "overwrite delete"
  };
  WallTime at;
  What what = What::kBegun;
  std::string set;              ///< its id
  std::uint64_t sequence = 0;
  std::string place;            ///< kBegun, kVerified, kDamaged: directory on the remote
  std::string sums;             ///< kBegun, kVerified: SHA-256 of the copy's SHA256SUMS
  std::string original;         ///< kBegun: SHA-256 of the SHA256SUMS of the set that was copied
  std::string file, hash;       ///< kSent
  std::string detail;
};
std::string line_of(const OffSiteEvent& event);
/// nullopt: no such line (a later version's, damaged).
std::optional<OffSiteEvent> off_site_event_of(std::string_view line);

/// How far the copy of one set has got.
struct OffSiteCopy {
  std::string place, sums, original;
  std::uint64_t sequence = 0;
  std::map<std::string, std::string> sent;   ///< file → hash
  bool copied = false;
  bool damaged = false;                      ///< since it was last read back whole
  std::optional<WallTime> verified;          ///< when last; nullopt: never, or damaged since
};
/// By set id. Pure.
std::map<std::string, OffSiteCopy> copies_of(const std::vector<OffSiteEvent>& events);

/// What status, run report and alarms want to know of a place.
struct OffSiteSummary {
  int verified = 0;                          ///< sets there that were read back whole
  std::string newest;                        ///< the one of them with the highest sequence
  std::optional<WallTime> newest_verified;   ///< when that one was read back last
  std::vector<std::string> damaged;          ///< ids
  std::optional<WallTime> probed;
  bool may_overwrite = false, may_delete = false;  ///< as the last probe saw it
};
OffSiteSummary summary_of(const std::vector<OffSiteEvent>& events);

class OffSiteJournal {
 public:
  OffSiteJournal(const std::filesystem::path& installation, const std::string& site);
  Status append(const OffSiteEvent& event) const;
  Result<std::vector<OffSiteEvent>> read() const;
  /// One task at a time writes to a place. Errors: kInUse (names who), kIo.
  [[nodiscard]] Result<os::FileLock> lock() const;

 private:
  std::filesystem::path file_;
};

}  // namespace verbund::backup
