#include "node/patroni/patroni_node.h"

#include <csignal>
#include <cstdlib>

#include <unistd.h>

#include <boost/json.hpp>

#include "access/certificates.h"
#include "base/messages.h"
#include "node/adapters/prometheus_counters.h"
#include "node/installation.h"
#include "node/patroni/node_seat.h"
#include "node/patroni/standby_port.h"
#include "node/provision.h"
#include "node/version.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"

namespace verbund::node {
namespace {

constexpr milliseconds kGrace{500};
constexpr seconds kBetweenAttempts{1};
constexpr seconds kCutConnect{2};
constexpr milliseconds kCutEvery{500};
constexpr seconds kEndsWithin{60};
constexpr std::size_t kWorkers = 4, kWaitingTasks = 1'000, kConnections = 4;

/// What another attempt, on the leader of then, may put right.
bool passes(const Error& error) {
  using enum ErrorCode;
  return error.code == kDatabaseDown || error.code == kTimedOut || error.code == kUnavailable || error.code == kDatabase;
}

/// Members stand in the order in which they are made; the destructor goes the way back.
class PatroniNode {
 public:
  PatroniNode(const NodeOptions& options, net::EventLoop& loop) : options_(options), loop_(loop) {}

  Status run() {
    loop_.on_signals({SIGINT, SIGTERM}, [this](int) {
      stopping_ = true;
      loop_.stop();
    });
    Status outcome = prepare();
    if (outcome) outcome = prepare_cluster();
    while (outcome && !stopping_) {
      outcome = wait_for_seat();
      if (outcome && seat_given_) outcome = serve();
    }
    if (!outcome && log_) log_->error("node.not_started", {{"error", outcome.error().message}});
    seat_.reset();
    if (log_) log_->info("node.stopped");
    return outcome;
  }

 private:
  Status prepare() {
    const auto& directory = options_.directory;
    auto taken = os::FileLock::acquire(directory / "node.lock", fmt::format("verbund node, pid {}", getpid()));
    if (!taken) return pass(taken, phrase("start a node on {}", directory.string()));
    lock_ = std::move(*taken);
    auto loaded = Installation::load(directory);
    if (!loaded) return pass(loaded);
    installation_.emplace(std::move(*loaded));
    auto opened = os::open_log({.file = directory / "log" / "verbund.log"});
    if (!opened) return pass(opened);
    log_ = std::move(*opened);
    log_->info("node.starting", {{"version", kVersion}, {"pid", getpid()}, {"directory", directory.string()}, {"provider", "patroni"}});
    auto made = access::load_or_create(directory / "tls", installation_->settings().certificate_names, clock_);
    if (!made) return pass(made);
    certificates_ = std::move(*made);
    auto mid = installation_->configured_connection(Installation::kMidTier);
    if (!mid) return pass(mid);
    mid_tier_ = std::make_unique<postgres::Pool>(std::move(*mid), kConnections, clock_);
    workers_ = std::make_unique<os::WorkerPool>(kWorkers, kWaitingTasks);
    accounts_ = std::make_unique<access::Accounts>(*mid_tier_, clock_, *log_);
    return {};
  }

  /// The first node on a cluster makes the mid-tier database; consent has been given.
  Status prepare_cluster() {
    const auto& settings = installation_->settings();
    auto rest = PatroniRest::open(settings.patroni);
    if (!rest) return pass(rest);
    watch_ = std::make_unique<PatroniWatch>(std::move(*rest), clock_, *log_, counters_);
    // Without a leader just now the seat asks again and again.
    auto prepared = prepare_databases();
    if (!prepared && prepared.error().code != ErrorCode::kDatabaseDown) return prepared;
    auto member = seat_member(options_.directory);
    if (!member) return pass(member);
    member_ = std::move(*member);
    return {};
  }

  Status prepare_databases() {
    auto source = installation_->configured_connection();
    if (!source) return pass(source);
    auto leader = open_leader(*source, {}, {}, 0);
    if (!leader) return pass(leader);
    auto mid = leader->server;
    mid.database = Installation::kMidTier;
    auto prepared = prepare_seat(mid, *log_);
    if (prepared || prepared.error().code != ErrorCode::kNotFound) return prepared;
    if (auto provisioned = provision_existing(*installation_, *log_); !provisioned) return provisioned;
    return prepare_seat(mid, *log_);
  }

  /// Listens until the node holds the seat, or is stopped.
  Status wait_for_seat() {
    StandbyPort handler({.workers = *workers_, .accounts = *accounts_, .facts = [this] { return facts(); }, .metrics = [this] { return counters_.text(); },
                         .ca_pem = certificates_->ca_pem});
    net::Server server(loop_, net::Limits{}, handler, handler, *log_, counters_);
    if (auto used = server.use_tls({certificates_->chain_pem, certificates_->key_pem}); !used) return used;
    server.allow_remote_plaintext(installation_->settings().remote_plaintext);
    if (auto listening = listen(server); !listening) return listening;
    start_seat();
    const auto looking = loop_.every(milliseconds{200}, [this] { announce_waiting(); });
    loop_.run();
    {
      const std::lock_guard guard(mutex_);
      stopping_ = stopping_ || !seat_given_;
    }
    bool closed = false;
    server.shut_down(kGrace, [this, &closed] {
      closed = true;
      loop_.stop();
    });
    while (!closed) loop_.run();
    return {};
  }

  Status listen(net::Server& server) {
    std::pair<std::string, std::uint16_t> address{installation_->settings().listen_host, installation_->settings().listen_port};
    if (options_.listen) {
      auto parsed = parse_host_port(*options_.listen);
      if (!parsed) return pass(parsed);
      address = *parsed;
    }
    if (port_ != 0) address.second = port_;
    auto listening = server.listen(address.first, address.second);
    if (!listening) return pass(listening);
    port_ = *listening;
    host_ = address.first;
    return {};
  }

  void start_seat() {
    if (!seat_) {
      const auto& settings = installation_->settings();
      auto mid = installation_->configured_connection(Installation::kMidTier);
      const auto address = settings.patroni.address.empty() ? fmt::format("{}:{}", settings.name, port_) : settings.patroni.address;
      SeatSettings of{.mid_tier = mid ? std::move(*mid) : postgres::ConnectionSettings{}, .epoch_file = options_.directory / "agent" / "epoch",
                      .member = member_, .name = settings.name, .address = address, .lease = settings.patroni.lease};
      seat_ = std::make_unique<Seat>(std::move(of), *watch_,
                                     SeatEvents{[this](HeldSeat held) { on_held(std::move(held)); }, [this](const Phrase&) { on_lost(); }}, clock_, *log_, counters_);
    }
    seat_->compete();
  }

  // On the seat's threads.
  void on_held(HeldSeat held) {
    const std::lock_guard guard(mutex_);
    auto given = std::make_shared<NodeSeat>();
    given->term = held.term;
    given->server = std::move(held.server);
    given->follows_promotions = held.follows_promotions;
    given->port = port_;
    given->cluster_json = [this] { return boost::json::serialize(cluster_object(facts())); };
    given->metrics = [this] { return counters_.text(); };
    seat_given_ = std::move(given);
    loop_.stop();
  }

  void on_lost() {
    const std::lock_guard guard(mutex_);
    if (seat_given_) seat_given_->lost = true;
    if (serving_ != nullptr) serving_->request_stop();
    changed_.notify_all();
  }

  /// From the loss of the seat until the node has ended: what it waits for may be a commit on a former leader that nobody will confirm any more.
  /// A server that hangs altogether must not keep it from ending either: then the process ends, and whoever looks after it starts it again.
  void cut_connections(const std::stop_token& ended, const NodeSeat& seat) {
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [&] { return ended.stop_requested() || seat.lost; });
    }
    const TimePoint since = clock_.now();
    auto server = seat.server;
    server.application_name = "verbund seat";
    while (!ended.stop_requested()) {
      if (auto connection = postgres::Connection::open(server, kCutConnect)) {
        auto cut = connection->query("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = $1", {fmt::format("verbund/{}", seat.term.value)});
        if (!cut) log_->warning("node.not_cut", {{"error", cut.error().message}});
      }
      if (clock_.now() - since > kEndsWithin) {
        log_->error("node.stuck", {{"server", server.shown()}, {"term", seat.term.value}});
        std::_Exit(exit_code(ErrorCode::kDatabaseDown));
      }
      std::unique_lock guard(mutex_);
      changed_.wait_for(guard, kCutEvery, [&] { return ended.stop_requested(); });
    }
  }

  /// An ordinary node, until it is stopped or has lost the seat.
  Status serve() {
    NodeOptions options = options_;
    options.listen = host_.find(':') == std::string::npos ? fmt::format("{}:{}", host_, port_) : fmt::format("[{}]:{}", host_, port_);
    options.seat = seat_given_;
    Node node(std::move(options));
    bool lost = false;
    {
      const std::lock_guard guard(mutex_);
      serving_ = &node;
      lost = seat_given_->lost;
    }
    std::jthread cutter([this, seat = seat_given_](const std::stop_token& ended) { cut_connections(ended, *seat); });
    Status outcome = lost ? Status{} : node.run();
    {
      const std::lock_guard guard(mutex_);
      serving_ = nullptr;
      lost = seat_given_->lost;
      cutter.request_stop();
    }
    changed_.notify_all();
    cutter.join();
    seat_given_.reset();
    if (outcome && !lost) stopping_ = true;
    seat_->give_up();
    if (outcome || (!lost && !passes(outcome.error()))) return outcome;
    log_->warning("node.interrupted", {{"error", outcome.error().message}});
    const auto later = loop_.after(kBetweenAttempts, [this] { loop_.stop(); });
    return pause();
  }

  /// SIGTERM ends the wait, too, and then the node.
  Status pause() {
    loop_.run();
    return {};
  }

  /// Once: somebody else holds the seat.
  void announce_waiting() {
    if (announced_ || !options_.on_started) return;
    const auto seat = seat_->view();
    if (seat.held || seat.holder_address.empty()) return;
    announced_ = true;
    log_->info("node.waiting", {{"port", port_}, {"holder", seat.holder_name}});
    Started started;
    started.directory = options_.directory;
    started.page = fmt::format("https://localhost:{}/", port_);
    started.port = port_;
    started.role = "standby";
    started.waits_for = fmt::format("{} ({})", seat.holder_name, seat.holder_address);
    options_.on_started(started);
  }

  [[nodiscard]] ClusterFacts facts() const {
    ClusterFacts facts;
    facts.name = installation_->settings().name;
    facts.seen = watch_->seen();
    if (seat_) facts.seat = seat_->view();
    return facts;
  }

  const NodeOptions& options_;
  net::EventLoop& loop_;
  os::SystemClock clock_;
  std::optional<os::FileLock> lock_;
  std::optional<Installation> installation_;
  std::unique_ptr<Log> log_;
  PrometheusCounters counters_;
  std::optional<access::Certificates> certificates_;
  std::unique_ptr<postgres::Pool> mid_tier_;
  std::unique_ptr<os::WorkerPool> workers_;
  std::unique_ptr<access::Accounts> accounts_;
  std::unique_ptr<PatroniWatch> watch_;
  std::string member_, host_;
  std::uint16_t port_ = 0;
  bool stopping_ = false, announced_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<NodeSeat> seat_given_;  // under mutex_ while the seat may call
  Node* serving_ = nullptr;               // under mutex_
  std::unique_ptr<Seat> seat_;
};

}  // namespace

Result<bool> uses_patroni(const std::filesystem::path& directory) {
  auto loaded = Installation::load(directory);
  if (!loaded) return pass(loaded);
  return loaded->settings().patroni.used;
}

Status run_on_patroni(const NodeOptions& options, net::EventLoop& loop) { return PatroniNode(options, loop).run(); }

}  // namespace verbund::node
