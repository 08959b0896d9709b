#include "node/mirror/mirror_node.h"

#include "access/certificates.h"
#include "base/messages.h"
#include "node/adapters/prometheus_counters.h"
#include "node/command_server.h"
#include "node/installation.h"
#include "node/mirror/mirror_port.h"
#include "node/mirror/pair_nights.h"
#include "node/mirror/replay_gate.h"
#include "node/mirror/report.h"
#include "node/mirror/role.h"
#include "node/nights.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

constexpr milliseconds kGrace{2000};
constexpr seconds kNightsPatience{30};
constexpr std::size_t kWorkers = 4, kWaitingTasks = 1'000, kConnections = 4;

/// Members stand in the order in which they are made; the destructor goes the way back.
class MirrorNode {
 public:
  MirrorNode(const NodeOptions& options, net::EventLoop& loop, PairSeat& seat, std::uint64_t turn, std::uint16_t& port)
      : options_(options), loop_(loop), seat_(seat), turn_(turn), port_(port), log_(seat.log()) {}

  Status run() {
    Status outcome = prepare();
    for (const auto step : {&MirrorNode::open_databases, &MirrorNode::listen, &MirrorNode::begin_following, &MirrorNode::write_client_toml}) {
      if (outcome) outcome = (this->*step)();
    }
    if (outcome) {
      seat_.phase_begins(port_, false);
      announce();
      while (seat_.turn() == turn_ && !options_.stopping()) loop_.run();
    } else {
      log_.error("node.not_started", {{"error", outcome.error().message}});
    }
    stop();
    return outcome;
  }

 private:
  Status prepare() {
    const auto& directory = options_.directory;
    auto loaded = Installation::load(directory);
    if (!loaded) return pass(loaded);
    installation_.emplace(std::move(*loaded));
    auto made = access::load_or_create(directory / "tls", installation_->settings().certificate_names, clock_);
    if (!made) return pass(made);
    certificates_ = std::move(*made);
    return {};
  }

  Status open_databases() {
    auto mid = installation_->connection(Installation::kMidTier);
    if (!mid) return pass(mid);
    // Whoever asks only reads; nothing here can write.
    mid_tier_ = std::make_unique<postgres::Pool>(std::move(*mid), kConnections, clock_);
    workers_ = std::make_unique<os::WorkerPool>(kWorkers, kWaitingTasks);
    accounts_ = std::make_unique<access::Accounts>(*mid_tier_, clock_, log_);
    return {};
  }

  Status listen() {
    port_handler_ = std::make_unique<MirrorPort>(MirrorPortSurroundings{.workers = *workers_, .accounts = *accounts_, .seat = seat_, .facts = [this] { return facts(); },
                                                                       .metrics = [this] { return counters_.text(); }, .ca_pem = certificates_->ca_pem});
    server_ = std::make_unique<net::Server>(loop_, net::Limits{}, *port_handler_, *port_handler_, log_, counters_);
    if (auto used = server_->use_tls({certificates_->chain_pem, certificates_->key_pem}); !used) return used;
    server_->allow_remote_plaintext(installation_->settings().remote_plaintext);
    std::pair<std::string, std::uint16_t> address{installation_->settings().listen_host, installation_->settings().listen_port};
    if (options_.listen) {
      auto parsed = parse_host_port(*options_.listen);
      if (!parsed) return pass(parsed);
      address = *parsed;
    }
    if (port_ != 0) address.second = port_;  // as before: others know it
    auto listening = server_->listen(address.first, address.second);
    if (!listening) return pass(listening);
    port_ = *listening;
    return {};
  }

  /// As long as this part runs, whatever the machine may do.
  void begin_watching() {
    if (auto database = CommandServer::connection(*installation_, "postgres")) pause_guard_.emplace(options_.directory, std::move(*database), clock_, log_);
    auto watch = std::make_unique<PairWatch>(PairWatchSettings{.production = false, .pair = [this] { return watched(); }}, *installation_, clock_, log_, counters_);
    watch->start();
    const std::lock_guard guard(mutex_);
    watch_ = std::move(watch);
  }

  /// From the watch's thread.
  std::optional<mirror::Watched> watched() {
    const auto now = clock_.now();
    const auto seen = facts();
    if (pause_guard_ && role_of(seen) == "mirror") pause_guard_->look();
    mirror::Watched watched;
    if (const auto other = seat_.peer()) watched.other = other->name;
    const auto role = role_of(seen);
    watched.waits = role == "waiting";
    watched.fenced = role == "fenced";
    if (role != stands_as_) stands_since_ = now;
    stands_as_ = role;
    watched.stands = now - stands_since_;
    watched.database_error = seen.follow.database_error;
    if (watched.database_error.empty()) answered_at_ = now;
    watched.database_silent = now - answered_at_;
    watched.behind = seen.follow.behind;
    watched.silent = watched.behind ? watched.behind->age : now - begun_at_;
    watched.witness_silent = seat_.witness_silent();
    return watched;
  }

  Status begin_following() {
    begin_watching();
    const auto other = seat_.peer();
    if (!other) return {};
    auto secret = installation_->secret(kPairSecret);
    if (!secret) return pass(secret);
    auto database = CommandServer::connection(*installation_, "postgres");
    if (!database) return pass(database);
    FollowerSettings settings;
    settings.production.host = other->host;
    settings.production.port = other->port;
    settings.production.ca_pem = certificates_->ca_pem;
    settings.production.certificate_name = "localhost";  // as for the join: whose certificate it is counts
    settings.secret = std::move(*secret);
    settings.database = std::move(*database);
    settings.port = port_;
    fetcher_ = std::make_unique<LogFetcher>(LogFetcherSettings{settings.production, settings.secret, options_.directory / "postgres", settings.database}, clock_, log_);
    if (auto started = fetcher_->start(); !started) return started;
    settings.fetcher = fetcher_.get();
    folders_ = std::make_unique<FolderFetcher>(PairLine{settings.production, settings.secret}, options_.directory, installation_->settings().sync_folders, clock_, log_);
    folders_->start();
    settings.folders = folders_.get();
    settings.watch = watch_.get();
    settings.on_promise = [this](Term term, TimePoint until) { seat_.promised(term, until); };
    PairLine line{settings.production, settings.secret, nights_end_.get_token()};
    auto follower = std::make_unique<Follower>(std::move(settings), clock_, log_, counters_);
    follower->start();
    {
      const std::lock_guard guard(mutex_);
      follower_ = std::move(follower);
    }
    begin_nights(std::move(line));
    return {};
  }

  /// What the feed needs a person for is production's to say.
  void begin_nights(PairLine line) {
    const auto name = [this] {
      const auto other = seat_.peer();
      return other ? other->name : std::string();
    };
    exchange_ = std::make_unique<NightsExchange>(options_.directory, [line](std::string body) { return line.post("/api/mirror/nights", std::move(body), kNightsPatience); }, name,
                                                 [this] {
                                                   const auto now = facts();
                                                   return now.database_up && now.follow.received && now.follow.database_error.empty() && role_of(now) == "mirror";
                                                 }, clock_, log_);
    exchange_->start();
    nights_ = std::make_unique<Nights>(NightsSettings{.directory = options_.directory, .alarm = installation_->settings().alarm, .feed = [] { return std::vector<alarm::State>(); }}, clock_, log_);
    nights_->start();
  }

  /// A run that is under way ends in order, and the node answers on meanwhile; a takeover waits for none: production's part finds what was left.
  void end_nights() {
    nights_end_.request_stop();
    if (exchange_) exchange_->stop();
    if (!nights_) return;
    bool ended = false;
    nights_->begin_stop([this, &ended] {
      loop_.post([this, &ended] {
        ended = true;
        loop_.stop();
      });
    }, seat_.turn() != turn_ ? SIGKILL : SIGINT);
    while (!ended) loop_.run();
    nights_.reset();
  }

  /// How this machine's commands reach the node, at its first start; as production's.
  Status write_client_toml() {
    const auto path = options_.directory / "client.toml";
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return {};
    auto text = os::read_file(options_.directory / "mirror" / "login.json", 64 * 1024);
    if (!text && text.error().code == ErrorCode::kNotFound) return {};
    if (!text) return pass(text);
    auto login = object_of(*text);
    if (!login) return pass(login);
    const auto user = text_of(*login, "user");
    const auto token = text_of(*login, "token");
    if (!user) return std::unexpected(user.error());
    if (!token) return std::unexpected(token.error());
    return os::write_file_atomically(path, fmt::format("# How this machine's `verbund` commands reach the node. Holds a secret: keep it 0600.\n"
                                                       "servers = [\"127.0.0.1:{}\"]\nuser = \"{}\"\ntoken = \"{}\"\nca = \"tls/ca.crt\"\n", port_, *user, *token), 0600);
  }

  void announce() {
    const auto other = seat_.peer();
    const auto production = other ? address_of(*other) : std::string();
    log_.info("node.started", {{"port", port_}, {"role", "mirror"}, {"production", production}});
    if (!options_.on_started) return;
    Started started;
    started.directory = options_.directory;
    started.page = fmt::format("https://localhost:{}/", port_);
    started.port = port_;
    started.mirror_of = production;
    started.role = role_of(facts());
    options_.on_started(started);
  }

  [[nodiscard]] MirrorFacts facts() const {
    MirrorFacts facts;
    facts.name = installation_->settings().name;
    facts.pair = seat_.view_json();
    facts.database_up = seat_.agent().state() == mirror::ServerState::kRunning;
    const std::lock_guard guard(mutex_);
    if (follower_) facts.follow = follower_->state();
    facts.watch = watch_.get();
    return facts;
  }

  void stop() {
    end_nights();
    if (watch_) watch_->stop();
    if (follower_) follower_->stop();
    if (fetcher_) fetcher_->stop();
    if (folders_) folders_->stop();
    if (server_) {
      bool closed = false;
      server_->shut_down(kGrace, [this, &closed] {
        closed = true;
        loop_.stop();
      });
      while (!closed) loop_.run();
    }
    workers_.reset();
    server_.reset();
  }

  const NodeOptions& options_;
  net::EventLoop& loop_;
  os::SystemClock clock_;
  PairSeat& seat_;
  const std::uint64_t turn_;
  std::uint16_t& port_;
  Log& log_;
  std::optional<Installation> installation_;
  PrometheusCounters counters_;
  std::optional<access::Certificates> certificates_;
  std::unique_ptr<postgres::Pool> mid_tier_;
  std::unique_ptr<os::WorkerPool> workers_;
  std::unique_ptr<access::Accounts> accounts_;
  std::unique_ptr<MirrorPort> port_handler_;
  std::unique_ptr<net::Server> server_;
  std::optional<PauseGuard> pause_guard_;
  std::string stands_as_;               // the watch's thread's, as the next three
  const TimePoint begun_at_ = clock_.now();
  TimePoint stands_since_ = begun_at_, answered_at_ = begun_at_;
  mutable std::mutex mutex_;
  std::unique_ptr<PairWatch> watch_;    // under mutex_ when it is set
  std::unique_ptr<LogFetcher> fetcher_;
  std::unique_ptr<FolderFetcher> folders_;
  std::unique_ptr<Follower> follower_;  // under mutex_ when it is set
  std::stop_source nights_end_;
  std::unique_ptr<NightsExchange> exchange_;
  std::unique_ptr<Nights> nights_;
};

}  // namespace

Status run_mirror(const NodeOptions& options, net::EventLoop& loop, PairSeat& seat, std::uint64_t turn, std::uint16_t& port) {
  return MirrorNode(options, loop, seat, turn, port).run();
}

}  // namespace verbund::node
