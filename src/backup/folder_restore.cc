#include "backup/folder_restore.h"

#include <unistd.h>

#include "backup/folder_swap.h"
#include "backup/tree_extract.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

Result<os::FileLock> lock(const std::filesystem::path& journal) {
  return os::FileLock::acquire(journal.native() + ".lock", fmt::format("restore of folders, pid {}", ::getpid()));
}

/// A journal inside the tree would be moved away with it.
Status check_journal_place(const RestoreFolderOptions& options) {
  std::error_code error;
  const auto journal = std::filesystem::weakly_canonical(options.journal, error);
  if (error || options.journal.empty()) return fail(ErrorCode::kBadConfig, phrase("restore into {}: no place for its journal", options.into.string()));
  const auto into = std::filesystem::weakly_canonical(options.into, error);
  const auto [end, ignored] = std::mismatch(into.begin(), into.end(), journal.begin(), journal.end());
  if (end != into.end()) return {};
  return fail(ErrorCode::kBadConfig, phrase("restore into {}: its journal {} lies inside", into.string(), journal.string()));
}

RestoredFolder planned(const RestorePlan& plan) {
  RestoredFolder result;
  for (const auto& [path, number] : plan.by_path) result.placed.push_back({path, plan.record.placements[number].original});
  result.missing = plan.missing;
  return result;
}

Status unpack(const RestoreFolderOptions& options, RestorePlan& plan, const OpenSource& archive, FolderSwap& swap, RestoredFolder& result,
              Progress& progress) {
  if (auto made = swap.make_staging(); !made) return made;
  auto source = archive();
  if (!source) return pass(source);
  TreeExtract extract(options, plan, result, progress);
  if (auto extracted = extract.run(**source); !extracted) return extracted;
  return swap.seal(plan.record);
}

/// Undoes what was begun; when even that fails, both reasons are told and the journal is left for `roll_back_restore`.
Status give_up(Status failure, FolderSwap& swap) {
  auto undone = swap.back();
  if (undone) undone = swap.clean_up();
  if (undone) return failure;
  Error both = std::move(failure.error());
  both.message += fmt::format("; and going back failed, too: {}", undone.error().message);
  both.message_parts.clear();
  both.advise(phrase("Mend the cause, then resume the restore or roll it back: its journal says where it stands."));
  return std::unexpected(std::move(both));
}

/// The unfinished restore of a journal and what it takes to go on with it.
struct Unfinished {
  os::FileLock lock;
  RestoreRecord record;
  RestoreJournal journal;
};

Result<std::optional<Unfinished>> take_up(const std::filesystem::path& path) {
  auto record = read_restore_journal(path);
  if (!record) return pass(record);
  if (state_of(*record) == RestoreState::kNone) return std::optional<Unfinished>();
  auto held = lock(path);
  if (!held) return pass(held);
  record = read_restore_journal(path);  // whoever held it may have gone on
  if (!record) return pass(record);
  if (state_of(*record) == RestoreState::kNone) return std::optional<Unfinished>();
  auto journal = RestoreJournal::open(path);
  if (!journal) return pass(journal);
  return std::optional(Unfinished{std::move(*held), std::move(**record), std::move(*journal)});
}

}  // namespace

Result<RestoredFolder> plan_restore_folder(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index) {
  auto plan = plan_restore(options, archive, index);
  if (!plan) return pass(plan);
  RestoredFolder result = planned(*plan);
  result.counts = plan->counts;
  return result;
}

namespace {

enum class Until { kUnpacked, kMovedIn };

Result<RestoredFolder> restore_until(Until until, const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index, Progress& progress) {
  if (auto placed = check_journal_place(options); !placed) return pass(placed);
  auto held = lock(options.journal);
  if (!held) return pass(held);
  auto before = read_restore_journal(options.journal);
  if (!before) return pass(before);
  if (state_of(*before) != RestoreState::kNone) {
    return fail(ErrorCode::kInUse, phrase("restore into {}: an earlier restore has not ended", options.into.string()), phrase("Resume it or roll it back first."));
  }
  auto plan = plan_restore(options, archive, index);
  if (!plan) return pass(plan);
  RestoredFolder result = planned(*plan);
  if (plan->record.placements.empty()) return result;
  auto journal = RestoreJournal::open(options.journal);
  if (!journal) return pass(journal);
  if (options.on_step) options.on_step();
  if (auto begun = journal->begin(plan->record); !begun) return pass(begun);
  FolderSwap swap(plan->record, *journal, options.on_step);
  auto done = unpack(options, *plan, archive, swap, result, progress);
  if (done && until == Until::kUnpacked) return result;
  if (done) done = swap.forward();
  if (!done) done = give_up(std::move(done), swap);
  else done = swap.clean_up();
  if (!done) return pass(done);
  return result;
}

}  // namespace

Result<RestoredFolder> restore_folder(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index, Progress& progress) {
  return restore_until(Until::kMovedIn, options, archive, index, progress);
}

Result<RestoredFolder> unpack_folder(const RestoreFolderOptions& options, const OpenSource& archive, const OpenSource& index, Progress& progress) {
  return restore_until(Until::kUnpacked, options, archive, index, progress);
}

Result<RestoreState> restore_state(const std::filesystem::path& journal) {
  auto record = read_restore_journal(journal);
  if (!record) return pass(record);
  return state_of(*record);
}

Status resume_restore(const std::filesystem::path& journal, const std::function<void()>& on_step) {
  auto unfinished = take_up(journal);
  if (!unfinished || !*unfinished) return unfinished ? Status{} : pass(unfinished);
  const RestoreRecord& record = (*unfinished)->record;
  const RestoreState state = state_of(record);
  if (state == RestoreState::kUnpacking || state == RestoreState::kGoingBack) {
    return fail(ErrorCode::kUnsupported, phrase("resume the restore of {}: it stopped before everything was unpacked, or was being rolled back", journal.string()),
                phrase("Roll it back, then restore again."));
  }
  FolderSwap swap(record, (*unfinished)->journal, on_step);
  if (state == RestoreState::kMoving) {
    if (auto forward = swap.forward(); !forward) return forward;
  }
  return swap.clean_up();
}

Status roll_back_restore(const std::filesystem::path& journal, const std::function<void()>& on_step) {
  auto unfinished = take_up(journal);
  if (!unfinished || !*unfinished) return unfinished ? Status{} : pass(unfinished);
  const RestoreRecord& record = (*unfinished)->record;
  if (state_of(record) == RestoreState::kCleaningUp) {
    return fail(ErrorCode::kUnsupported, phrase("roll back the restore of {}: it is complete", journal.string()),
                phrase("What was there before has _Original behind its name."));
  }
  FolderSwap swap(record, (*unfinished)->journal, on_step);
  if (auto back = swap.back(); !back) return back;
  return swap.clean_up();
}

}  // namespace verbund::backup
