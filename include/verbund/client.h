#pragma once
/// Verbund's client library for C++: a program joins the office's cluster as a workstation.
///
///   verbund::Client client({.servers = {"praxis-server:2222"}, .user = "anna", .password = …, .workstation = "Empfang 1"});
///   client.on_changes([](const verbund::Changes& changes) { reload(changes); });
///   client.connect();                                  // returns after the first welcome, or an error
///   auto grant = client.lock({"patient/4711"});        // grant->token fences the writes made under it
///
/// It reconnects by itself (server-given jitter, server list), resumes its session and its cursor, reclaims its locks,
/// and turns read-only before the node could give its locks to somebody else: the lease is counted from the sending of
/// the last answered heartbeat on CLOCK_BOOTTIME.
///
/// Threads: one thread of its own does network I/O and calls the callbacks, one at a time; from a callback every method
/// but the blocking ones may be called (those fail with "usage"), and the Client must not be destroyed by one. All methods
/// are safe from any thread. Errors are values: `Expected<T>`.
/// Stable: only this folder is installed; it needs a C++20 compiler and no other header of Verbund.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace verbund {
inline namespace client_v1 {

struct Failure {
  std::string code;     ///< as in docs/errors.md: "held", "not_reachable", …
  std::string message;
  std::string hint;
  int exit_code = 20;   ///< what the command line ends with
  std::optional<struct LockInfo> holder() const;  ///< with "held"
  std::shared_ptr<struct LockInfo> holder_;
};

/// A value or a Failure.
template <typename T>
class Expected {
 public:
  Expected(T value) : state_(std::move(value)) {}
  Expected(Failure failure) : state_(std::move(failure)) {}
  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Failure& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Failure> state_;
};
struct Ok {};

struct ClientSettings {
  std::vector<std::string> servers{"127.0.0.1:2222"};  ///< HOST:PORT, tried in order; the welcome adds more
  std::string user, password;                          ///< or
  std::string token;
  std::string workstation;                             ///< shown to others
  std::string app = "verbund-client";
  bool tool = false;                                   ///< not a workstation (command line)
  bool tls = true;
  std::string ca_file;                                 ///< PEM of the office's authority; needed with tls
  std::string language;                                ///< "de", "en"; empty: from the locale
  std::vector<std::string> watch_types{"*"};
  bool watch_locks = true, watch_presence = true;
  std::string cursor;                                  ///< "HISTORY:CSN" to resume a watch of an earlier run; empty: from now
  std::chrono::seconds connect_timeout{10};
  bool reconnect = true;
};

/// What the user must know (S9): without a connection nothing may be edited.
enum class ConnectionState { kConnecting, kConnected, kReadOnly /* no answer in time, locks may be gone */, kEnded };

struct SessionInfo {
  std::string session, workstation, user, address, app, since, state;
  bool tool = false;
};
struct LockInfo {
  std::string key, token, session, workstation, user, address, since, note, state;
  unsigned waiting = 0;
};
struct RecordChange {
  std::string key, op, was;         ///< op: insert, update, delete; was: earlier key or empty
  std::vector<std::string> tables;
};
struct Changes {
  std::string cursor;  ///< "HISTORY:CSN" after it
  std::string lsn, time;
  std::string by_how, by_session, by_workstation, by_user;
  std::vector<RecordChange> changes;
  std::vector<std::pair<std::string, std::uint64_t>> bulk;
  std::vector<std::string> truncated;
};
struct Grant {
  std::uint64_t token = 0;                                  ///< of the keys granted now
  std::vector<std::pair<std::string, std::uint64_t>> tokens;  ///< every key asked for
};
struct Text {
  SessionInfo from;
  std::string to, text, at;
};

class Client {
 public:
  explicit Client(ClientSettings settings);
  /// Says goodbye (bounded to 1 s). No callback comes any more; calls that other threads wait for fail with "cancelled".
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Callbacks; set them before connect.
  void on_state(std::function<void(ConnectionState, const std::string& reason)> callback);
  void on_changes(std::function<void(const Changes&)> callback);
  /// Read everything anew; the cursor to go on from comes with it.
  void on_snapshot(std::function<void(const std::string& reason, const std::string& cursor)> callback);
  void on_locks(std::function<void(const std::string& event, const std::vector<LockInfo>&)> callback);  ///< "granted", "released"
  /// Own locks that are gone: stop editing at once.
  void on_lock_lost(std::function<void(const std::vector<std::string>& keys, const std::string& reason)> callback);
  void on_session(std::function<void(const std::string& event, const SessionInfo&)> callback);  ///< "joined", "state", "left"
  void on_text(std::function<void(const Text&)> callback);
  /// Every event as the JSON it came in (what `--json` prints).
  void on_event_json(std::function<void(std::string_view)> callback);

  /// Blocks until registered (Ok) or refused, at most connect_timeout per server. Once per Client. After a reconnect
  /// (kConnected again) changes have come without a gap; locks() and who() tell how those two stand now.
  Expected<Ok> connect();
  /// The user's "reconnect" button: tries now instead of after the jitter.
  void reconnect_now();
  ConnectionState state() const;
  std::string session() const;
  std::string cursor() const;
  /// The last welcome as JSON.
  std::string welcome_json() const;
  /// May records be edited now: connected and the own lease deadline is ahead.
  bool may_edit() const;

  /// Blocks until granted, refused or `wait` is over. Retries over a reconnect with the same request id.
  Expected<Grant> lock(const std::vector<std::string>& keys, std::chrono::milliseconds wait = {}, const std::string& note = {});
  /// `lsn`: WAL position of the last write, or empty; `wrote`: let the node ask the database.
  Expected<Ok> unlock(const std::vector<std::string>& keys, const std::string& lsn = {}, bool wrote = false);
  Expected<Ok> break_locks(const std::vector<std::string>& keys, const std::string& reason);
  Expected<unsigned> tell(const std::string& to, const std::string& text);
  Expected<std::vector<SessionInfo>> who();
  Expected<std::vector<LockInfo>> locks(const std::string& prefix = {});
  /// Node status as a JSON object.
  Expected<std::string> status_json();
  /// Announces a change of something outside the database. op: insert, update, delete.
  Expected<Ok> changed(const std::vector<std::pair<std::string, std::string>>& key_and_op);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace client_v1
}  // namespace verbund
