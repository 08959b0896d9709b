#pragma once
/// The messages that workstations and node exchange (docs/protocol/README.md, version 1), as values.
/// Pure: no I/O, no clock. Any thread. codec.h turns them into JSON and back.
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/messages.h"
#include "base/result.h"
#include "base/time.h"

namespace verbund::protocol {

inline constexpr std::size_t kMaxKeysPerRequest = 256;
inline constexpr std::size_t kMaxNesting = 16;
inline constexpr std::size_t kMaxTextBytes = 4000;
inline constexpr std::size_t kMaxNameBytes = 128;
inline constexpr std::size_t kMaxRequestIdBytes = 64;
inline constexpr std::size_t kMaxSecretBytes = 1024;  ///< passwords, tokens, tickets, session secrets
inline constexpr std::size_t kMaxWatchedTypes = 256;
inline constexpr milliseconds kMaxWait{600'000};
inline constexpr std::size_t kMaxListed = 10'000;
inline constexpr std::size_t kMaxReclaims = 4096;
inline constexpr std::size_t kMaxAnnouncedChanges = 256;

enum class SessionKind { kWorkstation, kTool };
enum class SessionState { kActive, kSuspect, kReconnecting };
enum class LockState { kHeld, kReleasing };
enum class ChangeOp { kInsert, kUpdate, kDelete };
enum class Mode { kShared, kTerminalservice, kClientServer };
enum class LeftReason { kGoodbye, kLost, kReplaced, kRemoved };
enum class LockLostReason { kBroken, kExpired, kRefused };
enum class ClosingReason { kSuperseded, kTooSlow, kShutdown, kRemoved };

struct Watch {
  std::vector<std::string> types{"*"};  ///< record types; "*" all; empty none
  bool locks = true;
  bool presence = true;
  friend bool operator==(const Watch&, const Watch&) = default;
};

struct SessionView {
  SessionId session;
  std::string workstation;
  std::string user;
  std::string address;
  std::string app;
  SessionKind kind = SessionKind::kWorkstation;
  SessionState state = SessionState::kActive;
  WallTime since;
  friend bool operator==(const SessionView&, const SessionView&) = default;
};

struct LockView {
  RecordKey key;
  FencingToken token;
  SessionId session;
  std::string workstation;
  std::string user;
  std::string address;
  WallTime since;
  std::string note;
  LockState state = LockState::kHeld;
  std::uint32_t waiting = 0;
  friend bool operator==(const LockView&, const LockView&) = default;
};

// ---- requests -------------------------------------------------------------------------------------------------

struct Register {
  std::string user, password, token, ticket;
  std::string workstation, app;
  SessionKind kind = SessionKind::kWorkstation;
  std::optional<Language> language;
  Watch watch;
  std::optional<Cursor> cursor;
  std::string term_proof = {};  ///< the one of the highest term that a welcome has had
  friend bool operator==(const Register&, const Register&) = default;
};
struct Reclaim {
  RecordKey key;
  FencingToken token;
  friend bool operator==(const Reclaim&, const Reclaim&) = default;
};
struct Resume {
  SessionId session;
  std::string secret, ticket;
  std::optional<Cursor> cursor;
  std::optional<Watch> watch;  ///< absent: as before
  std::vector<Reclaim> reclaim;
  std::string term_proof = {};  ///< as for register
  friend bool operator==(const Resume&, const Resume&) = default;
};
struct Beat {
  friend bool operator==(const Beat&, const Beat&) = default;
};
struct Goodbye {
  friend bool operator==(const Goodbye&, const Goodbye&) = default;
};
struct Lock {
  std::vector<RecordKey> keys;
  milliseconds wait{0};
  std::string request;  ///< empty: not idempotent
  std::string note;
  friend bool operator==(const Lock&, const Lock&) = default;
};
struct Unlock {
  std::vector<RecordKey> keys;  ///< or
  FencingToken token;           ///< all keys of this grant
  std::optional<Lsn> lsn;
  bool wrote = false;
  std::string request;
  friend bool operator==(const Unlock&, const Unlock&) = default;
};
struct Cancel {
  std::string request;
  friend bool operator==(const Cancel&, const Cancel&) = default;
};
struct Break {
  std::vector<RecordKey> keys;
  std::string reason;
  friend bool operator==(const Break&, const Break&) = default;
};
struct Tell {
  std::string to, text, request;
  friend bool operator==(const Tell&, const Tell&) = default;
};
struct Who {
  friend bool operator==(const Who&, const Who&) = default;
};
struct Locks {
  std::string prefix;
  friend bool operator==(const Locks&, const Locks&) = default;
};
struct StatusQuery {
  friend bool operator==(const StatusQuery&, const StatusQuery&) = default;
};
struct SetWatch {
  Watch watch;
  std::optional<Cursor> cursor;
  friend bool operator==(const SetWatch&, const SetWatch&) = default;
};
struct AnnouncedChange {
  RecordKey key;
  ChangeOp op = ChangeOp::kUpdate;
  friend bool operator==(const AnnouncedChange&, const AnnouncedChange&) = default;
};
struct Changed {
  std::vector<AnnouncedChange> changes;
  std::string request;
  friend bool operator==(const Changed&, const Changed&) = default;
};

using RequestBody = std::variant<Register, Resume, Beat, Goodbye, Lock, Unlock, Cancel, Break, Tell, Who, Locks,
                                 StatusQuery, SetWatch, Changed>;

/// The sender's `id`, kept as it was written (JSON text of a string or integer), empty when absent.
struct RequestId {
  std::string json;
  friend bool operator==(const RequestId&, const RequestId&) = default;
};
struct Request {
  RequestId id;
  RequestBody body;
  friend bool operator==(const Request&, const Request&) = default;
};

// ---- replies and events ---------------------------------------------------------------------------------------

struct KeyToken {
  RecordKey key;
  FencingToken token;
  friend bool operator==(const KeyToken&, const KeyToken&) = default;
};
struct LostLock {
  RecordKey key;
  LockLostReason reason = LockLostReason::kExpired;
  friend bool operator==(const LostLock&, const LostLock&) = default;
};

struct Welcome {
  SessionId session;
  std::string secret;
  bool resumed = false;
  std::string node, version;
  LockEpoch epoch;
  Mode mode = Mode::kShared;
  std::string user, role;
  bool read_while_locked = true;  ///< may a record that somebody else holds be opened for reading (S7)
  Cursor cursor;
  milliseconds heartbeat{5000}, suspect{10'000}, lease{30'000}, reconnect{35'000}, jitter{500};
  std::vector<std::string> servers, types;
  std::string term_proof;      ///< that the node's term was begun, to be shown to every node; empty: it has no mirror
  std::vector<SessionView> sessions;
  std::vector<LockView> locks;
  bool more = false;           ///< sessions or locks are not all here: `who` and `locks` list more
  std::vector<KeyToken> held;  ///< resumed only
  std::vector<LostLock> lost;  ///< resumed only
  friend bool operator==(const Welcome&, const Welcome&) = default;
};
struct Redirect {
  std::uint16_t port = 0;
  std::string ticket;
  milliseconds accept{10'000};
  friend bool operator==(const Redirect&, const Redirect&) = default;
};
struct Granted {
  FencingToken token;            ///< of the keys granted now
  std::vector<KeyToken> tokens;  ///< every key of the request
  milliseconds lease{0};
  friend bool operator==(const Granted&, const Granted&) = default;
};
struct Done {
  friend bool operator==(const Done&, const Done&) = default;
};  ///< {"ok":true}
struct BeatReply {
  Cursor cursor;
  friend bool operator==(const BeatReply&, const BeatReply&) = default;
};
struct Broken {
  std::vector<LockView> broken;
  friend bool operator==(const Broken&, const Broken&) = default;
};
struct Delivered {
  std::uint32_t delivered = 0;
  friend bool operator==(const Delivered&, const Delivered&) = default;
};
struct SessionList {
  std::vector<SessionView> sessions;
  bool more = false;
  friend bool operator==(const SessionList&, const SessionList&) = default;
};
struct LockList {
  std::vector<LockView> locks;
  bool more = false;
  friend bool operator==(const LockList&, const LockList&) = default;
};
struct StatusReply {
  std::string json;  ///< an object, made by the node (its parts belong to several folders)
  friend bool operator==(const StatusReply&, const StatusReply&) = default;
};
struct WatchReply {
  Cursor cursor;
  friend bool operator==(const WatchReply&, const WatchReply&) = default;
};
/// An error as a reply; `holder` with kHeld.
struct Refused {
  Error error;
  std::optional<LockView> holder;
  std::optional<milliseconds> retry_after;  ///< kRateLimited, kReclaiming, kUnavailable
  friend bool operator==(const Refused& a, const Refused& b) {
    return a.error.code == b.error.code && a.error.message == b.error.message &&
           a.error.hint == b.error.hint && a.holder == b.holder && a.retry_after == b.retry_after;
  }
};
using ReplyBody = std::variant<Welcome, Redirect, Granted, Done, BeatReply, Broken, Delivered, SessionList, LockList,
                               StatusReply, WatchReply, Refused>;

struct SessionJoined {
  SessionView session;
  friend bool operator==(const SessionJoined&, const SessionJoined&) = default;
};
struct SessionStateChanged {
  SessionId session;
  SessionState state = SessionState::kActive;
  friend bool operator==(const SessionStateChanged&, const SessionStateChanged&) = default;
};
struct SessionLeft {
  SessionId session;
  std::string workstation, user;
  LeftReason reason = LeftReason::kGoodbye;
  friend bool operator==(const SessionLeft&, const SessionLeft&) = default;
};
struct LockGranted {
  std::vector<LockView> locks;
  friend bool operator==(const LockGranted&, const LockGranted&) = default;
};
struct LockReleased {
  std::vector<RecordKey> keys;
  SessionId session;
  bool changes_pending = false;
  friend bool operator==(const LockReleased&, const LockReleased&) = default;
};
struct LockLost {
  std::vector<RecordKey> keys;
  LockLostReason reason = LockLostReason::kExpired;
  std::string by, text;
  friend bool operator==(const LockLost&, const LockLost&) = default;
};
struct ChangeAuthor {
  enum class How { kUnknown, kMessage, kLock } how = How::kUnknown;
  SessionId session;
  std::string workstation, user;
  friend bool operator==(const ChangeAuthor&, const ChangeAuthor&) = default;
};
struct RecordChange {
  RecordKey key;
  ChangeOp op = ChangeOp::kUpdate;
  std::optional<RecordKey> was;
  std::vector<std::string> tables;
  friend bool operator==(const RecordChange&, const RecordChange&) = default;
};
struct BulkChange {
  std::string type;
  std::uint64_t count = 0;
  friend bool operator==(const BulkChange&, const BulkChange&) = default;
};
struct Changes {
  Cursor cursor;  ///< after it
  Lsn lsn;
  WallTime time;
  ChangeAuthor by;
  std::vector<RecordChange> changes;
  std::vector<BulkChange> bulk;
  std::vector<std::string> truncated;
  friend bool operator==(const Changes&, const Changes&) = default;
};
struct Snapshot {
  std::string reason;
  Cursor cursor;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};
struct MessageFrom {
  SessionView from;
  std::string to, text;
  WallTime at;
  friend bool operator==(const MessageFrom&, const MessageFrom&) = default;
};
struct Ping {
  friend bool operator==(const Ping&, const Ping&) = default;
};
struct FeedState {
  std::string state, reason;
  std::string alarm = {};  ///< why the source's disk or the slot is in danger; empty: it is not
  std::string reason_de = {}, alarm_de = {};  ///< the same in German: one event goes to people of both languages
  friend bool operator==(const FeedState&, const FeedState&) = default;
};
struct Closing {
  ClosingReason reason = ClosingReason::kShutdown;
  milliseconds jitter{0};
  friend bool operator==(const Closing&, const Closing&) = default;
};
using Event = std::variant<SessionJoined, SessionStateChanged, SessionLeft, LockGranted, LockReleased, LockLost, Changes,
                           Snapshot, MessageFrom, Ping, FeedState, Closing>;

}  // namespace verbund::protocol
