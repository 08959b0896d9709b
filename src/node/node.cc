#include "node/node.h"

#include <csignal>
#include <thread>

#include "base/messages.h"
#include "access/certificates.h"
#include "api/api.h"
#include "cluster/service.h"
#include "feed/feed.h"
#include "feed/renamed.h"
#include "history/erasure.h"
#include "history/relay.h"
#include "mirror/agent.h"
#include "node/adapters/audit_trail.h"
#include "node/adapters/authenticator.h"
#include "node/adapters/change_authors.h"
#include "node/adapters/change_log.h"
#include "node/adapters/lock_guard.h"
#include "node/adapters/prometheus_counters.h"
#include "node/adapters/session_store.h"
#include "node/demo.h"
#include "node/feed_tables.h"
#include "node/first_login.h"
#include "node/guard_control.h"
#include "node/installation.h"
#include "node/office_backup.h"
#include "node/provision.h"
#include "node/status.h"
#include "node/version.h"
#include "platform/net/server.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {
namespace {

constexpr seconds kPostgresStart{120};
constexpr seconds kPostgresStop{60};
constexpr milliseconds kGrace{2000};
/// At the end history stores what is known of authors only now.
constexpr seconds kHistoryGrace{3};
constexpr seconds kGuardCounting{60};
constexpr std::size_t kWorkers = 8;
constexpr std::size_t kWaitingTasks = 20'000;
constexpr std::size_t kMidTierConnections = 8;
constexpr std::size_t kSourceConnections = 8;
constexpr std::size_t kVersionsConnections = 4;

}  // namespace

/// Members stand in the order in which they are made; the destructor goes the way back.
struct Node::Impl {
  explicit Impl(NodeOptions given) : options(std::move(given)) {}

  Status prepare();
  void recover_office();
  Status start_database();
  Status open_databases();
  Status prepare_records();
  void explain_renames(Error& error);
  Status start_services();
  Status start_history();
  Result<bool> record_exists(const RecordKey& key);
  Result<GuardControl::Types> start_guard();
  Result<std::size_t> database_restored(bool is_source);
  Status listen();
  std::string example_key();
  void announce_start();
  void stop();
  Result<std::unique_ptr<mirror::Agent>> make_agent();
  Result<feed::FeedSettings> feed_settings() const;
  std::string status_json() const;

  NodeOptions options;
  os::SystemClock clock;
  std::optional<os::FileLock> lock;
  std::optional<Installation> installation;
  std::unique_ptr<Log> log;
  PrometheusCounters counters;
  net::EventLoop loop;
  std::optional<access::Certificates> certificates;
  std::unique_ptr<mirror::Agent> agent;
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
  std::unique_ptr<GuardControl> guard;
  std::unique_ptr<SourceLockGuard> lock_guard;
  net::Timer guard_counting;
  std::unique_ptr<feed::Feed> feed;
  std::vector<std::string> types_with_history;
  std::unique_ptr<ChangeAuthors> authors;
  std::unique_ptr<history::Relay> history;
  std::unique_ptr<history::Erasures> erasures;
  std::unique_ptr<cluster::Service> service;
  std::unique_ptr<api::Api> api;
  std::unique_ptr<net::Server> server;
  std::uint16_t port = 0;
  bool stopping = false;
  std::jthread recovering;  // last: it ends before what it uses
};

Status Node::Impl::prepare() {
  auto taken = os::FileLock::acquire(options.directory / "node.lock", fmt::format("verbund node, pid {}", getpid()));
  if (!taken) return pass(taken, phrase("start a node on {}", options.directory.string()));
  lock = std::move(*taken);
  if (options.demo) {
    if (auto added = Installation::add_demo_records(options.directory); !added) return pass(added);
  }
  auto loaded = Installation::load(options.directory);
  if (!loaded) return pass(loaded);
  installation.emplace(std::move(*loaded));
  auto opened = os::open_log({.file = options.directory / "log" / "verbund.log"});
  if (!opened) return pass(opened);
  log = std::move(*opened);
  log->info("node.starting", {{"version", kVersion}, {"pid", getpid()}, {"directory", options.directory.string()}});
  recover_office();
  auto made = access::load_or_create(options.directory / "tls", installation->settings().certificate_names, clock);
  if (!made) return pass(made);
  certificates = std::move(*made);
  return {};
}

/// What a killed backup has left stopped; beside the node's start, which does not wait for other programs.
void Node::Impl::recover_office() {
  recovering = std::jthread([this] {
    auto left = recover_services(options.directory, clock, *log);
    if (!left) return log->error("backup.not_recovered", {{"error", left.error().message}});
    for (const auto& name : *left) log->error("backup.service_down", {{"application", name}});
  });
}

Result<std::unique_ptr<mirror::Agent>> Node::Impl::make_agent() {
  if (!installation->owns_server()) {
    auto watched = installation->connection();
    if (!watched) return pass(watched);
    return mirror::Agent::watch(options.directory, *watched, *log, clock);
  }
  auto owned = owned_server_settings(*installation);
  if (!owned) return pass(owned);
  return mirror::Agent::own(options.directory, std::move(*owned), *log, clock);
}

Status Node::Impl::start_database() {
  auto made = make_agent();
  if (!made) return pass(made);
  agent = std::move(*made);
  agent->on_change([this](mirror::ServerState state, const std::string& reason) {
    log->info("node.database_state", {{"up", state == mirror::ServerState::kRunning}, {"reason", reason}});
  });
  if (auto started = agent->start(Deadline::in(clock, kPostgresStart)); !started) return pass(started, "start PostgreSQL");
  auto next = agent->next_epoch();
  if (!next) return pass(next);
  epoch = *next;
  return {};
}

Status Node::Impl::open_databases() {
  auto provisioned = installation->owns_server() ? provision_owned(*installation, *log) : provision_existing(*installation, *log);
  if (!provisioned) return provisioned;
  if (auto migrated = migrate_databases(*installation, *log); !migrated) return migrated;
  auto mid = installation->connection(Installation::kMidTier);
  if (!mid) return pass(mid);
  auto practice = installation->connection();
  if (!practice) return pass(practice);
  database_shown = practice->shown();
  mid_tier = std::make_unique<postgres::Pool>(std::move(*mid), kMidTierConnections, clock);
  source = std::make_unique<postgres::Pool>(std::move(*practice), kSourceConnections, clock);
  auto kept = installation->connection(Installation::kVersions);
  if (!kept) return pass(kept);
  versions = std::make_unique<postgres::Pool>(std::move(*kept), kVersionsConnections, clock);
  workers = std::make_unique<os::WorkerPool>(kWorkers, kWaitingTasks);
  accounts = std::make_unique<access::Accounts>(*mid_tier, clock, *log);
  return {};
}

Status Node::Impl::prepare_records() {
  if (options.demo) {
    if (auto made = ensure_demo_schema(*installation); !made) return pass(made);
    auto loaded = load_demo_records(*installation, options.demo_data, options.language, *log);
    if (!loaded) return pass(loaded);
    demo_report = std::move(*loaded);
  }
  auto connection = source->acquire(Deadline::in(clock, seconds{30}));
  if (!connection) return pass(connection);
  auto read = records::RecordTypes::load(installation->config(), **connection);
  if (!read) return pass(read);
  types = std::move(*read);
  auto chosen = history_types(*types, installation->settings().history_types);
  if (!chosen) return pass(chosen);
  types_with_history = std::move(*chosen);
  return installation->config().refuse_unknown();
}

/// A table that the configuration names may be called otherwise by now: the running feed followed it, the configuration did not.
void Node::Impl::explain_renames(Error& error) {
  if (error.code != ErrorCode::kBadConfig || !installation) return;
  const auto open = [](Result<postgres::ConnectionSettings> settings) {
    return settings ? postgres::Connection::open(*settings) : Result<postgres::Connection>(std::unexpected(settings.error()));
  };
  auto practice = open(installation->connection());
  auto mid = open(installation->connection(Installation::kMidTier));
  if (!practice || !mid) return;
  const auto renamed = feed::renamed_tables(*practice, *mid);
  if (!renamed) return;
  for (const auto& [was, now] : *renamed) {
    std::string plain = was;  // as messages show it
    std::erase(plain, '"');
    if (error.message.ends_with(' ' + plain)) error.advise(phrase("Table {} is called {} now: write {} in its place in config/verbund.toml.", was, now, now));
  }
}

Result<feed::FeedSettings> Node::Impl::feed_settings() const {
  auto source_settings = installation->connection();
  if (!source_settings) return pass(source_settings);
  auto mid_settings = installation->connection(Installation::kMidTier);
  if (!mid_settings) return pass(mid_settings);
  feed::FeedSettings settings;
  settings.source = std::move(*source_settings);
  settings.mid_tier = std::move(*mid_settings);
  settings.slot = installation->settings().feed_slot;
  settings.publication = installation->settings().feed_publication;
  settings.tables = tracked_tables(*types, types_with_history);
  if (!types_with_history.empty()) settings.consumers = {history::kConsumer};
  settings.term = epoch.term;
  settings.journal_rows_kept = installation->settings().journal_rows_kept;
  settings.journal_kept_for = std::chrono::days{installation->settings().journal_days};
  settings.journal_kept_bytes = installation->settings().journal_mb * 1'000'000;
  settings.lag_warn_bytes = installation->settings().lag_warn_mb * 1'000'000;
  settings.capture = installation->settings().feed_capture;
  settings.witness = options.directory / "feed.told";
  return settings;
}

std::string Node::Impl::status_json() const {
  return node_status_json({.settings = installation->settings(),
                           .epoch = epoch,
                           .sessions = service->session_count(),
                           .workstations = service->workstation_count(),
                           .locks = service->lock_count(),
                           .feed = feed->status(),
                           .history = history ? std::optional(history->status()) : std::nullopt,
                           .database_up = agent->state() == mirror::ServerState::kRunning,
                           .database = database_shown});
}

Status Node::Impl::start_services() {
  auto stored = load_sessions(*mid_tier, clock);
  if (!stored) return pass(stored);
  audit = std::make_unique<PostgresAuditTrail>(*mid_tier, *workers, clock, *log);
  authenticator = std::make_unique<AccountAuthenticator>(*accounts, *workers, loop);
  sessions = std::make_unique<PostgresSessionStore>(*mid_tier, *workers, loop, clock, *log);
  // The feed first: the service's broadcast log begins at its head.
  auto settings = feed_settings();
  if (!settings) return pass(settings);
  changes = std::make_unique<FeedChangeLog>(loop, *workers);
  feed = std::make_unique<feed::Feed>(std::move(*settings), changes->events(), clock, *log, counters);
  if (auto started = feed->start(); !started) return pass(started);
  changes->begin_at(*feed);
  auto guarded = start_guard();
  if (!guarded) return pass(guarded);
  std::vector<std::string> type_names;
  for (const auto& type : types->all()) type_names.push_back(type.type);
  service = std::make_unique<cluster::Service>(
      installation->settings().cluster, epoch, std::move(stored->sessions), stored->next,
      cluster::Surroundings{loop, clock, *authenticator, *sessions, *changes, *audit, *log, counters,
                            [this] { return status_json(); }, installation->settings().name, kVersion,
                            installation->settings().servers, std::move(type_names), lock_guard.get(),
                            std::move(*guarded)});
  guard->attach(*service);
  changes->attach(*service);
  return start_history();
}

Result<bool> Node::Impl::record_exists(const RecordKey& key) {
  const auto* type = types->find(key.type);
  if (type == nullptr) return fail(ErrorCode::kBadKey, phrase("look for {}: there is no such record type", to_string(key)));
  auto connection = source->acquire(Deadline::in(clock, seconds{10}));
  if (!connection) return pass(connection);
  auto found = records::list_some(**connection, *type, {key.id});
  if (!found) return pass(found);
  return !found->empty();
}

Status Node::Impl::start_history() {
  const auto connection = installation->connection(Installation::kVersions);
  if (!connection) return std::unexpected(connection.error());
  authors = std::make_unique<ChangeAuthors>(*mid_tier, clock);
  if (auto held = guard->held_locks()) {
    authors->held_at_start(*held);
  } else {
    log->warning("history.holders_unknown", {{"error", held.error().message}});
  }
  if (!types_with_history.empty()) {
    history = std::make_unique<history::Relay>(
        history::RelaySettings{.versions = *connection, .types = types_with_history, .far_behind = installation->settings().journal_rows_kept},
        *feed, *authors, clock, *log, counters);
  }
  erasures = std::make_unique<history::Erasures>(history::erasures_file(options.directory), *versions, *feed, history.get(),
                                                 [this](const RecordKey& key) { return record_exists(key); }, clock, *log);
  // Before anything is read out of the journal: what was erased stays erased, whatever was restored.
  // An office can work without that having been checked; it is told in the log.
  if (auto again = erasures->reapply(); !again) log->error("history.erasures_not_repeated", {{"error", again.error().message}});
  if (!history) return {};
  changes->attach(*authors, *history);
  history->start(changes->head());
  return {};
}

Result<GuardControl::Types> Node::Impl::start_guard() {
  auto settings = installation->connection();
  if (!settings) return pass(settings);
  guard = std::make_unique<GuardControl>(*settings, *types, loop, *audit, *log);
  lock_guard = std::make_unique<SourceLockGuard>(std::move(*settings), *workers, loop, clock, *audit, *log, [this] { guard->removed(); });
  guard_counting = loop.every(kGuardCounting, [this] {
    auto submitted = workers->submit([this] { guard->count_warnings(); });
    if (!submitted) log->warning("guard.not_counted", {{"error", submitted.error().message}});
  });
  return guard->start(epoch);
}

/// As at a start, as far as it concerns this database. The feed has lost its slot with the old one and compares by itself.
Result<std::size_t> Node::Impl::database_restored(bool is_source) {
  log->warning("node.database_restored", {{"source", is_source}});
  auto provisioned = installation->owns_server() ? provision_owned(*installation, *log) : Status{};
  if (!provisioned) return pass(provisioned);
  if (auto migrated = migrate_databases(*installation, *log); !migrated) return pass(migrated);
  if (is_source) {
    if (auto said = guard->restored(epoch); !said) return pass(said);
  }
  return erasures->reapply();
}

Status Node::Impl::listen() {
  api = std::make_unique<api::Api>(api::Surroundings{
      .loop = loop, .workers = *workers, .accounts = *accounts, .mid_tier = *mid_tier, .source = *source,
      .versions = *versions, .erasures = *erasures, .types = *types, .feed = *feed,
      .clock = clock, .log = *log, .status_json = [this] { return status_json(); },
      .metrics_text = [this] { return counters.text(); },
      .healthy = [this] { return agent->state() == mirror::ServerState::kRunning && !stopping; },
      .head = [this] { return changes->head(); },
      .end_sessions_of = [this](std::string user) { loop.post([this, user = std::move(user)] { service->remove_sessions_of(user); }); },
      .ca_pem = certificates->ca_pem,
      .guard = {.enable = [this](const std::string& type, guard::Mode mode) { return guard->enable(type, mode); },
                .disable = [this](const std::string& type) { return guard->disable(type); },
                .state = [this] { return guard->state(); },
                .warnings = [this] { return guard->warnings(); }},
      .history_caught_up = [this](Deadline deadline) { return history ? history->wait_for(feed->head().csn, deadline) : Status{}; },
      .database_restored = [this](bool is_source) { return database_restored(is_source); }});
  server = std::make_unique<net::Server>(loop, net::Limits{}, *service, *api, *log, counters);
  if (auto used = server->use_tls({certificates->chain_pem, certificates->key_pem}); !used) return used;
  server->allow_remote_plaintext(installation->settings().remote_plaintext);
  std::pair<std::string, std::uint16_t> address{installation->settings().listen_host, installation->settings().listen_port};
  if (options.listen) {
    auto parsed = parse_host_port(*options.listen);
    if (!parsed) return pass(parsed);
    address = *parsed;
  }
  // Attached first: a client may speak as soon as the port is open.
  service->attach(*server, address.first, address.second);
  auto listening = server->listen(address.first, address.second);
  if (!listening) return pass(listening);
  port = *listening;
  service->attach(*server, address.first, port);
  auto login = ensure_first_login(*installation, *accounts, port);
  if (!login) return pass(login);
  first_login = std::move(*login);
  return {};
}

std::string Node::Impl::example_key() {
  if (types->all().empty()) return {};
  auto connection = source->acquire(Deadline::in(clock, seconds{5}));
  if (!connection) return {};
  auto page = records::list(**connection, types->all().front(), std::nullopt, 1, "");
  return page && !page->records.empty() ? to_string(page->records.front().key) : std::string();
}

void Node::Impl::announce_start() {
  log->info("node.started", {{"port", port}, {"term", epoch.term.value}, {"start_count", epoch.start_count}});
  if (!options.on_started) return;
  auto practice = installation->application_connection();
  Started started;
  started.directory = options.directory;
  started.page = fmt::format("https://localhost:{}/", port);
  started.port = port;
  started.administrator = first_login.user;
  started.first_password = first_login.password;
  if (practice && installation->owns_server()) {
    started.psql = fmt::format("PGPASSFILE={}/pgpass psql -h {} -p {} -U {} {}", options.directory.string(), practice->host,
                               practice->port, practice->user, practice->database);
  }
  started.example_key = example_key();
  started.demo_report = demo_report;
  options.on_started(started);
}

void Node::Impl::stop() {
  if (log) log->info("node.stopping");
  stopping = true;
  if (server) {
    if (service) service->shut_down();
    bool closed = false;
    // The loop runs on for the farewells; the server calls back within its grace at the latest.
    server->shut_down(kGrace, [this, &closed] {
      closed = true;
      loop.stop();
    });
    if (!closed) loop.run();
  }
  if (history) {
    if (auto stored = history->wait_for(changes->head().csn, Deadline::in(clock, kHistoryGrace)); !stored) {
      log->warning("history.behind_at_stop", {{"reason", stored.error().message}});
    }
    history->stop();
  }
  if (feed) feed->stop();
  if (changes) changes->detach();
  guard_counting.cancel();
  if (guard) guard->detach();
  workers.reset();  // finishes what waits; nothing submits any more
  server.reset();
  service.reset();
  if (agent) {
    source.reset();
    accounts.reset();
    history.reset();
    versions.reset();
    mid_tier.reset();
    if (auto stopped = agent->stop(Deadline::in(clock, kPostgresStop)); !stopped) {
      log->error("node.database_not_stopped", {{"error", stopped.error().message}});
    }
  }
  if (log) log->info("node.stopped");
}

Node::Node(NodeOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Node::~Node() = default;

void Node::request_stop() { impl_->loop.stop(); }

Status Node::run() {
  auto& node = *impl_;
  node.loop.on_signals({SIGINT, SIGTERM}, [this](int) { request_stop(); });
  Status outcome = node.prepare();
  for (const auto step : {&Impl::start_database, &Impl::open_databases, &Impl::prepare_records, &Impl::start_services, &Impl::listen}) {
    if (outcome) outcome = (node.*step)();
  }
  if (outcome) {
    node.announce_start();
    node.loop.run();
  } else if (node.log) {
    node.explain_renames(outcome.error());
    node.log->error("node.not_started", {{"error", outcome.error().message}});
  }
  node.stop();
  return outcome;
}

}  // namespace verbund::node
