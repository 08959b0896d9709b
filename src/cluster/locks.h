#pragma once
/// Work locks: who may edit which record now.
/// Pure engine: no I/O, no clock; one thread. Events in, actions out. See README.md for the laws it keeps.
///
/// Several keys are granted all or none. Waiting requests stand in the queue of each of their keys, in order of
/// arrival; one is granted when every key is free and it is first everywhere. As all enter all their queues at once, the
/// oldest request is first in each of its queues: nobody starves and waiting requests can't block one another for ever.
/// A key that is free but reserved so counts as held. Requests of sessions that hold one key and wait for another may
/// wait for each other: their time limits end that.
#include <list>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>

#include "cluster/actions.h"
#include "cluster/deadlines.h"
#include "cluster/request_memory.h"

namespace verbund::cluster {

struct LockRequest {
  SessionId session;
  Ticket ticket;
  std::string request;  ///< empty: not idempotent
  std::vector<RecordKey> keys;
  milliseconds wait{0};
  std::string note;
};

/// WAL position not known yet: the caller asks the database and calls `resolve_release`.
inline constexpr Lsn kLsnUnknown{~std::uint64_t{0}};
using ReleaseId = StrongId<struct ReleaseTag>;

struct UnlockRequest {
  SessionId session;
  Ticket ticket;
  std::string request;
  std::vector<RecordKey> keys;  ///< or
  FencingToken token;           ///< all keys of this grant
  std::optional<Lsn> after;     ///< announce only when the feed has passed it
};

struct LockLimits {
  std::size_t max_keys_per_request = protocol::kMaxKeysPerRequest;
  std::size_t max_locks_per_session = 4096;
  milliseconds release_wait{2000};
  milliseconds own_grant_wait{15'000};  ///< for the guard's word on an earlier request of the same session
};

/// What the guard says to a GuardWrite.
struct GuardOutcome {
  std::vector<RecordKey> failed;  ///< empty: all are written and durable
  ErrorCode code = ErrorCode::kUnavailable;
};

class LockTable {
 public:
  LockTable(LockLimits limits, LockEpoch epoch, bool reclaiming) : limits_(limits), epoch_(epoch), reclaiming_(reclaiming) {}

  /// Every ticket gets one LockReplied, now or later. Refusals: kHeld, kTimedOut, kCancelled, kTooManyKeys,
  /// kTooManyLocks, kBadMessage (no key), kReclaiming.
  void acquire(LockRequest request, Now now, Actions& out);
  /// Answers at once. With `after` the keys stay `releasing` until then. Refusals: kNotHeld (what the session does hold
  /// of the keys is released nevertheless). The value: what to resolve when `after` is kLsnUnknown, or none.
  ReleaseId release(UnlockRequest request, Now now, Actions& out);
  void resolve_release(ReleaseId release, Lsn lsn, Now now, Actions& out);
  /// The feed has handed on everything up to `lsn`.
  void feed_passed(Lsn lsn, Now now, Actions& out);
  /// Ends a waiting request; its own reply is kCancelled. Refusal for `ticket`: kNotFound.
  void cancel(SessionId session, Ticket ticket, std::string_view request, Now now, Actions& out);
  /// Takes keys from whoever holds them. What was not held is left out.
  std::vector<LockRecord> force(std::span<const RecordKey> keys, const std::string& by, const std::string& text, Now now,
                                Actions& out);
  /// Ends all waiting requests of the session (kCancelled).
  void drop_waits(SessionId session, Now now, Actions& out);
  /// Everything of the session: waiting requests end (kCancelled), locks are free.
  void drop_session(SessionId session, Now now, Actions& out);

  /// What the session still has of what it says to hold. During the window after a restart a key goes to who brings
  /// the highest token; tokens of this epoch or later that we don't know are refused.
  std::vector<protocol::LostLock> reclaim(SessionId session, std::span<const protocol::Reclaim> claims, Now now,
                                          Actions& out);
  /// Ends the window: queued requests are granted.
  void end_reclaim(Now now, Actions& out);
  [[nodiscard]] bool reclaiming() const { return reclaiming_; }
  /// Of a resumed session: the guard has not decided yet; ClaimsSettled follows.
  [[nodiscard]] bool claims_pending(SessionId session) const;
  /// Said with kReclaiming.
  void set_retry_after(milliseconds retry_after) { retry_after_ = retry_after; }

  /// Grants of these types are told only when the guard has written them (lock_guarded.cc). The value: what is held of them
  /// now, for the guard to write.
  std::vector<protocol::KeyToken> set_guarded(std::set<std::string, std::less<>> types);
  [[nodiscard]] bool guarded(const RecordKey& key) const { return !guarded_.empty() && guarded_.contains(key.type); }
  void guard_done(GuardId number, const GuardOutcome& outcome, Now now, Actions& out);

  /// Waits that are over; releases whose changes did not come in time.
  void tick(TimePoint engine_now, WallTime wall, Actions& out);

  [[nodiscard]] std::vector<protocol::KeyToken> held_by(SessionId session) const;
  [[nodiscard]] std::optional<LockRecord> find(const RecordKey& key) const;
  /// At most `limit` whose "TYPE/ID" begins with `prefix`, in no order; one more tells that there are more.
  [[nodiscard]] std::vector<LockRecord> list(std::string_view prefix, std::size_t limit) const;
  [[nodiscard]] std::size_t held_count() const { return held_count_ - granting_count_; }
  [[nodiscard]] std::size_t waiting_count() const { return waiters_.size(); }

 private:
  struct Waiter;
  struct Entry {
    const RecordKey* key = nullptr;  ///< in the map's node
    SessionId holder;                ///< none: reserved for the first of the queue
    FencingToken token;
    WallTime since;
    std::string note;
    protocol::LockState state = protocol::LockState::kHeld;
    bool touched = false;        ///< in touched_
    std::uint32_t held_at = 0;   ///< index in the holder's list
    std::uint64_t mark = 0;      ///< last request that named it; finds keys named twice
    ReleaseId release;
    GuardId granting;            ///< none: the holder has been told
    std::list<Waiter*> queue;
  };
  struct Place {
    Entry* entry;
    std::list<Waiter*>::iterator position;
  };
  struct Waiter {
    std::uint64_t number = 0;
    SessionId session;
    std::vector<Ticket> tickets;
    std::string request, note;
    std::vector<Place> places;
    TimePoint deadline;
    WallTime since;
  };
  struct Holder {
    std::vector<Entry*> held;
    std::vector<Waiter*> waiting;
    std::size_t keys_waited_for = 0;
    std::vector<std::uint64_t> granting;
    std::unique_ptr<RequestMemory<LockReplied>> memory;  ///< only of sessions that name their requests
  };
  struct Release {
    SessionId session;
    Lsn lsn;
    TimePoint deadline;
    std::vector<Entry*> entries;
  };
  /// A request that has got its keys, or claims that are met, until the guard has written them.
  struct Granting {
    SessionId session;
    std::vector<Ticket> tickets;
    std::string request;
    std::vector<RecordKey> asked;  ///< all keys of the request, also those that the session held before
    std::vector<Entry*> taken;
    bool claims = false;
  };
  struct KeyHash {
    std::size_t operator()(const RecordKey& key) const noexcept {
      return std::hash<std::string_view>{}(key.type) * 31 + std::hash<std::string_view>{}(key.id);
    }
  };

  static constexpr std::size_t kMaxTicketsPerWait = 8;

  bool answer_repeated(const LockRequest& request, Holder& holder, Actions& out);
  void refuse(Ticket ticket, SessionId session, const std::string& request, ErrorCode code, const RecordKey* key,
              Actions& out);
  void reply(std::span<const Ticket> tickets, const std::string& request, Holder& holder, LockReplied outcome, Actions& out);
  Entry& entry_of(const RecordKey& key);
  Entry* find_entry(const RecordKey& key);
  [[nodiscard]] bool blocks(const Entry& entry, SessionId session) const;
  [[nodiscard]] LockRecord record_of(const Entry& entry) const;
  void enqueue(LockRequest request, Holder& holder, Now now);
  void grant(SessionId session, std::span<Entry* const> entries, std::span<const Ticket> tickets,
             const std::string& request, const std::string& note, WallTime wall, Actions& out);
  void take(Entry& entry, SessionId session, Holder& holder, FencingToken token, WallTime wall, const std::string& note);
  void drop(Entry& entry, Holder& holder);
  [[nodiscard]] bool grantable(const Waiter& waiter) const;
  void leave_queues(Waiter& waiter);
  void grant_waiter(Waiter& waiter, WallTime wall, Actions& out);
  void end_wait(std::uint64_t number, ErrorCode code, Actions& out);
  void touch(Entry& entry);
  void settle(WallTime wall, Actions& out);
  void offer(Entry& entry, WallTime wall, Actions& out);
  FencingToken next_token();
  // lock_guarded.cc
  void begin_granting(SessionId session, std::span<Entry* const> entries, std::span<const Ticket> tickets,
                      const std::string& request, const std::string& note, WallTime wall, Actions& out);
  GuardId add_granting(Granting granting, Holder& holder);
  void finish_granting(Granting& granting, WallTime wall, Actions& out);
  void fail_granting(Granting& granting, ErrorCode code, const RecordKey& key, Actions& out);
  void settle_claims(Granting& granting, const GuardOutcome& outcome, WallTime wall, Actions& out);
  void end_granting(std::uint64_t number, Actions& out);
  void end_requests_granting(Holder& holder, Actions& out);
  Granting* find_granting(const Holder& holder, std::string_view request);
  void withdraw(Entry& entry);
  void clear(std::span<Entry* const> entries, Actions& out) const;
  void finish_release(std::uint64_t number, bool changes_pending, Actions& out);
  void detach_release(Entry& entry);
  void forget_release(std::uint64_t number, const Release& release);
  bool reclaim_one(SessionId session, Holder& holder, const protocol::Reclaim& claim, Now now, LocksGranted& granted,
                   Granting& claimed, Actions& out);
  /// Frees the keys and says so; all are held by `session`.
  void hand_back(std::span<Entry* const> entries, SessionId session, bool changes_pending, Actions& out);

  const LockLimits limits_;
  const LockEpoch epoch_;
  bool reclaiming_;
  milliseconds retry_after_{1000};
  std::uint32_t counter_ = 0;  ///< of the last token given in this epoch
  std::uint64_t marks_ = 0, waits_ = 0, releases_made_ = 0, grantings_made_ = 0;
  std::size_t held_count_ = 0, granting_count_ = 0;
  Lsn passed_;
  std::unordered_map<RecordKey, Entry, KeyHash> entries_;
  std::unordered_map<SessionId, Holder> holders_;
  std::unordered_map<std::uint64_t, Waiter> waiters_;
  std::unordered_map<std::uint64_t, Release> releases_;
  std::unordered_map<std::uint64_t, Granting> grantings_;
  std::set<std::string, std::less<>> guarded_;
  std::set<std::pair<Lsn, std::uint64_t>> releases_by_lsn_;
  Deadlines wait_deadlines_, release_deadlines_;
  std::vector<Entry*> touched_;   ///< perhaps free, empty, or grantable to the next
  std::vector<Entry*> requested_; ///< scratch of `acquire`
};

}  // namespace verbund::cluster
