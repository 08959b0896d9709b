// Start and stop, in order: from the lock file to the record types, and the way back.
#include <csignal>

#include "base/messages.h"
#include "feed/renamed.h"
#include "node/demo.h"
#include "node/feed_tables.h"
#include "node/node_impl.h"
#include "node/office_backup.h"
#include "node/provision.h"
#include "node/version.h"

namespace verbund::node {
namespace {

constexpr seconds kPostgresStart{120};
constexpr seconds kPostgresStop{60};
constexpr milliseconds kGrace{2000};
/// At the end history stores what is known of authors only now.
constexpr seconds kHistoryGrace{3};
constexpr std::size_t kWorkers = 8;
constexpr std::size_t kWaitingTasks = 20'000;
constexpr std::size_t kMidTierConnections = 8;
constexpr std::size_t kSourceConnections = 8;
constexpr std::size_t kVersionsConnections = 4;

}  // namespace

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

void Node::Impl::start_nights() {
  const auto feed_states = [this] {
    std::vector<alarm::State> states;
    const auto status = feed->status();
    const auto language = installation->settings().alarm.language;
    if (!status.alarm.empty()) states.push_back({"feed/alarm", phrase("the feed: {}", retold(language, status.alarm)), {}, {}});
    if (status.state == feed::FeedState::kStopped) states.push_back({"feed/stopped", phrase("the feed has stopped: {}", retold(language, status.reason)), {}, {}});
    return states;
  };
  nights = std::make_unique<Nights>(NightsSettings{.directory = options.directory, .alarm = installation->settings().alarm, .feed = feed_states}, clock, *log);
  nights->start();
}

/// A run ends in order: it releases the feed, so the node answers on meanwhile.
void Node::Impl::stop_nights() {
  if (!nights) return;
  bool ended = false;
  nights->begin_stop([this, &ended] {
    loop.post([this, &ended] {
      ended = true;
      loop.stop();
    });
  });
  while (!ended) loop.run();
  nights.reset();
}

void Node::Impl::stop() {
  if (log) log->info("node.stopping");
  stop_nights();
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
    node.start_nights();
    node.loop.run();
  } else if (node.log) {
    node.explain_renames(outcome.error());
    node.log->error("node.not_started", {{"error", outcome.error().message}});
  }
  node.stop();
  return outcome;
}

}  // namespace verbund::node
