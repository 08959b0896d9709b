#pragma once
/// The server's side of model/messages.h: who calls, what is answered. One object per node.
///
/// Threads: `handle` from any, several at a time; it blocks, at most `Settings::source_patience` longer than the databases. Replies with all rows of a subscription
/// are written by threads of this object, from the snapshot that the answer speaks of; devices fetch blocks meanwhile.
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "base/counters.h"
#include "platform/os/worker_pool.h"
#include "sync/model/transport.h"
#include "sync/server/admission.h"
#include "sync/server/folder_service.h"
#include "sync/server/reply.h"
#include "sync/server/settle.h"
#include "sync/server/stock.h"

namespace verbund::sync::server {

struct ServiceSettings {
  milliseconds source_patience{2'000};  ///< so long a sync waits for the source's word on its changes
  milliseconds block_patience{500};     ///< so long for a block that is being written
  std::size_t writers = 2;              ///< replies with all rows at once; others wait
  std::size_t first_syncs = 4;          ///< devices that begin anew with much, at once; the others stand in line
  std::uint64_t much_from = 2'000;      ///< rows of a subscription that are much
  std::uint64_t repair_from = 500;      ///< rows: a device with so many is repaired where one with fewer gets all of them anew
  std::uint64_t stock_from = 500;       ///< rows: so many are written once for all devices that get them anew (stock.h)
  seconds background_every{300};        ///< devices are asked to come so often by themselves
  /// Up to where the mirror has the log of the mid-tier's server on its disk; nothing: there is no mirror. From any thread. None: replication slots alone say it
  std::function<std::optional<Lsn>()> mirror_has = {};
  milliseconds reading{2'000};          ///< of new files in a folder, within one call of a device
  Folders folders = {};                 ///< of [sync.folders]
  std::function<std::vector<std::string>()> servers = {};  ///< where else the office may be found; from any thread. None: nowhere
};

class DeviceService {
 public:
  DeviceService(ServiceSettings settings, SettleSurroundings surroundings, Directory& directory);
  ~DeviceService();  ///< ends what is being written

  /// Errors are the call's answer: status and body are their reader's business (api, tests).
  Result<DeviceAnswer> handle(const DeviceCall& call, const std::string& address);

  /// Decides what devices have left here and what nothing holds up any more: the record's lock is free, the feed has told. Of a device that syncs just
  /// now its sync does so. For a timer; blocks, at most `source_patience` per device longer than the databases. Errors: the list could not be read; what
  /// fails for one device is logged.
  Status settle_waiting();

  /// What a device has of one record, as far as its acknowledgements say.
  struct HeldRow {
    enum class What {
      kCurrent,  ///< the row as it is now
      kOlder,    ///< the row has changed since: an older version, or none when it came to its rows only then
      kLeaves,   ///< it is not one of its rows any more; the next sync takes it away
      kNone,     ///< it is not one of its rows
      kUnknown   ///< the device has rows of another rule or history: the next sync says
    } what = What::kNone;
    Csn version;                  ///< of the row now; 0: there is none
    std::optional<Csn> cursor;    ///< as of which the device has the subscription; none: it has never had it
    std::optional<WallTime> acknowledged;
  };
  /// `key`: as the shadow has it, the parts of a longer one joined by commas. Blocks. Errors: kNotFound (no such device, no such subscription of its user).
  Result<HeldRow> held(std::uint64_t device, const std::string& subscription, const std::string& key);

  /// Files: what lies half way for too long. Blocks.
  Result<std::uint64_t> tidy_files();

  struct Writing;  ///< a reply that is being written

 private:
  struct Prepared;
  Result<DeviceAnswer> answer(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device, const std::string& address);
  Result<DeviceAnswer> unlock(const DeviceIdentity& device);
  Status add_lease(const DeviceIdentity& device, SyncReply& reply);
  Result<DeviceAnswer> upload(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device);
  Result<DeviceAnswer> sync(const DeviceCall& call, const DeviceIdentity& device, const std::string& address);
  Result<DeviceAnswer> block(const std::vector<std::string>& path, const DeviceIdentity& device);
  Result<DeviceAnswer> acknowledge(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device);
  /// What the service knows of a call with this number.
  struct Told {
    std::optional<std::string> reply;  ///< the same call was answered
    bool copied = false;               ///< another one was
    std::string history;               ///< the feed's
    Csn csn;
  };
  Result<Told> told_before(const DeviceIdentity& device, const SyncRequest& request, const std::string& hash);
  Result<DeviceAnswer> split(const DeviceIdentity& device, const std::string& hash, const std::string& address);
  std::vector<std::uint64_t> due(const std::vector<std::uint64_t>& waiting);
  Status settle_one(const DeviceIdentity& device);
  Result<Bound> bound_of(const DeviceIdentity& device, const std::string& subscription);
  Result<Prepared> bind_all(const DeviceIdentity& device, const std::string& set);
  Result<SourceTable> table(postgres::Connection& mid_tier, postgres::Connection& source, const std::string& schema, const std::string& name);
  Result<DeviceAnswer> prepare(const DeviceIdentity& device, const SyncRequest& request, const std::string& hash, Prepared& prepared, const std::string& history);
  Result<bool> begins_with_much(postgres::Connection& mid_tier, const SyncRequest& request, const Prepared& prepared, const std::map<std::string, Csn>& since, const std::string& history);
  Result<Csn> watch(postgres::Connection& mid_tier, const Bound& bound);
  Result<std::map<std::string, Csn>> watch_all(postgres::Connection& mid_tier, const Prepared& prepared);
  Result<SyncReply> stand(Writing& writing, const SyncRequest& request);
  Status write_changes(postgres::Connection& outbox, Writing& writing, const SyncRequest& request, const Prepared& prepared, const std::map<std::string, Csn>& since, SyncReply& reply);
  struct Begun;
  Status write_one(const std::shared_ptr<Writing>& writing, const Begun& begun);
  Status write_begun(postgres::Connection& outbox, Writing& writing, const Begun& begun);
  Result<Stock> make_stock(postgres::Connection& outbox, Writing& writing, const Bound& bound, const std::string& shape);
  BlockSink told(Writing& writing, const std::string& name, BlockSink keep);
  void write_all(const std::shared_ptr<Writing>& writing);
  void end_writing(std::uint64_t device);

  ServiceSettings settings_;
  SettleSurroundings surroundings_;
  Directory& directory_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, TimePoint> looked_at_;                    // mutex_: watches that stood, by subscription
  std::set<std::string> stocking_;                                // mutex_: shapes of stocks that are being written
  std::set<std::uint64_t> busy_;                                  // mutex_: devices with a sync under way
  FolderService folders_;
  Admission admission_;                                           // mutex_
  std::map<std::uint64_t, std::shared_ptr<Writing>> writing_;     // mutex_: by device
  struct Patience {
    TimePoint next;
    seconds pause{0};
  };
  std::map<std::uint64_t, Patience> patience_;                    // mutex_: devices whose changes wait
  struct KnownTable {
    SourceTable table;
    TimePoint read;
  };
  std::map<std::pair<std::string, std::string>, KnownTable> tables_;  // mutex_
  std::unique_ptr<os::WorkerPool> writers_;                       // last: its tasks use what stands above
};

/// As the API says errors; for transports that have none.
DeviceAnswer error_answer(const Error& error);

}  // namespace verbund::sync::server
