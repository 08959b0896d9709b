#pragma once
/// What becomes of one change of a device, from what is known where it arrives: the laws of merging (docs/formats/sync-laws.md). Pure; any thread.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "sync/model/rows.h"
#include "sync/model/rules.h"

namespace verbund::sync {

/// The row as the mid-tier has it, and what the device may do.
struct Situation {
  UpRow::Op op = UpRow::Op::kUpdate;
  Csn base;                     ///< of the change; 0, of an update or deletion: of another history, or not known
  bool exists = false;          ///< the shadow has a row of that key
  Csn version;                  ///< of that row
  bool version_is_own = false;  ///< it was written by an earlier change of this device, as the device had sent it
  bool earlier_undecided = false;  ///< another change of the row is on its way to the source: this one is decided after it
  Rights rights;
  bool before_in_filter = true;  ///< update, delete: the row as it is now is one of the user's
  bool after_in_filter = true;   ///< insert, update: as the device wants it. An update may lead out of the filter
  ConflictPolicy::Kind policy = ConflictPolicy::Kind::kReject;
  std::vector<bool> mine;        ///< update: columns that the device has changed; none: it only asks what the row is
  std::vector<bool> theirs;      ///< update, delete: columns in which the row of now differs from the device's old one
  bool same = false;             ///< insert, update: the row of now is what the device wants it to be
};

struct Verdict {
  enum class What {
    kApply,     ///< as it is
    kMerge,     ///< the columns that the device has changed, over the row of now
    kFunction,  ///< the table's function decides
    kReject,    ///< reason says why
    kDone,      ///< nothing is to be done: the row is gone that was to be deleted, or is already as the device wants it, or the device only asks for it
    kLater,     ///< behind the change of the same row that is on its way
  } what = What::kApply;
  std::string_view reason;  ///< is_reject_reason
};

/// Laws:
///  1. A change is applied as it is only when nobody else has changed the row since the device had it; where versions can't say so, the row itself does.
///  2. Rights and filter come before everything else: who may not see the row learns nothing from the answer but that.
///  3. Changes of one row are decided in the order in which they were acknowledged.
///  4. kMerge and kFunction only answer a conflict of two updates; all else that conflicts is rejected.
///  5. Merged are only updates of different columns.
///  6. What has come to pass is no conflict: a change that arrives a second time is done.
Verdict judge(const Situation& situation);

}  // namespace verbund::sync
