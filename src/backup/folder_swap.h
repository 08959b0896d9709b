#pragma once
/// The renames that turn the old state into the new one, and back. Each can be repeated: what is done is told by the identity of
/// what stands at a name, not by the journal alone. One thread. For this folder's units only.
#include "backup/restore_journal.h"

namespace verbund::backup {

class FolderSwap {
 public:
  /// Borrowed. `on_step` before each change.
  FolderSwap(const RestoreRecord& record, RestoreJournal& journal, const std::function<void()>& on_step);

  /// Makes the staging folders. Errors: kIo, kDiskFull.
  Status make_staging();
  /// What is unpacked, as it now is, to disk and into the journal; then "ready".
  Status seal(RestoreRecord& record);
  /// To the new state, then "done". Errors: kAlreadyExists (somebody put something there meanwhile), kIo.
  Status forward();
  /// To the old state; the journal says "back" first.
  Status back();
  /// Removes the staging folders with what is left in them; then "ended".
  Status clean_up();

 private:
  Status move_in(std::size_t number);
  Status take_out(std::size_t number);
  Status rename(int from_folder, const std::string& from, int to_folder, const std::string& to) const;
  void step() const {
    if (*on_step_) (*on_step_)();
  }

  const RestoreRecord* record_;
  RestoreJournal* journal_;
  const std::function<void()>* on_step_;
};

}  // namespace verbund::backup
