#pragma once
/// Delivers what all may hear (presence, locks, changes) to those who watch it: ordered, unique, without a gap.
///
/// Pure: no I/O of its own, no clock; sends through Receiver, asks its sink for the rest. One thread.
/// One log, bounded in entries and bytes, serialised once. Subscribers with the same watch form an audience, which keeps
/// what matches it; who watches nothing of an entry costs nothing. A subscriber whose connection does not keep up is left
/// alone until it has drained; what it missed is then merged by key (Conflation). Who is owed something that has left the
/// log is closed as too slow; it resumes from its cursor, from the log if that reaches back, else from the journal's pages.
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "base/buffer.h"
#include "cluster/conflation.h"
#include "protocol/messages.h"

namespace verbund::cluster {

struct BroadcastLimits {
  std::size_t log_entries = 16'384;
  std::size_t log_bytes = 16 * 1024 * 1024;
  std::size_t pause_above_bytes = 64 * 1024;  ///< queued at the peer: stop until it has drained
  std::size_t merged_keys = 500;              ///< per merged message, so that it stays far below the peer's queue
  std::size_t merged_entries = 256;
  std::size_t replay_page = 256;              ///< events per question to the journal
};

enum class Topic : std::uint8_t { kPresence, kLocks, kChanges, kEverybody, kSnapshot };

/// One subscriber's connection.
class Receiver {
 public:
  virtual ~Receiver() = default;
  [[nodiscard]] virtual std::uint64_t id() const = 0;
  /// Never blocks. May end in `Broadcaster::leave` before it returns.
  virtual void send(Buffer message) = 0;
  /// Sent and not yet taken by the client's side.
  [[nodiscard]] virtual std::size_t queued_bytes() const = 0;
  /// `Broadcaster::drained` is called once, when nothing is queued any more; never from inside this call.
  virtual void notify_when_drained() = 0;
};

/// What the broadcaster asks of its service. Subscribers are named by Receiver::id.
class BroadcastSink {
 public:
  virtual ~BroadcastSink() = default;
  /// It is not sent to any more: say so and close it.
  virtual void fell_behind(std::uint64_t subscriber) = 0;
  /// Journal pages after `from`; answer with `replayed` or `replay_refused`, later.
  virtual void replay(std::uint64_t subscriber, Cursor from, std::size_t limit) = 0;
};

class Broadcaster {
 public:
  Broadcaster(BroadcastLimits limits, Cursor head, BroadcastSink& sink);
  ~Broadcaster();

  /// From now on, or with `from` from that cursor (changes only). The receiver lives until `leave`. Nothing is sent before
  /// `start`, so that a welcome can go first.
  void join(Receiver& receiver, const protocol::Watch& watch, std::optional<Cursor> from);
  void start(std::uint64_t subscriber);
  void leave(std::uint64_t subscriber);
  /// Another watch from now on, or from a cursor (`start` follows). Presence and locks that were watched before too go on
  /// without a gap.
  void set_watch(std::uint64_t subscriber, const protocol::Watch& watch, std::optional<Cursor> from);

  void publish(Topic topic, Buffer message);
  void publish(protocol::Changes changes);
  /// History forked or was reconciled: all get `snapshot`; cursors of before are refused.
  void publish_snapshot(protocol::Snapshot snapshot);

  /// Delivers to about `peers` subscribers. True: there is more to do.
  bool pump(std::size_t peers);
  /// Delivers what is pending for one, merged if its connection is slow: before a direct message that must not overtake
  /// changes. Journal pages are not waited for.
  /// kRespect: only as far as its connection keeps up.
  enum class Pressure { kRespect, kIgnore };
  void flush(std::uint64_t subscriber, Pressure pressure);
  /// Receiver::notify_when_drained has fired.
  void drained(std::uint64_t subscriber);

  /// `from` as it was asked for.
  void replayed(std::uint64_t subscriber, const Cursor& from, const std::vector<protocol::Changes>& page);
  /// The cursor is too old or of another history: `snapshot` with `reason` goes out.
  void replay_refused(std::uint64_t subscriber, std::string reason);

  [[nodiscard]] const Cursor& head() const { return head_; }
  /// Up to where this subscriber has been sent everything it watches: it may resume from there.
  [[nodiscard]] Cursor cursor(std::uint64_t subscriber) const;
  [[nodiscard]] std::size_t subscribers() const { return subscribers_.size(); }
  [[nodiscard]] std::size_t log_bytes() const { return log_bytes_; }
  [[nodiscard]] std::size_t log_entries() const { return log_.size(); }
  /// Something waits to be pumped.
  [[nodiscard]] bool busy() const { return !queue_.empty(); }
  /// Does anybody watch it? What nobody watches need not be encoded.
  [[nodiscard]] bool watched(Topic topic) const {
    return topic == Topic::kLocks ? lock_watchers_ > 0 : topic != Topic::kPresence || presence_watchers_ > 0;
  }

 private:
  struct Entry {
    Topic topic = Topic::kPresence;
    Buffer message;  ///< unfiltered
    std::shared_ptr<const protocol::Changes> changes;
    Csn csn_after;        ///< head when it was published; grows along the log
    std::size_t bytes = 0;
  };
  struct Subscriber;
  struct Audience;
  class Pumping;

  void append(Entry entry);
  void trim();
  void offer(Audience& audience, const Entry& entry, std::uint64_t seq);
  [[nodiscard]] Buffer for_audience(const Audience& audience, const Entry& entry) const;
  [[nodiscard]] bool matches(const Audience& audience, const Entry& entry) const;
  Audience& audience_of(const protocol::Watch& watch);
  void enter(Subscriber& subscriber, Audience& audience);
  void exit(Subscriber& subscriber);
  void begin(Subscriber& subscriber, const std::optional<Cursor>& from);
  void deliver(Subscriber& subscriber);
  void deliver_live(Subscriber& subscriber);
  void catch_up(Subscriber& subscriber, Pressure pressure);
  bool send_batch(Subscriber& subscriber);
  void read_on(Subscriber& subscriber);
  void pause(Subscriber& subscriber);
  void drop_behind(Subscriber& subscriber);
  [[nodiscard]] bool owed(const Subscriber& subscriber, const Entry& entry) const;
  void note_loss(Audience& audience, const Entry& entry);
  [[nodiscard]] static bool lost_other(const Subscriber& subscriber);
  bool keep_up_with_tail(Subscriber& subscriber);
  void send_merged(Subscriber& subscriber, Conflation& merged);
  [[nodiscard]] Csn csn_before(std::uint64_t seq) const;
  [[nodiscard]] std::uint64_t first_after(Csn csn) const;
  [[nodiscard]] std::uint64_t next_seq() const { return tail_ + log_.size(); }
  Subscriber* find(std::uint64_t subscriber);
  [[nodiscard]] std::uint64_t sent_up_to(const Subscriber& subscriber) const;
  void sweep();

  const BroadcastLimits limits_;
  BroadcastSink& sink_;
  Cursor head_;
  Csn floor_;               ///< the log holds every change after it
  std::deque<Entry> log_;
  std::uint64_t tail_ = 1;  ///< number of the log's first entry
  std::uint64_t last_snapshot_ = 0;  ///< its number
  std::size_t log_bytes_ = 0, lock_watchers_ = 0, presence_watchers_ = 0;
  std::map<std::string, std::unique_ptr<Audience>> audiences_;
  std::deque<Audience*> queue_;  ///< audiences with members that are behind
  std::unordered_map<std::uint64_t, std::unique_ptr<Subscriber>> subscribers_;
  std::vector<std::unique_ptr<Subscriber>> left_;  ///< kept until no delivery is under way
  int pumping_ = 0;
};

}  // namespace verbund::cluster
