// Start and stop, in order: from the lock file to the record types, and the way back.
#include <csignal>

#include "access/audit.h"
#include "base/messages.h"
#include "feed/renamed.h"
#include "node/demo.h"
#include "node/feed_tables.h"
#include "node/mirror/mirror_node.h"
#include "node/mirror/role.h"
#include "node/node_impl.h"
#include "node/office_backup.h"
#include "node/patroni/patroni_node.h"
#include "node/patroni/seat.h"
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
  if (options.demo) {
    if (auto added = Installation::add_demo_records(options.directory); !added) return pass(added);
  }
  auto loaded = Installation::load(options.directory);
  if (!loaded) return pass(loaded);
  installation.emplace(std::move(*loaded));
  if (options.seat) installation->bind(options.seat->server, options.seat->term);
  folders = std::make_unique<FolderSource>(installation->settings().mirror_folders, installation->settings().sync_folders);
  nights_source = std::make_unique<NightsSource>(options.directory, clock, *log);
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

/// In a pair the engine has opened it.
Status Node::Impl::start_database() {
  if (!seat.paired()) {
    if (auto started = agent->start(Deadline::in(clock, kPostgresStart)); !started) return pass(started, "start PostgreSQL");
  }
  auto next = agent->next_epoch();
  if (!next) return pass(next);
  epoch = *next;
  return installation->owns_server() ? start_following() : Status{};
}

/// Before the first commit of ours: the server may have been left waiting for a mirror that is no more.
Status Node::Impl::start_following() {
  const auto alarm = [this](const std::string& text) {
    loop.post([this, text] {
      if (changes) changes->on_mirror_alarm(text);
    });
  };
  follow = std::make_unique<FollowProduction>(*installation, seat.mirror_member(), alarm, clock, *log, counters);
  return follow->start();
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
  if (options.seat) {
    auto connection = mid_tier->acquire(Deadline::in(clock, seconds{10}));
    if (!connection) return pass(connection);
    if (auto kept = keep_former_holders_out(**connection); !kept) return kept;
  }
  source = std::make_unique<postgres::Pool>(std::move(*practice), kSourceConnections, clock);
  auto kept = installation->connection(Installation::kVersions);
  if (!kept) return pass(kept);
  versions = std::make_unique<postgres::Pool>(std::move(*kept), kVersionsConnections, clock);
  workers = std::make_unique<os::WorkerPool>(kWorkers, kWaitingTasks);
  accounts = std::make_unique<access::Accounts>(*mid_tier, clock, *log);
  return note_takeover();
}

/// Nobody has confirmed it: then it stands in the audit at least. Again after each start until there is a mirror.
Status Node::Impl::note_takeover() {
  const auto report = seat.taken_over();
  if (!report) return {};
  const auto detail = fmt::format("received {} at least {} bytes lost {} ms", to_string(report->received), report->bytes, std::chrono::duration_cast<milliseconds>(report->span).count());
  return access::record_audit(*mid_tier, clock, {0, clock.wall(), "node", "mirror.automatic", "", detail});
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
    if (const auto waits = follow ? follow->alarm() : std::string(); !waits.empty()) states.push_back({"mirror/commits", phrase("the mirror: {}", retold(language, waits)), {}, {}});
    if (status.state == feed::FeedState::kStopped) states.push_back({"feed/stopped", phrase("the feed has stopped: {}", retold(language, status.reason)), {}, {}});
    for (auto& trouble : device_troubles()) states.push_back({std::move(trouble.key), std::move(trouble.text), {}, {}});
    return states;
  };
  const auto other = seat.paired() ? seat.peer() : std::nullopt;
  nights_source->begin(other ? std::optional(other->name) : std::nullopt);
  nights = std::make_unique<Nights>(NightsSettings{.directory = options.directory, .alarm = installation->settings().alarm, .feed = feed_states}, clock, *log);
  nights->start();
  watch->start();
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

void Node::Impl::stop_serving() {
  stopping = true;
  if (folders) folders->end();
  if (!server) return;
  if (service) service->shut_down();
  bool closed = false;
  // The loop runs on for the farewells; the server calls back within its grace at the latest.
  server->shut_down(kGrace, [this, &closed] {
    closed = true;
    loop.stop();
  });
  while (!closed) loop.run();
}

void Node::Impl::stop() {
  // Without the seat, or no longer production, nothing is granted any more, whatever a run of the backup still does.
  const bool at_once = (options.seat && options.seat->lost) || seat.turn() != turn;
  if (at_once) stop_serving();
  stop_nights();
  if (!at_once) stop_serving();
  if (watch) watch->stop();
  if (history) {
    if (auto stored = at_once ? Status{} : history->wait_for(changes->head().csn, Deadline::in(clock, kHistoryGrace)); !stored) {
      log->warning("history.behind_at_stop", {{"reason", stored.error().message}});
    }
    history->stop();
  }
  if (feed) feed->stop();
  if (changes) changes->detach();
  guard_counting.cancel();
  device_changes.cancel();
  if (device_locks) device_locks->stop();
  if (guard) guard->detach();
  workers.reset();  // finishes what waits; nothing submits any more
  device_workers.reset();
  devices.reset();
  device_locks.reset();
  sync_directory.reset();
  sync_source.reset();
  sync_mid_tier.reset();
  server.reset();
  service.reset();
  follow.reset();
  source.reset();
  accounts.reset();
  history.reset();
  versions.reset();
  mid_tier.reset();
}

Status Node::Impl::run() {
  Status outcome = prepare();
  for (const auto step : {&Impl::start_database, &Impl::open_databases, &Impl::prepare_records, &Impl::start_services, &Impl::listen}) {
    if (outcome) outcome = (this->*step)();
  }
  if (outcome) {
    seat.phase_begins(port, true);
    announce_start();
    start_nights();
    while (seat.turn() == turn && !options.stopping()) loop.run();
  } else if (seat.turn() != turn) {
    log->warning("node.start_interrupted", {{"error", outcome.error().message}});
    outcome = {};
  } else {
    explain_renames(outcome.error());
    log->error("node.not_started", {{"error", outcome.error().message}});
  }
  stop();
  return outcome;
}

Node::Node(NodeOptions options) : options_(std::move(options)) {
  options_.stopping = [this] { return stopping_.load(); };
}
Node::~Node() = default;

void Node::request_stop() {
  stopping_ = true;
  const std::lock_guard guard(mutex_);
  if (loop_) loop_->stop();
}

void Node::use_loop(std::shared_ptr<net::EventLoop> loop) {
  const std::lock_guard guard(mutex_);
  loop_ = std::move(loop);
}

Status Node::run_phase(PairSeat& seat, std::uint16_t& port) {
  const auto loop = std::make_shared<net::EventLoop>();
  use_loop(loop);
  seat.on_phase([loop] { loop->stop(); });
  const auto turn = seat.turn();  // before the phase: a change in between ends this part at once
  const bool production = seat.phase() == PairSeat::Phase::kProduction;
  if (production) seat.phase_begins(0, true);
  auto outcome = production ? Impl(options_, *loop, seat, turn, port).run() : run_mirror(options_, *loop, seat, turn, port);
  seat.on_phase({});
  use_loop({});
  seat.phase_ends();
  return outcome;
}

/// One part after the other, as the pair has it.
Status Node::run_phases() {
  auto taken = PairSeat::take(options_.directory, options_.seat.get());
  if (!taken) return pass(taken);
  auto& seat = **taken;
  const os::SystemClock clock;
  Status outcome = seat.begin(options_.stopping);
  std::uint16_t port = 0;
  while (outcome && !stopping_) outcome = run_phase(seat, port);
  seat.log().info("node.stopping");
  seat.stop();
  if (auto stopped = seat.agent().stop(Deadline::in(clock, kPostgresStop)); !stopped) {
    seat.log().error("node.database_not_stopped", {{"error", stopped.error().message}});
  }
  seat.log().info("node.stopped");
  return outcome;
}

Status Node::run() {
  if (!options_.seat) {
    const auto patroni = uses_patroni(options_.directory);
    if (!patroni) return std::unexpected(patroni.error());
    net::EventLoop loop;
    if (*patroni) return run_on_patroni(options_, loop);
  }
  const auto role = pair_role(options_.directory);
  if (!role) return std::unexpected(role.error());
  if (*role == PairRole::kJoining) return refuse_half_joined(options_.directory);
  net::EventLoop signals;
  signals.on_signals({SIGINT, SIGTERM}, [this](int) { request_stop(); });
  std::jthread waiting([&signals] { signals.run(); });
  auto outcome = run_phases();
  signals.stop();
  return outcome;
}

}  // namespace verbund::node
