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
};

// ---- requests -------------------------------------------------------------------------------------------------

struct Register {
  std::string user, password, token, ticket;
  std::string workstation, app;
  SessionKind kind = SessionKind::kWorkstation;
  std::optional<Language> language;
  Watch watch;
  std::optional<Cursor> cursor;
};
struct Reclaim {
  RecordKey key;
  FencingToken token;
};
struct Resume {
  SessionId session;
  std::string secret, ticket;
  std::optional<Cursor> cursor;
  std::optional<Watch> watch;  ///< absent: as before
  std::vector<Reclaim> reclaim;
};
struct Beat {};
struct Goodbye {};
struct Lock {
  std::vector<RecordKey> keys;
  milliseconds wait{0};
  std::string request;  ///< empty: not idempotent
  std::string note;
};
struct Unlock {
  std::vector<RecordKey> keys;  ///< or
  FencingToken token;           ///< all keys of this grant
  std::optional<Lsn> lsn;
  bool wrote = false;
  std::string request;
};
struct Cancel {
  std::string request;
};
struct Break {
  std::vector<RecordKey> keys;
  std::string reason;
};
struct Tell {
  std::string to, text, request;
};
struct Who {};
struct Locks {
  std::string prefix;
};
struct StatusQuery {};
struct SetWatch {
  Watch watch;
  std::optional<Cursor> cursor;
};
struct AnnouncedChange {
  RecordKey key;
  ChangeOp op = ChangeOp::kUpdate;
};
struct Changed {
  std::vector<AnnouncedChange> changes;
  std::string request;
};

using RequestBody = std::variant<Register, Resume, Beat, Goodbye, Lock, Unlock, Cancel, Break, Tell, Who, Locks,
                                 StatusQuery, SetWatch, Changed>;

/// The sender's `id`, kept as it was written (JSON text of a string or integer), empty when absent.
struct RequestId {
  std::string json;
};
struct Request {
  RequestId id;
  RequestBody body;
};

// ---- replies and events ---------------------------------------------------------------------------------------

struct KeyToken {
  RecordKey key;
  FencingToken token;
};
struct LostLock {
  RecordKey key;
  LockLostReason reason = LockLostReason::kExpired;
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
  std::vector<SessionView> sessions;
  std::vector<LockView> locks;
  std::vector<KeyToken> held;  ///< resumed only
  std::vector<LostLock> lost;  ///< resumed only
};
struct Redirect {
  std::uint16_t port = 0;
  std::string ticket;
  milliseconds accept{10'000};
};
struct Granted {
  FencingToken token;            ///< of the keys granted now
  std::vector<KeyToken> tokens;  ///< every key of the request
  milliseconds lease{0};
};
struct Done {};  ///< {"ok":true}
struct BeatReply {
  Cursor cursor;
};
struct Broken {
  std::vector<LockView> broken;
};
struct Delivered {
  std::uint32_t delivered = 0;
};
struct SessionList {
  std::vector<SessionView> sessions;
  bool more = false;
};
struct LockList {
  std::vector<LockView> locks;
  bool more = false;
};
struct StatusReply {
  std::string json;  ///< an object, made by the node (its parts belong to several folders)
};
struct WatchReply {
  Cursor cursor;
};
/// An error as a reply; `holder` with kHeld.
struct Refused {
  Error error;
  std::optional<LockView> holder;
  std::optional<milliseconds> retry_after;  ///< kRateLimited, kReclaiming, kUnavailable
};
using ReplyBody = std::variant<Welcome, Redirect, Granted, Done, BeatReply, Broken, Delivered, SessionList, LockList,
                               StatusReply, WatchReply, Refused>;

struct SessionJoined {
  SessionView session;
};
struct SessionStateChanged {
  SessionId session;
  SessionState state = SessionState::kActive;
};
struct SessionLeft {
  SessionId session;
  std::string workstation, user;
  LeftReason reason = LeftReason::kGoodbye;
};
struct LockGranted {
  std::vector<LockView> locks;
};
struct LockReleased {
  std::vector<RecordKey> keys;
  SessionId session;
  bool changes_pending = false;
};
struct LockLost {
  std::vector<RecordKey> keys;
  LockLostReason reason = LockLostReason::kExpired;
  std::string by, text;
};
struct ChangeAuthor {
  enum class How { kUnknown, kMessage, kLock } how = How::kUnknown;
  SessionId session;
  std::string workstation, user;
};
struct RecordChange {
  RecordKey key;
  ChangeOp op = ChangeOp::kUpdate;
  std::optional<RecordKey> was;
  std::vector<std::string> tables;
};
struct BulkChange {
  std::string type;
  std::uint64_t count = 0;
};
struct Changes {
  Cursor cursor;  ///< after it
  Lsn lsn;
  WallTime time;
  ChangeAuthor by;
  std::vector<RecordChange> changes;
  std::vector<BulkChange> bulk;
  std::vector<std::string> truncated;
};
struct Snapshot {
  std::string reason;
  Cursor cursor;
};
struct MessageFrom {
  SessionView from;
  std::string to, text;
  WallTime at;
};
struct Ping {};
struct FeedState {
  std::string state, reason;
};
struct Closing {
  ClosingReason reason = ClosingReason::kShutdown;
  milliseconds jitter{0};
};
using Event = std::variant<SessionJoined, SessionStateChanged, SessionLeft, LockGranted, LockReleased, LockLost, Changes,
                           Snapshot, MessageFrom, Ping, FeedState, Closing>;

}  // namespace verbund::protocol
