#pragma once
/// The feed's little practice with a sync server on it, and devices that keep their rows in memory: the other end of model/messages.h, written a second time and as
/// simply as it can be said, for the tests of this folder.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "feed/feed_scene.h"
#include "sync/model/rows.h"
#include "sync/server/device_service.h"

namespace verbund::sync::server::testing_scene {

/// A clock whose wall time somebody sets, forth and back. From any thread.
class JumpingClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return real_.now(); }
  [[nodiscard]] WallTime wall() const override { return real_.wall() + microseconds{ahead_}; }
  void jump(seconds ahead) { ahead_ = std::chrono::duration_cast<microseconds>(ahead).count(); }

 private:
  os::SystemClock real_;
  std::atomic<std::int64_t> ahead_ = 0;  // microseconds
};

/// Rules and devices as a test has set them; a device's authorization is "Device ID", its enrolment code the user's name.
class ListedDirectory final : public Directory {
 public:
  Result<DeviceIdentity> authenticate(std::string_view authorization, const std::string& address) override;
  Result<std::optional<DeviceIdentity>> device(std::uint64_t id) override;
  Result<EnrolReply> enrol(const EnrolRequest& request, const std::string& address) override;
  Result<EnrolReply> split(const DeviceIdentity& device, const std::string& call, const std::string& address) override;
  Result<os::BoxKeys> lease_keys(const DeviceIdentity& device) override { return leases.try_emplace(device.id, os::make_box_keys()).first->second; }
  Result<std::shared_ptr<const RulesInForce>> rules() override { return in_force; }

  std::shared_ptr<RulesInForce> in_force = std::make_shared<RulesInForce>();
  std::map<std::uint64_t, DeviceIdentity> devices;
  std::map<std::uint64_t, os::BoxKeys> leases;
  std::map<std::string, std::uint64_t> splits;  ///< by the call that showed the copy
  std::optional<ErrorCode> refuses;  ///< whoever calls
};

/// Records (TABLE/KEY) that workstations hold, and what devices have taken. From any thread; a test looks while no device syncs.
class ListedLocks final : public RecordLocks {
 public:
  Result<Taken> take(postgres::Connection& source, std::uint64_t author, const DeviceIdentity& device, const SourceTable& table, const std::vector<Row>& rows) override;
  void release(std::uint64_t author, Lsn written) override;

  std::set<std::string> held;                             ///< by workstations
  std::map<std::uint64_t, std::set<std::string>> taken;   ///< by author, not given back yet
  std::vector<std::set<std::string>> released;            ///< in order
  std::size_t released_with_writes = 0;

 private:
  std::mutex mutex_;
};

class SyncScene {
 public:
  /// `more`: SQL on the source before the feed starts; `tables`: captured beside the practice's own.
  explicit SyncScene(std::string_view more = {}, std::vector<std::string> capture = {});
  ~SyncScene();

  feed::testing_scene::Scene& office() { return office_; }
  DeviceService& service() { return *service_; }
  ListedDirectory& directory() { return directory_; }
  /// As if the node had been started again.
  void restart_service();
  void sql(std::string_view statements) { office_.sql(statements); }
  /// A subscription with all rights on public.TABLE, in the set "all" of the group "staff".
  Subscription& subscribe(const std::string& table, const Filter& filter = {});
  void user(const std::string& name, const std::map<std::string, std::string>& parameters = {});
  std::uint64_t device(const std::string& user);
  ServiceSettings& settings() { return settings_; }
  ListedLocks& locks() { return locks_; }
  JumpingClock& clock() { return clock_; }

 private:
  class Progress final : public FeedProgress {
   public:
    explicit Progress(feed::testing_scene::Scene& office) : office_(office) {}
    bool wait_until_passed(Lsn lsn, Deadline deadline) override;

   private:
    feed::testing_scene::Scene& office_;
  };

  feed::testing_scene::Scene office_;
  feed::testing_scene::NoLog log_;
  JumpingClock clock_;
  Progress progress_{office_};
  ListedDirectory directory_;
  ListedLocks locks_;
  ServiceSettings settings_;
  std::unique_ptr<postgres::Pool> mid_tier_, source_;
  std::unique_ptr<DeviceService> service_;
};

struct ModelReject {
  std::string subscription, reason;
};

/// Keys and values are texts as PostgreSQL prints them.
class ModelDevice {
 public:
  using Row = std::map<std::string, std::optional<std::string>>;

  ModelDevice(SyncScene& scene, const std::string& user) : scene_(scene), id_(scene.device(user)) {}

  /// "patient": key → columns.
  std::map<std::string, std::map<std::string, Row>> tables;
  std::string set;  ///< that `sync` asks for; empty: all
  std::vector<ModelReject> rejects;
  std::vector<Session> last_sessions;
  std::size_t rows_fetched = 0;  ///< by the last sync
  std::uint64_t waiting = 0;     ///< changes that the last sync has left undecided

  void insert(const std::string& table, const Row& row);
  void update(const std::string& table, const std::string& key, const Row& changed);
  void remove(const std::string& table, const std::string& key);
  [[nodiscard]] std::optional<std::string> value(const std::string& table, const std::string& key, const std::string& column) const;

  /// Whole: up, down, acknowledged. The error of the first call that fails.
  Status sync();
  /// `before` of each call: false, the call never arrives; `after`: false, its answer is lost.
  std::function<bool(const DeviceCall&)> before, after;

 private:
  struct Pending {
    UpRow::Op op = UpRow::Op::kInsert;
    Csn base;
    Row before;
  };
  Result<DeviceAnswer> call(std::string method, std::string target, std::string body);
  Status freeze();
  Status send();
  Result<std::string> fetch_and_apply(const SyncReply& reply);
  Status apply(const Session& session, std::uint64_t number, Csn csn);
  UpRow up_row(const TableLayout& layout, const std::string& table, const std::string& key, const Pending& pending) const;

  SyncScene& scene_;
  std::uint64_t id_;
  std::string history_;
  std::map<std::string, DeviceCursor> cursors_;                 // by subscription
  std::map<std::string, TableLayout> layouts_;                  // by subscription
  std::map<std::string, std::map<std::string, Pending>> pending_;  // by table
  std::uint64_t number_ = 0, upload_ = 0;
  std::vector<std::string> blocks_;                             // of the upload under way
  std::optional<SyncRequest> request_;                          // the sync under way
};

}  // namespace verbund::sync::server::testing_scene
