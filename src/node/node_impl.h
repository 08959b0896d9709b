#pragma once
/// The parts of a running node, for node.cc (start and stop), node_services.cc and node_port.cc alone.
/// Threads: as node.h says; a member is made before anything that uses it from another thread.
#include <thread>

#include "access/certificates.h"
#include "api/api.h"
#include "cluster/service.h"
#include "feed/feed.h"
#include "history/erasure.h"
#include "history/relay.h"
#include "mirror/agent.h"
#include "node/adapters/audit_trail.h"
#include "node/adapters/authenticator.h"
#include "node/adapters/change_authors.h"
#include "node/adapters/change_log.h"
#include "node/adapters/device_locks.h"
#include "node/adapters/lock_guard.h"
#include "node/adapters/prometheus_counters.h"
#include "node/adapters/session_store.h"
#include "node/first_login.h"
#include "node/guard_control.h"
#include "node/installation.h"
#include "node/mirror/follow_folders.h"
#include "node/mirror/follow_production.h"
#include "node/mirror/production_side.h"
#include "node/mirror/pair_nights.h"
#include "node/nights.h"
#include "node/patroni/node_seat.h"
#include "node/node.h"
#include "platform/net/server.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "platform/os/worker_pool.h"
#include "sync/server/device_service.h"
#include "sync/server/stored_directory.h"

namespace verbund::node {

/// Production's part of a node; one for each time that this machine is production.
/// Members stand in the order in which they are made; the destructor goes the way back.
struct Node::Impl {
  Impl(const NodeOptions& given, net::EventLoop& the_loop, PairSeat& the_seat, std::uint64_t the_turn, std::uint16_t& the_port)
      : options(given), loop(the_loop), seat(the_seat), turn(the_turn), log(&the_seat.log()), agent(&the_seat.agent()), port(the_port) {}

  /// Until the loop is stopped or this machine is production no longer.
  Status run();
  Status prepare();
  void recover_office();
  Status start_database();
  Status open_databases();
  Status note_takeover();
  Status prepare_records();
  void explain_renames(Error& error);
  Status start_services();
  Status start_history();
  Status open_sync();
  void start_sync();
  Result<std::vector<std::string>> captured_patterns() const;
  Status capture_synced();
  void settle_device_changes();
  void tidy_device_queues();
  std::vector<sync::server::DeviceTrouble> device_troubles();
  std::vector<std::string> servers_told() const;
  Result<bool> record_exists(const RecordKey& key);
  Result<GuardControl::Types> start_guard();
  Result<std::size_t> database_restored(bool is_source);
  Status listen();
  std::string example_key();
  void announce_start();
  void start_nights();
  void stop_nights();
  void stop_serving();
  void stop();
  Status start_following();
  Result<feed::FeedSettings> feed_settings() const;
  std::string status_json() const;

  const NodeOptions& options;
  net::EventLoop& loop;
  PairSeat& seat;
  const std::uint64_t turn;  // of the seat; this part lasts as long
  Log* const log;
  mirror::Agent* const agent;
  os::SystemClock clock;
  std::optional<Installation> installation;
  PrometheusCounters counters;
  std::optional<access::Certificates> certificates;
  LockEpoch epoch;
  std::unique_ptr<postgres::Pool> mid_tier, source, versions;
  std::unique_ptr<os::WorkerPool> workers;
  std::unique_ptr<access::Accounts> accounts;
  FirstLogin first_login;
  std::string demo_report;
  std::string database_shown;
  std::optional<records::RecordTypes> types;
  std::unique_ptr<PostgresAuditTrail> audit;
  std::unique_ptr<AccountAuthenticator> authenticator;
  std::unique_ptr<PostgresSessionStore> sessions;
  std::unique_ptr<FeedChangeLog> changes;
  FeedPassed feed_passed{clock};
  std::unique_ptr<GuardControl> guard;
  std::unique_ptr<SourceLockGuard> lock_guard;
  net::Timer guard_counting;
  std::unique_ptr<feed::Feed> feed;
  std::vector<std::string> types_with_history;
  std::unique_ptr<ChangeAuthors> authors;
  std::unique_ptr<history::Relay> history;
  std::unique_ptr<history::Erasures> erasures;
  std::unique_ptr<cluster::Service> service;
  std::unique_ptr<postgres::Pool> sync_mid_tier, sync_source;
  std::unique_ptr<sync::server::StoredDirectory> sync_directory;
  std::unique_ptr<DeviceLocks> device_locks;
  std::unique_ptr<sync::server::DeviceService> devices;
  std::unique_ptr<os::WorkerPool> device_workers;
  net::Timer device_changes;  // those that wait
  std::atomic<bool> settling = false;
  TimePoint queues_tidied;  // of whoever settles
  std::unique_ptr<FollowProduction> follow;
  std::unique_ptr<FolderSource> folders;
  std::unique_ptr<NightsSource> nights_source;
  std::unique_ptr<ProductionSide> pair;
  std::unique_ptr<PairWatch> watch;
  std::unique_ptr<api::Api> api;
  std::unique_ptr<net::Server> server;
  std::uint16_t& port;  // kept from one part to the next: others know it
  std::unique_ptr<Nights> nights;
  bool stopping = false;
  std::jthread recovering;  // last: it ends before what it uses
};

}  // namespace verbund::node
