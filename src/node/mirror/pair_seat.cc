#include "node/mirror/pair_seat.h"

#include <unistd.h>

#include "base/messages.h"
#include "mirror/epoch.h"
#include "node/mirror/term_proof.h"
#include "node/provision.h"
#include "node/version.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "platform/os/random.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
using mirror::Stage;
using mirror::Task;

constexpr seconds kPatience{3};
constexpr seconds kProductionEnds{60};
constexpr milliseconds kLookEvery{50};

}  // namespace

Result<std::unique_ptr<PairSeat>> PairSeat::take(const fs::path& directory, const NodeSeat* cluster) {
  std::unique_ptr<PairSeat> seat(new PairSeat());
  if (auto loaded = seat->load(directory, cluster); !loaded) return pass(loaded);
  return seat;
}

PairSeat::~PairSeat() {
  stop();
  // Nothing is left that could acknowledge.
  if (lease_ && agent_ && agent_->state() == mirror::ServerState::kStopped) (void)lease_->set({});
}

Status PairSeat::load(const fs::path& directory, const NodeSeat* cluster) {
  directory_ = directory;
  if (cluster == nullptr) {
    auto taken = os::FileLock::acquire(directory / "node.lock", fmt::format("verbund node, pid {}", getpid()));
    if (!taken) return pass(taken, phrase("start a node on {}", directory.string()));
    lock_ = std::move(*taken);
  }
  auto loaded = Installation::load(directory);
  if (!loaded) return pass(loaded);
  installation_.emplace(std::move(*loaded));
  if (cluster != nullptr) installation_->bind(cluster->server, cluster->term);
  auto opened = os::open_log({.file = directory / "log" / "verbund.log"});
  if (!opened) return pass(opened);
  log_ = std::move(*opened);
  log_->info("node.starting", {{"version", kVersion}, {"pid", getpid()}, {"directory", directory.string()}});
  auto agent = make_agent();
  if (!agent) return pass(agent);
  agent_ = std::move(*agent);
  agent_->on_change([this](mirror::ServerState state, const std::string& reason) {
    log_->info("node.database_state", {{"up", state == mirror::ServerState::kRunning}, {"reason", reason}});
  });
  server_ = std::make_unique<PairServer>(*installation_, *agent_, clock_, *log_);
  if (!installation_->owns_server()) return {};
  auto control = installation_->secret("control");
  if (control) {
    control_secret_ = std::move(*control);
    return {};
  }
  if (control.error().code != ErrorCode::kNotFound) return pass(control);
  control_secret_ = os::random_hex(32);
  return os::write_file_atomically(directory / "secrets" / "control", control_secret_ + "\n", 0600);
}

Result<std::unique_ptr<mirror::Agent>> PairSeat::make_agent() {
  if (!installation_->owns_server()) {
    auto watched = installation_->connection();
    if (!watched) return pass(watched);
    return mirror::Agent::watch(directory_, *watched, *log_, clock_);
  }
  auto owned = owned_server_settings(*installation_);
  if (!owned) return pass(owned);
  return mirror::Agent::own(directory_, std::move(*owned), *log_, clock_);
}

Term PairSeat::begun() {
  const auto epoch = mirror::read_epoch(directory_ / "agent" / "epoch");
  if (epoch) return epoch->term;
  if (epoch.error().code != ErrorCode::kNotFound) log_->error("pair.epoch_unknown", {{"error", epoch.error().message}});
  return {};
}

Status PairSeat::begin(const std::function<bool()>& stopping) {
  const auto record = pair_record(directory_);
  if (!record) return std::unexpected(record.error());
  if (!*record) return {};
  if (auto started = start_driver(false); !started) return started;
  while (true) {
    const auto view = driver_->view();
    const bool asking = view.record.boots == 0 || (view.record.stage == Stage::kServing && !view.open && !view.waits_for_person);
    const bool can_not = !view.trouble.empty() || view.told == to_string(Task::kOpen);
    if (!asking || can_not || stopping()) return {};
    std::unique_lock guard(mutex_);
    changed_.wait_for(guard, kLookEvery);
  }
}

Status PairSeat::start_driver(bool open) {
  auto journal = mirror::PairJournal::open(directory_ / "agent" / "pair", clock_);
  if (!journal) return pass(journal);
  auto peer = read_peer(directory_);
  if (!peer) return pass(peer);
  auto secret = installation_->secret(kPairSecret);
  if (!secret) return pass(secret);
  auto ca = os::read_file(directory_ / "tls" / "ca.crt", 64 * 1024);
  if (!ca) return pass(ca);
  auto witness = read_witness_place(directory_);
  if (!witness) return pass(witness);
  const auto tuning = tuning_with(*witness, installation_->settings().witness);
  auto driver = std::make_unique<PairDriver>(std::move(*journal), *this, tuning, open, clock_, *log_);
  const std::lock_guard guard(mutex_);
  witness_ = std::move(*witness);
  ca_pem_ = std::move(*ca);
  peer_ = std::move(*peer);
  secret_ = std::move(*secret);
  phase_ = open ? Phase::kProduction : Phase::kMirror;
  driver_ = std::move(driver);
  driver_->start();
  paired_ = true;
  return {};
}

Status PairSeat::begin_pair(const Peer& peer, const std::string& secret, Term term) {
  {
    const std::lock_guard writing(peer_file_);
    if (auto written = write_peer(directory_, peer); !written) return written;
    if (auto written = os::write_file_atomically(directory_ / "secrets" / kPairSecret, secret + "\n", 0600); !written) return written;
    const std::lock_guard guard(mutex_);
    peer_ = peer;
    secret_ = secret;
    peer_answers_ = false;
  }
  if (paired_) {
    driver_->replaced();
    return {};
  }
  mirror::PairRecord record;
  record.member = member();
  record.stage = Stage::kServing;
  record.term = record.seen = term;
  record.alone = true;  // until the mirror has been heard following
  if (auto written = write_pair_record(directory_, record, "a mirror was let in"); !written) return written;
  return start_driver(true);
}

void PairSeat::stop() {
  if (!driver_) return;
  // What a task is at is not waited for: the next start goes on with it.
  driver_->begin_stop();
  server_->end();
  agent_->begin_stop();
  driver_->stop();
}

PairSeat::Phase PairSeat::phase() const {
  const std::lock_guard guard(mutex_);
  return phase_;
}

std::uint64_t PairSeat::turn() const {
  const std::lock_guard guard(mutex_);
  return turn_;
}

bool PairSeat::follows() const {
  const std::lock_guard guard(mutex_);
  return record_.stage == Stage::kFollowing || record_.stage == Stage::kPromoting;
}

void PairSeat::on_phase(std::function<void()> told) {
  const std::lock_guard guard(mutex_);
  told_ = std::move(told);
}

void PairSeat::phase_begins(std::uint16_t port, bool production) {
  const std::lock_guard guard(mutex_);
  if (port != 0) port_ = port;
  production_runs_ = production;
}

void PairSeat::phase_ends() {
  {
    const std::lock_guard guard(mutex_);
    production_runs_ = false;
  }
  changed_.notify_all();
}

std::optional<Peer> PairSeat::peer() const {
  const std::lock_guard guard(mutex_);
  return peer_;
}

mirror::Member PairSeat::member() const {
  const std::lock_guard guard(mutex_);
  return record_.member == 0 ? 1 : record_.member;
}

mirror::Member PairSeat::mirror_member() const {
  const auto other = peer();
  return other ? other->member : member() == 1 ? 2 : 1;
}

bool PairSeat::is_control_secret(std::string_view shown) const {
  return !control_secret_.empty() && os::equal_secrets(control_secret_, shown);
}

std::string PairSeat::term_proof() const {
  if (!paired_) return {};
  const std::lock_guard guard(mutex_);
  return phase_ == Phase::kProduction ? prove_term(record_.term, secret_) : std::string();
}

void PairSeat::term_shown(std::string_view proof) {
  const auto claimed = claimed_term(proof);
  if (!paired_ || !claimed) return;
  {
    const std::lock_guard guard(mutex_);
    if (*claimed <= record_.seen || !proven_term(proof, secret_)) return;
  }
  log_->warning("pair.term_shown", {{"term", claimed->value}});
  driver_->see(*claimed);
}

/// What was production here must have let go of the databases before they become something else.
Status PairSeat::await_no_production() {
  std::unique_lock guard(mutex_);
  if (changed_.wait_for(guard, kProductionEnds, [this] { return !production_runs_; })) return {};
  return fail(ErrorCode::kTimedOut, phrase("wait for this node's work to end: it has not yet"));
}

Status PairSeat::carry_out(Task task, Term term, const mirror::PairRecord& record) {
  const auto other = peer();
  const bool needs_other = task == Task::kFollow || task == Task::kPromote || task == Task::kRejoin;
  if (!other && needs_other) return fail(ErrorCode::kInternal, phrase("pair: the other machine is not known"));
  switch (task) {
    case Task::kCheckpoint: return server_->checkpoint();
    case Task::kDrain: return server_->drain();
    case Task::kStop: return server_->stop();
    case Task::kOpen: return server_->open(term, other);
    case Task::kFollow:
      if (auto ended = await_no_production(); !ended) return ended;
      return server_->follow(record.member, *other);
    case Task::kPromote: return server_->promote(record.member, *other);
    case Task::kRejoin:
      if (auto ended = await_no_production(); !ended) return ended;
      return server_->rejoin(record, *other);
  }
  return fail(ErrorCode::kInternal, phrase("pair: unknown step"));
}

void PairSeat::close() {
  log_->warning("pair.closed");
  agent_->begin_stop();
}

void PairSeat::changed(const mirror::PairRecord& record, bool open) {
  std::function<void()> told;
  {
    const std::lock_guard guard(mutex_);
    record_ = record;
    const auto phase = open ? Phase::kProduction : Phase::kMirror;
    if (phase != phase_) told = told_, ++turn_;
    phase_ = phase;
  }
  changed_.notify_all();
  if (told) told();
}

PairMessage PairSeat::message(const mirror::PairStatus& status) const {
  PairMessage message;
  message.status = status;
  message.name = installation_->settings().name;
  message.version = kVersion;
  message.database_port = installation_->settings().postgres_port;
  message.timeline = server_->timeline();
  const std::lock_guard guard(mutex_);
  message.port = port_;
  message.witness = witness_;
  return message;
}

Status PairSeat::keep_peer() {
  const std::lock_guard writing(peer_file_);
  const auto now = peer();
  return now ? write_peer(directory_, *now) : Status{};
}

Status PairSeat::learn(const PairMessage& message, const std::string& address) {
  bool changed = false;
  {
    const std::lock_guard guard(mutex_);
    Peer learnt = peer_.value_or(Peer{});
    const auto member = message.status.member;
    if (member == 0 || member == record_.member || (learnt.member != 0 && member != learnt.member)) {
      return fail(ErrorCode::kBadMessage, phrase("hear the other machine: it says that it is machine {} of the pair", member));
    }
    peer_version_ = message.version;
    learnt.name = message.name;
    if (message.port != 0) learnt.port = message.port;
    if (message.database_port != 0) learnt.database_port = message.database_port;
    learnt.member = member;
    // It reaches us, we do not reach it: it has moved, or there is something between us that hides its address.
    if (!address.empty() && !peer_answers_ && address != learnt.host) learnt.also = address;
    changed = !peer_ || learnt != *peer_;
    peer_ = learnt;
  }
  if (!changed) return {};
  if (auto kept = keep_peer(); !kept) log_->error("pair.peer_not_kept", {{"error", kept.error().message}});
  return {};
}

Result<net::HttpResponse> PairSeat::speak(const Peer& other, const std::string& host, const std::string& body) const {
  net::Endpoint endpoint;
  endpoint.host = host;
  endpoint.port = other.port;
  endpoint.certificate_name = "localhost";  // every node's certificate has it; what counts is whose it is
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/api/mirror/pair";
  request.body = body;
  {
    const std::lock_guard guard(mutex_);
    endpoint.ca_pem = ca_pem_;
    request.headers["authorization"] = "Bearer " + secret_;
  }
  const std::lock_guard guard(speaking_);
  if (!line_.client || line_.host != host || line_.port != endpoint.port || line_.ca_pem != endpoint.ca_pem) {
    line_ = {host, endpoint.ca_pem, endpoint.port, std::make_unique<net::HttpClient>(endpoint)};
  }
  return line_.client->request(request, kPatience);
}

Result<mirror::PairStatus> PairSeat::send(const mirror::PairStatus& status) {
  const auto other = peer();
  if (!other || other->port == 0) return fail(ErrorCode::kNotReachable, phrase("speak to the other machine: it has not been heard yet"));
  const auto body = to_text(message(status));
  auto response = speak(*other, other->host, body);
  bool moved = false;
  if (!response && !other->also.empty()) {
    if (auto elsewhere = speak(*other, other->also, body)) response = std::move(elsewhere), moved = true;
  }
  const bool answers = response && response->status == 200;
  auto answer = answers ? parse_pair_message(response->body) : Result<PairMessage>();
  {
    const std::lock_guard guard(mutex_);
    peer_answers_ = answers && answer;
    if (moved && peer_answers_ && peer_ && peer_->host == other->host) std::swap(peer_->host, peer_->also);
  }
  if (!response) return pass(response);
  if (response->status == 401) return fail(ErrorCode::kUnauthenticated, phrase("speak to the other machine: it has another mirror"));
  if (!answers) return fail(ErrorCode::kUnavailable, phrase("speak to the other machine: HTTP status {}", response->status));
  if (!answer) return pass(answer);
  if (auto learnt = learn(*answer, {}); !learnt) return pass(learnt);
  if (answer->witness) learn_witness(*answer->witness);
  if (auto kept = moved ? keep_peer() : Status{}; !kept) log_->error("pair.peer_not_kept", {{"error", kept.error().message}});
  return answer->status;
}

Result<std::string> PairSeat::exchange(const std::string& secret, const std::string& address, const std::string& body) {
  bool known = false;
  {
    const std::lock_guard guard(mutex_);
    known = paired_ && os::equal_secrets(secret_, secret);
  }
  if (!known) {
    return fail(ErrorCode::kUnauthenticated, phrase("hear the other machine: it is not this one's (any more)"),
                phrase("`verbund mirror invite` on production and `verbund mirror join` into a new directory make it one."));
  }
  auto message = parse_pair_message(body);
  if (!message) return pass(message);
  if (auto learnt = learn(*message, address); !learnt) return pass(learnt);
  if (message->witness) learn_witness(*message->witness);
  auto answer = driver_->hear(message->status);
  if (!answer) return pass(answer);
  return to_text(this->message(*answer));
}

}  // namespace verbund::node
