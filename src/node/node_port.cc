// The port: REST and clients, the first login, what is told to the person who started the node.
#include "base/messages.h"
#include "node/mirror/report.h"
#include "node/node_impl.h"

namespace verbund::node {
namespace {

std::vector<std::string> folder_names(const std::map<std::string, std::filesystem::path>& folders) {
  std::vector<std::string> names;
  for (const auto& [name, path] : folders) names.push_back(name);
  return names;
}

}  // namespace

Status Node::Impl::listen() {
  pair = std::make_unique<ProductionSide>(*installation, *certificates, *accounts, seat, epoch.term, [this] { return port; }, clock, *log);
  if (follow) pair->attach(*follow);
  watch = std::make_unique<PairWatch>(PairWatchSettings{.production = true, .pair = [this] { return pair->watched(); }}, *installation, clock, *log, counters);
  pair->attach(*watch);
  if (auto begun = pair->begin(); !begun) return begun;
  api = std::make_unique<api::Api>(api::Surroundings{
      .loop = loop, .workers = *workers, .accounts = *accounts, .mid_tier = *mid_tier, .source = *source,
      .versions = *versions, .erasures = *erasures, .types = *types, .feed = *feed,
      .clock = clock, .log = *log, .status_json = [this] { return status_json(); },
      .metrics_text = [this] { return options.seat ? counters.text() + options.seat->metrics() : counters.text(); },
      .healthy = [this] { return agent->state() == mirror::ServerState::kRunning && !stopping; },
      .head = [this] { return changes->head(); },
      .end_sessions_of = [this](std::string user) { loop.post([this, user = std::move(user)] { service->remove_sessions_of(user); }); },
      .ca_pem = certificates->ca_pem,
      .guard = {.enable = [this](const std::string& type, guard::Mode mode) { return guard->enable(type, mode); },
                .disable = [this](const std::string& type) { return guard->disable(type); },
                .state = [this] { return guard->state(); },
                .warnings = [this] { return guard->warnings(); }},
      .mirror = {.invite = [this](const std::string& user, std::chrono::minutes valid, bool replace) { return pair->invite(user, valid, replace); },
                 .look = [this](const std::string& code) { return pair->look(code); },
                 .join = [this](const std::string& code, const std::string& name, const std::string& address) { return pair->join(code, name, address); },
                 .beat = [this](const std::string& secret, const std::string& body) { return pair->beat(secret, body); },
                 .status = [this] { return options.seat ? Result<std::string>(options.seat->cluster_json()) : pair->status(); },
                 .follow = [this](const std::string& request) -> Result<std::string> {
                   if (!follow) return fail(ErrorCode::kUnsupported, phrase("change how the mirror follows: this node's PostgreSQL is somebody else's server"));
                   auto object = object_of(request);
                   return object ? follow->change(*object) : Result<std::string>(std::unexpected(object.error()));
                 },
                 .log = [this](const std::string& secret, const std::string& name, std::uint64_t offset) -> Result<std::string> {
                   if (auto known = pair->check(secret); !known) return pass(known);
                   return name.empty() ? follow->log_list() : follow->log_piece(name, offset);
                 },
                 .folders = [this](const std::string& secret, const boost::json::object& asked) -> Result<std::string> {
                   if (auto known = pair->check(secret); !known) return pass(known);
                   return folders->answer(asked);
                 },
                 .nights = [this](const std::string& secret, const boost::json::object& asked) -> Result<std::string> {
                   if (auto known = pair->check(secret); !known) return pass(known);
                   const auto other = seat.peer();
                   return nights_source->answer(other ? other->name : std::string(), asked);
                 },
                 .exchange = [this](const std::string& secret, const std::string& from, const std::string& body) { return seat.exchange(secret, from, body); },
                 .act = [this](const std::string& user, const std::string& body) { return seat.act(user, body); },
                 .is_control_secret = [this](const std::string& shown) { return seat.is_control_secret(shown); }},
      .devices = {.call = [this](const sync::DeviceCall& call, const std::string& address) { return devices->handle(call, address); }, .workers = device_workers.get(), .rules_changed = [this] { return capture_synced(); }, .folders = folder_names(installation->settings().sync_folders),
                  .held = [this](std::uint64_t device, const std::string& subscription, const std::string& key) { return devices->held(device, subscription, key); }},
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
  if (port != 0) address.second = port;
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

}  // namespace verbund::node
