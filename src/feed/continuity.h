#pragma once
/// Is the log that a slot sends the one that was stored? A server whose data directory was copied back may have written more
/// since than it had before: system, timeline and position all look right. Pure; docs/adr/0011 says why this is exact.
#include <optional>

#include "base/ids.h"
#include "base/time.h"

namespace verbund::feed {

/// A transaction of the source as the log names it.
struct LogTransaction {
  Lsn commit;  ///< where its commit record starts
  std::uint32_t xid = 0;
  WallTime time;
  friend bool operator==(const LogTransaction&, const LogTransaction&) = default;
};

class Continuity {
 public:
  /// Nothing is known of before: everything is believed.
  Continuity() = default;
  /// `stored`: every captured change of transactions that commit before it is in the journal. `confirmed`: the slot sends again
  /// what committed from there on. `last`: what was stored last; none: nothing since this history began.
  Continuity(Lsn stored, Lsn confirmed, std::optional<LogTransaction> last) : stored_(stored), last_(last), settled_(confirmed >= stored) {
    if (last && last->commit >= confirmed) awaited_ = last;
  }

  /// A transaction begins; they come in commit order. False: the log is another one.
  [[nodiscard]] bool begins(const LogTransaction& transaction) {
    if (settled_) return true;
    if (awaited_ && transaction.commit >= awaited_->commit) {
      if (transaction != *awaited_) return false;
      awaited_.reset();
    }
    current_ = transaction.commit;
    settled_ = current_ >= stored_;
    return true;
  }
  /// It changes a row that was captured already at its time. False: the log is another one.
  [[nodiscard]] bool changes() const { return settled_ || (last_ && current_ <= last_->commit); }
  /// Everything before `upto` was sent. False: the log is another one.
  [[nodiscard]] bool sent(Lsn upto) {
    if (settled_ || upto < stored_) return true;
    settled_ = !awaited_;
    return settled_;
  }
  /// The stream has come to what is new. Before, the slot must not be confirmed: what is confirmed is never sent again.
  [[nodiscard]] bool settled() const { return settled_; }

 private:
  Lsn stored_, current_;
  std::optional<LogTransaction> last_, awaited_;
  bool settled_ = true;
};

}  // namespace verbund::feed
