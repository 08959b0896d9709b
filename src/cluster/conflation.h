#pragma once
/// Several `changes` events as one, for clients that were slow or resume. Pure, one thread.
///
/// What counts is the record's state before the first and after the last of them: insert+update = insert,
/// insert+delete = nothing, update+delete = delete, delete+insert = update; key changes are followed. `truncated` comes
/// before `changes`: whoever removes the truncated types, then each `was`, then reloads, ends where the single events end.
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "protocol/messages.h"

namespace verbund::cluster {

class Conflation {
 public:
  void add(const protocol::Changes& changes);
  [[nodiscard]] bool empty() const { return !any_; }
  [[nodiscard]] std::size_t keys() const { return order_.size(); }
  /// The event for all of them; with cursor, lsn and time of the last. Starts over.
  protocol::Changes take();

 private:
  struct Fate {
    bool existed = false;             ///< before the first event
    bool alive = false;               ///< after the last
    std::optional<RecordKey> origin;  ///< alive: key that it had before the first event; none: inserted since
    std::vector<std::string> tables;
  };
  void apply(const protocol::RecordChange& change);
  Fate& touch(const RecordKey& key, bool existed);
  void truncate(const std::string& type);
  [[nodiscard]] bool gone(const RecordKey& key) const;

  bool any_ = false;
  protocol::Changes merged_;  ///< all but `changes`
  std::unordered_map<RecordKey, Fate> fates_;
  std::vector<RecordKey> order_;  ///< of first touch
  std::map<std::string, std::uint64_t> bulk_;
  std::set<std::string> truncated_;
};

/// Only what concerns `types` (sorted); none when nothing does.
std::optional<protocol::Changes> only_types(const protocol::Changes& changes, const std::set<std::string>& types);

}  // namespace verbund::cluster
