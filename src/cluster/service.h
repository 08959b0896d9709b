#pragma once
/// Sessions, presence, work locks and change notices of one node: takes messages from peers, asks the pure engine
/// (engine.h), carries out its actions, delivers broadcasts (broadcaster.h).
///
/// Threads: everything on the event loop's thread, except what says otherwise. What this folder needs of others are
/// the interfaces below; src/node/adapters implements them.
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/settings.h"
#include "cluster/stored_session.h"
#include "platform/net/server.h"
#include "protocol/messages.h"

namespace verbund::cluster {

/// Name of the login cookie of browsers, made by src/api.
inline constexpr std::string_view kLoginCookie = "verbund";

struct Credentials {
  std::string user, password;  ///< or
  std::string token;           ///< or
  std::string cookie;          ///< the login cookie of a WebSocket's upgrade request
  std::string address;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  struct Answer {
    Result<Identity> identity;                ///< errors: kUnauthenticated, kRateLimited, kUnavailable
    std::optional<milliseconds> retry_after;  ///< with kRateLimited
  };
  /// `done` is called on the loop, later.
  virtual void authenticate(Credentials credentials, std::function<void(Answer)> done) = 0;
};

class SessionStore {
 public:
  virtual ~SessionStore() = default;
  /// Durable when `done` is called (on the loop). Calls are gathered into one transaction (group commit).
  virtual void save(StoredSession session, std::function<void(Status)> done) = 0;
  /// `done` is called (on the loop) when the removal is durable, or with the reason why it is not: it is asked for again
  /// then. Removing what is not there is no error.
  virtual void remove(SessionId session, std::function<void(Status)> done) = 0;
};

/// The feed as sessions see it.
class ChangeLog {
 public:
  virtual ~ChangeLog() = default;
  /// Up to where changes have been handed to Service::on_changes.
  [[nodiscard]] virtual Cursor head() const = 0;
  /// WAL position up to which everything has been handed to Service::on_changes.
  [[nodiscard]] virtual Lsn passed() const = 0;
  /// Journal rows after `from`, oldest first, conflated by transaction, at most `limit` events; `done` on the loop.
  /// Errors: kSnapshotNeeded (message is the reason: "cursor_too_old" or "history_changed"), kUnavailable.
  virtual void replay(Cursor from, std::size_t limit,
                      std::function<void(Result<std::vector<protocol::Changes>>)> done) = 0;
  /// Puts an announced change into the database's log; `done` on the loop when it has committed.
  virtual void announce(std::vector<protocol::AnnouncedChange> changes, SessionId by, std::function<void(Status)> done) = 0;
  /// The database's current WAL insert position.
  virtual void current_lsn(std::function<void(Result<Lsn>)> done) = 0;
};

class AuditTrail {
 public:
  virtual ~AuditTrail() = default;
  virtual void record(const std::string& actor, const std::string& action, const std::string& object,
                      const std::string& detail) = 0;
};

enum class GuardPatience {
  kBounded,       ///< a few seconds beyond the one for which an open transaction may block a row
  kUntilDecided,  ///< fails only where a higher token is found
};

/// The guard's lock table in the source database, for record types that are guarded.
class LockGuard {
 public:
  virtual ~LockGuard() = default;
  struct Outcome {
    std::vector<RecordKey> failed;  ///< empty: all are durable
    ErrorCode code = ErrorCode::kUnavailable;
  };
  /// `done` on the loop, later. What is asked about one key is done in the order in which it was asked; different keys
  /// don't wait for each other.
  virtual void write(std::vector<protocol::KeyToken> tokens, SessionId session, GuardPatience patience,
                     std::function<void(Outcome)> done) = 0;
  /// These tokens and older ones are over; tried until it is done.
  virtual void clear(std::vector<protocol::KeyToken> tokens) = 0;
  /// What stands in the table from before `epoch`; `done` on the loop, when the table could be read.
  virtual void earlier_than(LockEpoch epoch, std::function<void(std::vector<protocol::KeyToken>)> done) = 0;
};

/// Status as JSON object of the whole node (its parts belong to several folders).
using StatusSource = std::function<std::string()>;

/// Who takes locks within this process: a device whose change is being applied. It has no connection and is never stored, so nobody waits for it after
/// a restart.
struct OwnHolder {
  SessionId session;  ///< from 2^62 on: never one of a client
  std::string workstation, user, app;
};
struct OwnLocks {
  std::vector<FencingToken> tokens;              ///< of guarded types, all that the holder has by now: to be shown to the database
  std::optional<Error> refused;                  ///< kHeld, kReclaiming, kUnavailable, kTooManyLocks, …: none of the keys is its own
  std::optional<protocol::LockView> holder;      ///< with kHeld
};

struct Surroundings {
  net::EventLoop& loop;
  const Clock& clock;
  Authenticator& authenticator;
  SessionStore& sessions;
  ChangeLog& changes;
  AuditTrail& audit;
  Log& log;
  Counters& counters;
  StatusSource status;
  std::string node_name, version;
  std::function<std::vector<std::string>()> servers;  ///< for the welcome, as they are then; on the loop
  std::vector<std::string> record_types;  ///< for the welcome
  LockGuard* guard = nullptr;             ///< none: no type can be guarded
  std::set<std::string, std::less<>> guarded = {};  ///< types that are guarded already
  std::function<std::string()> term_proof = {};     ///< for the welcome, as it is then; on the loop
  /// What a client shows of the welcomes it has had; may be anything. On the loop; must not block.
  std::function<void(std::string_view)> term_shown = {};
};

class Service final : public net::PeerHandler {
 public:
  /// `known`: sessions that were alive when the node last ran; they may resume within the reclaim window.
  /// `next_session`: first session id to give (ids are never given twice; the store persists the highest).
  Service(Settings settings, LockEpoch epoch, std::vector<StoredSession> known, SessionId next_session,
          Surroundings surroundings);
  ~Service() override;

  /// The server whose handler this is: before the first connection. Terminalservice ports are opened on it.
  void attach(net::Server& server, std::string listen_host, std::uint16_t main_port);

  /// One committed transaction (or several, conflated), in csn order, without gap. On the loop.
  void on_changes(protocol::Changes changes);
  /// The feed has handed on everything up to `lsn` (also without changes): releases that wait for it go on at once. Without
  /// this call they are looked after every 100 ms through ChangeLog::passed. On the loop.
  void on_passed(Lsn lsn);
  /// The feed had to start over: all clients get `snapshot`.
  void on_snapshot(std::string reason, Cursor cursor);
  /// All clients get it; whoever comes later is told with the welcome, unless all is well.
  void on_feed_state(protocol::FeedState state);
  /// The lock holder a change is attributed to: who held `key` at `commit`; recent releases are remembered for 10 s.
  [[nodiscard]] protocol::ChangeAuthor author(const RecordKey& key, WallTime commit) const;
  /// The same for all records of a type that somebody held at `commit`: of a transaction that changed too many to name them.
  [[nodiscard]] std::vector<std::pair<RecordKey, protocol::ChangeAuthor>> authors(std::string_view type, WallTime commit) const;

  [[nodiscard]] std::vector<protocol::SessionView> sessions() const;
  [[nodiscard]] std::optional<protocol::SessionView> session(SessionId id) const;
  [[nodiscard]] std::size_t session_count() const;
  /// Sessions that are no tools.
  [[nodiscard]] std::size_t workstation_count() const;
  [[nodiscard]] std::size_t lock_count() const;
  [[nodiscard]] std::vector<protocol::LockView> locks() const;
  /// From now on locks of exactly these types go through the guard. `done` (on the loop) when those that are held are in its
  /// table: then the database may begin to refuse. Requires Surroundings::guard when there are any.
  void set_guarded(std::set<std::string, std::less<>> types, std::function<void(Status)> done);
  /// All of `keys` or none, at once or refused; what the holder has already is granted again. `done` on the loop, at once or when the guard has decided.
  void lock_own(const OwnHolder& holder, std::vector<RecordKey> keys, std::function<void(OwnLocks)> done);
  /// Gives back everything; others hear of changes still to come when the feed has not passed `written` yet.
  void release_own(SessionId holder, Lsn written);
  /// Ends all sessions of a user who may not be here any more; how many there were.
  std::size_t remove_sessions_of(const std::string& user);
  /// Looks at deadlines now. Called by a timer of its own every 100 ms; tests with a manual clock call it.
  void tick();
  /// Tells all clients, with jitter, that the node goes down; sessions stay resumable. Then ~Service.
  void shut_down();

  // net::PeerHandler
  void on_open(net::Peer& peer) override;
  void on_message(net::Peer& peer, std::string_view message) override;
  void on_too_large(net::Peer& peer, std::size_t bytes) override;
  void on_drained(net::Peer& peer) override;
  void on_close(net::Peer& peer, net::CloseReason reason) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::cluster
