#pragma once
/// What stands in the drives, and which of it a run takes. Blocking; any thread.
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/media/label.h"
#include "backup/media/ledger.h"
#include "backup/media/mount.h"
#include "backup/media/tape.h"
#include "backup/office.h"
#include "backup/rotation/plan.h"

namespace verbund::backup {

/// A place where media are mounted ([media] places; without any: [backup] target), or the tape drive, and what is there now.
struct Drive {
  std::filesystem::path place;
  MediumKind kind = MediumKind::kDisk;
  std::optional<Ground> ground;       ///< of disks; absent: there is no such directory
  Presented presented;
  std::optional<Label> label;         ///< one of this installation, good
  std::optional<Error> problem;       ///< of its label: damaged, of somebody else
};

/// Whose media count, and by which rules. Made once per command.
struct MediaOffice {
  const Office& office;
  std::string installation;
  std::vector<PublicKey> trusted;
  SigningKey key;
};
/// Errors: those of signing_key and trusted_keys.
Result<MediaOffice> media_office(const Office& office);

Drive look_at(const MediaOffice& of, const std::filesystem::path& place, const Machine& machine = {});
/// The tape in a drive.
Tape tape_of(const MediaOffice& of, const std::filesystem::path& device);
Drive look_at_tape(const MediaOffice& of, const std::filesystem::path& device);
/// All places of the configuration, and its tape drive.
std::vector<Drive> look_at_drives(const MediaOffice& of, const Machine& machine = {});

/// The installation's ledger; a damaged or lost one is rebuilt from what stands in the drives (Ledger::mended tells it). Then every
/// medium of ours in a drive and the ledger are brought to the same state; what people should know of it goes into `said`.
Result<Ledger> ledger_with(const MediaOffice& of, const std::vector<Drive>& drives, std::vector<Phrase>& said);

/// The drive that a run at `now` writes to: the due medium's, else another one that may be written. Errors: kWrongMedium,
/// kMediumGone, each with the right one's name in the hint.
Result<const Drive*> choose(const PlanRules& rules, const Book& book, const std::vector<Drive>& drives, LocalTime now);

/// What happened to a set in `place`, into the ledger, when `place` is a medium that the ledger knows, or the configured target with a set
/// that the ledger knows (then `medium` is empty); else nothing. Errors: those of Ledger.
Status note_on_medium(const Office& office, const std::filesystem::path& place, const std::function<Fact(const std::string& medium)>& fact, LocalTime now);

/// For what is done without anybody looking on.
class SilentProgress final : public Progress {
 public:
  void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
};

}  // namespace verbund::backup
