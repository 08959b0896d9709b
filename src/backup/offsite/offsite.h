#pragma once
/// Copies of sets outside the house: sent, read back, brought home. What is done stands in the site's journal (journal.h), so that a cut
/// copy sends only the rest. Blocking; one thread. docs/operations/backup-offsite.md
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/office.h"
#include "backup/offsite/journal.h"
#include "backup/offsite/remote.h"

namespace verbund::backup {

/// A place that the configuration names. Errors: kNotFound (names those that there are; none: says how to configure one).
Result<OffSite> off_site_named(const Config& config, const std::string& name);

/// What a task outside the house works with.
struct OffSiteTask {
  const Office& office;
  const Remote& remote;
  Progress& progress;
  const Clock& clock;
  std::function<void(const Phrase&)> on_step = {};  ///< for people; may be empty
};

struct OffSiteCheck {
  std::string set, place;
  std::uint64_t sequence = 0;
  std::uint64_t files = 0, bytes = 0;        ///< read back
  std::vector<Finding> findings;             ///< empty: all of it is what was sent
};

struct CopyReport {
  std::string set, place;
  bool sealed_here = false;                  ///< the set itself was not sealed; false when all of it was there before
  std::uint64_t files = 0, bytes = 0;        ///< of the copy; 0: all of it was there before this call
  std::uint64_t sent_files = 0, sent_bytes = 0;  ///< by this call; the rest was there
  OffSiteCheck check;
  milliseconds took{0};
};
/// Sends what is missing there, the signature last, and reads all of it back. Errors: those of Remote and of sealed_set; kInUse (another
/// copy to this place); kAlreadyExists (another set of that name is there and may not be replaced). Damage is in `check`, no error.
Result<CopyReport> copy_off_site(const OffSiteTask& task, const std::filesystem::path& set);

/// Reads a set back whole and compares it with its signed sums. The result goes into the journal. Errors: kNotFound (there is no such
/// set), those of Remote.
Result<OffSiteCheck> verify_off_site(const OffSiteTask& task, const std::string& set);

/// A set as it lies there.
struct OffSiteSet {
  std::string place;
  Manifest manifest;                         ///< without details
  std::uint64_t bytes = 0;
  OffSiteCopy copy;                          ///< what our journal knows
};
struct OffSiteListing {
  std::vector<OffSiteSet> sets;              ///< by sequence; each has all its files (sizes are not proof: verify)
  std::vector<std::pair<std::string, std::string>> ignored;  ///< directories that are no sets, and why
};
Result<OffSiteListing> list_off_site(const OffSiteTask& task);

/// Brings a set home, into `into/ID`, each file checked on its way; taken up again when it was cut. Errors: kAlreadyExists, kNotFound,
/// kDamaged, kDiskFull, those of Remote.
Result<std::filesystem::path> fetch_off_site(const OffSiteTask& task, const std::string& set, const std::filesystem::path& into);

/// Whether the account may overwrite or delete what it has sent: it should not, so that whoever takes over the office's server can't take
/// the copies, too. Errors: those of Remote (it can't write at all).
struct ProbeReport {
  bool may_overwrite = false, may_delete = false;
};
Result<ProbeReport> probe_off_site(const OffSiteTask& task);

/// For status, run report, retention and alarms: without asking the remote.
Result<OffSiteSummary> off_site_summary(const Office& office, const OffSite& site);

}  // namespace verbund::backup
