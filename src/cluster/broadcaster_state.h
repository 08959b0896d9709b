#pragma once
/// What broadcaster.cc and catch_up.cc share. Not for others.
#include "cluster/broadcaster.h"

namespace verbund::cluster {

/// Subscribers with the same watch.
struct Broadcaster::Audience {
  struct Item {
    std::uint64_t seq;
    Buffer message;
  };
  std::string name;  ///< the watch in a canonical form
  bool locks = false, presence = false, all_types = false;
  std::set<std::string> types;
  std::deque<Item> items;     ///< of the log, what matches
  std::uint64_t dropped = 0;  ///< last item that left the log
  /// The last of each kind that it watches and that has left the log since the audience was there: numbers, and a csn.
  std::uint64_t lost_locks = 0, lost_presence = 0, lost_others = 0, lost_snapshot = 0;
  Csn lost_changes;
  std::vector<Subscriber*> members;
  std::size_t next = 0;       ///< member whose turn it is
  std::size_t remaining = 0;  ///< members to visit until all have the last item
};

struct Broadcaster::Subscriber {
  enum class State {
    kNotStarted,
    kLive,     ///< reads its audience's items
    kPaused,   ///< its connection has to drain first
    kLog,      ///< reads the log, merging
    kJournal,  ///< waits for a page
    kGone,
  };
  Receiver* receiver = nullptr;
  std::uint64_t id = 0;
  Audience* audience = nullptr;
  std::size_t index = 0;          ///< in audience->members
  State state = State::kNotStarted;
  State goes_on = State::kLog;    ///< after kNotStarted or kPaused
  std::uint64_t position = 0;     ///< next entry to look at
  std::uint64_t others_from = 0;    ///< messages to everybody and snapshots only from here on
  std::uint64_t locks_from = 0;     ///< locks (the welcome told what was before)
  std::uint64_t presence_from = 0;
  std::uint64_t snapshots_from = 0; ///< of those before it has been told in another way
  /// Where it stood when a snapshot was published that it has not been sent yet: what it may resume from until then.
  std::optional<Cursor> before_snapshot;
  Csn read;                       ///< changes up to here are known; counts unless live
  HistoryId history;              ///< of `read`
};

/// While one lives, subscribers and audiences stay in memory: a send may close its peer and end in `leave`.
class Broadcaster::Pumping {
 public:
  explicit Pumping(Broadcaster& broadcaster) : broadcaster_(broadcaster) { ++broadcaster_.pumping_; }
  ~Pumping() {
    if (--broadcaster_.pumping_ == 0) broadcaster_.sweep();
  }
  Pumping(const Pumping&) = delete;
  Pumping& operator=(const Pumping&) = delete;

 private:
  Broadcaster& broadcaster_;
};

}  // namespace verbund::cluster
