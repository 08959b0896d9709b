#pragma once
/// What device and server say to each other (docs/protocol/devices.md): five calls, over HTTPS; bulk data are row blocks (rows.h).
///
///   POST /api/device/enrol            EnrolRequest → EnrolReply          with a one-time code, without the header below
///   PUT  /api/device/uploads/N/BLOCK  an "up" row block → {}             N: the device's upload number; again: the same answer
///   POST /api/device/syncs            SyncRequest → SyncReply            again with the same number: the same answer, nothing is done twice
///   GET  /api/device/syncs/N/SESSION/BLOCK → a "down" row block, or 202 {} (not prepared yet: ask again)
///   POST /api/device/syncs/N/ack      AckRequest → {}
///
/// All but enrol carry `Authorization: Device ID:SECRET`. Errors are the API's own JSON (error, message, hint; retry_after_ms when the device is to wait so long).
/// Pure; any thread. Numbers of 64 bits are strings in JSON.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "sync/model/layout.h"
#include "sync/model/sums.h"

namespace verbund::sync {

struct EnrolRequest {
  std::string code;
  std::string name;  ///< of the device, for people
};
struct EnrolReply {
  std::string device;  ///< its id
  std::string secret;
  std::string user;    ///< for whom it syncs
};

/// What a device has of one subscription.
struct DeviceCursor {
  std::string subscription;
  Csn csn;            ///< its rows are those as of this change
  std::string shape;  ///< as the server named it when these rows came; empty: it has nothing
  std::optional<RowSums> sums = {};  ///< of its rows, when the server has asked for them
};

/// Rows that go up, of one subscription each.
struct UploadPart {
  std::string subscription;
  std::uint32_t first_block = 0, blocks = 0;  ///< of the upload
  TableLayout layout;                         ///< of its rows: that which the device had when it froze them
};

struct SyncRequest {
  std::uint64_t number = 0;    ///< the device's, grows with each sync that it begins
  std::string set;             ///< empty: all that the user has
  std::string history;         ///< of the cursors; empty: it has none. Another one than the server's: it answers `again` and nothing is done
  std::vector<DeviceCursor> cursors;
  std::uint64_t upload = 0;    ///< number of the upload that belongs to it; 0: nothing goes up
  std::vector<UploadPart> parts;
  std::string upload_hash;     ///< hex BLAKE2b-256 over the blocks in their order
  std::string upload_history;  ///< of the bases in it; empty: as `history`
  bool keeps = false;          ///< it has uploads, and wants to know up to where they are safe
  bool more = false;           ///< another upload follows with a sync of its own: this one needs no sessions
};

/// What became of one row of an upload.
struct Outcome {
  enum class State {
    kApplied,   ///< it is in the source
    kWaiting,   ///< not decided: somebody holds the record, or the source has not answered in time. Told again at the next sync
    kRejected,  ///< the row in the session's blocks is the right one, or its deletion
  } state = State::kWaiting;
  std::uint64_t upload = 0;
  std::uint32_t row = 0;     ///< from 0, over all blocks of the upload
  std::string subscription;
  std::string reason;        ///< of kRejected: a word of `reject_reasons`; of kWaiting "held" or "source"
  std::string text;          ///< for people
};

/// "version" (somebody changed the row since), "gone" (it was deleted since), "exists" (another row has the key), "unique", "check", "foreign_key", "not_null",
/// "value" (PostgreSQL can't read it), "right", "filter" (outside what the user may have), "refused" (the database's own rules), "policy" (the table's function said no)
bool is_reject_reason(std::string_view word);

struct Session {
  enum class Mode {
    kNothing,  ///< nothing has changed: no blocks
    kDelta,    ///< rows that came, changed or went
    kRefresh,  ///< all rows: what is not among them goes
    kFailed,   ///< see `error`; the others go on
    kSums,     ///< the device is to send the sums of its rows with its next sync, at once; until then it stays as it is
    kRepair,   ///< by its sums: rows of the slots that differ, what it has more there goes
  } mode = Mode::kNothing;
  std::string subscription;
  std::string shape;   ///< to be given back with the next cursor
  TableLayout layout;  ///< not of kFailed
  bool may_read = true, may_insert = false, may_update = false, may_delete = false;
  std::string error;   ///< a code's wire name
  std::string message;
};

/// A subscription of files of the device (folder_messages.h).
struct FolderName {
  std::string subscription;
  bool up = false;  ///< from the device
  friend bool operator==(const FolderName&, const FolderName&) = default;
};

struct SyncReply {
  std::uint64_t number = 0;
  std::string history;
  Csn csn;                         ///< all sessions lead to this change
  std::vector<Session> sessions;   ///< in the order in which they are to be applied: parents first
  std::vector<Outcome> outcomes;
  std::vector<FolderName> folders;
  std::uint64_t safe_upload = 0;   ///< uploads up to this number are decided, and on the mirror or there is no mirror: the device need not keep them
  std::vector<std::string> servers;  ///< HOST:PORT: where else the office may be found, as when this machine is gone
  seconds lease{0};                ///< after so long without the office the device locks its data; 0: never
  std::string lease_key;           ///< raw: seals what it keeps then (os/sealed_box.h)
  bool again = false;              ///< the server's history is another one than the device's: cursors count for nothing, uploads that the device has kept are to be sent again
  milliseconds next_in{0};         ///< in the background not before that; the server spreads its devices
};

struct AckRequest {
  std::vector<std::string> sessions;  ///< subscriptions that are done, those with nothing to do among them; outcomes of others are told again
};

std::string encode(const EnrolRequest& message);
std::string encode(const EnrolReply& message);
std::string encode(const SyncRequest& message);
std::string encode(const SyncReply& message);
std::string encode(const AckRequest& message);
// Errors: kBadMessage (names the field), kTooLarge (a list over its limit).
Result<EnrolRequest> decode_enrol_request(std::string_view text);
Result<EnrolReply> decode_enrol_reply(std::string_view text);
Result<SyncRequest> decode_sync_request(std::string_view text);
Result<SyncReply> decode_sync_reply(std::string_view text);
Result<AckRequest> decode_ack_request(std::string_view text);

inline constexpr std::size_t kMaxSubscriptions = 1'000;
inline constexpr std::size_t kMaxOutcomes = 100'000;
inline constexpr std::uint32_t kMaxUploadBlocks = 1'000;
inline constexpr std::size_t kMaxServers = 16;

}  // namespace verbund::sync
