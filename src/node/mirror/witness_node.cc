#include "node/mirror/witness_node.h"

#include <csignal>
#include <mutex>
#include <unistd.h>

#include "access/certificates.h"
#include "api/api.h"
#include "node/adapters/prometheus_counters.h"
#include "node/installation.h"
#include "node/mirror/code.h"
#include "node/mirror/report.h"
#include "node/mirror/witness_place.h"
#include "platform/net/server.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "platform/os/random.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr milliseconds kGrace{500};

std::string decimal(std::uint64_t number) { return std::to_string(number); }

std::unexpected<Error> damaged(const fs::path& path) { return fail(ErrorCode::kDamaged, phrase("read {}: it is not as it was written", path.string())); }

Result<std::optional<json::object>> read_object(const fs::path& path) {
  auto text = os::read_file(path, 64UL * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<json::object>();
  if (!text) return pass(text);
  auto object = object_of(*text);
  if (!object) return damaged(path);
  return std::optional(std::move(*object));
}

json::object to_json(const mirror::WitnessRecord& record) {
  json::array orders;
  for (std::size_t i = 0; i < record.boots.size(); ++i) orders.push_back(json::string(fmt::format("{}.{}", record.boots[i], record.sequence[i])));
  return {{"holder", decimal(record.holder)}, {"term", decimal(record.term.value)}, {"candidate", decimal(record.candidate)},
          {"lease_ms", decimal(static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(record.lease).count()))},
          {"granted", decimal(record.granted)}, {"given", record.given}, {"pair", record.pair}, {"heard", orders}};
}

Result<mirror::WitnessRecord> read_record(const fs::path& path) {
  mirror::WitnessRecord record;
  auto object = read_object(path);
  if (!object) return pass(object);
  if (!*object) return record;
  const auto holder = number_of(**object, "holder"), term = number_of(**object, "term"), candidate = number_of(**object, "candidate"),
             lease = number_of(**object, "lease_ms"), granted = number_of(**object, "granted");
  const auto pair = text_of(**object, "pair");
  const auto* given = (*object)->if_contains("given");
  const auto* heard = (*object)->if_contains("heard");
  const bool whole = holder && term && candidate && lease && granted && pair && given && given->is_bool() && heard && heard->is_array() &&
                     heard->as_array().size() == record.boots.size();
  if (!whole || *holder > 3 || *candidate > 3 || *granted > 3) return damaged(path);
  for (std::size_t i = 0; i < record.boots.size(); ++i) {
    const auto* text = heard->as_array()[i].if_string();
    const auto dot = text ? text->find('.') : json::string::npos;
    if (dot == json::string::npos) return damaged(path);
    const auto boots = parse_u64(std::string_view(*text).substr(0, dot)), sequence = parse_u64(std::string_view(*text).substr(dot + 1));
    if (!boots || !sequence) return damaged(path);
    record.boots[i] = *boots, record.sequence[i] = *sequence;
  }
  record.holder = *holder;
  record.term = Term{*term};
  record.candidate = *candidate;
  record.lease = milliseconds{static_cast<std::int64_t>(*lease)};
  record.granted = *granted;
  record.given = given->as_bool();
  record.pair = *pair;
  return record;
}

std::string bearer(const net::HttpRequest& request) {
  const auto header = request.headers.find("authorization");
  constexpr std::string_view kScheme = "Bearer ";
  return header != request.headers.end() && header->second.starts_with(kScheme) ? header->second.substr(kScheme.size()) : "";
}

class WitnessNode final : public net::HttpHandler, public net::PeerHandler {
 public:
  explicit WitnessNode(const WitnessOptions& options) : options_(options) {}

  Status run() {
    if (auto prepared = prepare(); !prepared) return prepared;
    net::Server server(loop_, net::Limits{}, *this, *this, *log_, counters_);
    if (auto used = server.use_tls({certificates_->chain_pem, certificates_->key_pem}); !used) return used;
    auto address = parse_host_port(options_.listen);
    if (!address) return pass(address);
    auto port = server.listen(address->first, address->second);
    if (!port) return pass(port);
    log_->info("witness.started", {{"port", *port}});
    if (options_.on_started) options_.on_started(*port);
    loop_.on_signals({SIGINT, SIGTERM}, [this](int) { loop_.stop(); });
    loop_.run();
    workers_.reset();
    bool closed = false;
    server.shut_down(kGrace, [this, &closed] {
      closed = true;
      loop_.stop();
    });
    while (!closed) loop_.run();
    return {};
  }

  void on_request(std::shared_ptr<net::HttpExchange> exchange) override {
    auto submitted = workers_->submit([this, exchange] { exchange->reply(answer(exchange->request())); });
    if (!submitted) exchange->reply(api::error_response(options_.language, submitted.error(), milliseconds{1000}));
  }
  bool accept_websocket(const net::HttpRequest&) override { return false; }
  void on_open(net::Peer& peer) override { peer.close(); }
  void on_message(net::Peer& peer, std::string_view) override { peer.close(); }
  void on_too_large(net::Peer& peer, std::size_t) override { peer.close(); }
  void on_drained(net::Peer&) override {}
  void on_close(net::Peer&, net::CloseReason) override {}

 private:
  Status prepare() {
    const auto& directory = options_.directory;
    for (const auto& [name, mode] : {std::pair{"", 0700u}, {"log", 0750u}, {"tls", 0700u}}) {
      if (auto made = os::make_directories(directory / name, mode); !made) return made;
    }
    auto lock = os::FileLock::acquire(directory / "node.lock", fmt::format("verbund witness, pid {}", getpid()));
    if (!lock) return pass(lock);
    lock_ = std::move(*lock);
    auto opened = os::open_log({.file = directory / "log" / "verbund.log"});
    if (!opened) return pass(opened);
    log_ = std::move(*opened);
    auto made = access::load_or_create(directory / "tls", {}, clock_);
    if (!made) return pass(made);
    certificates_ = std::move(*made);
    auto known = read_object(directory / "witness.json");
    if (!known) return pass(known);
    if (*known) secret_hash_ = text_of(**known, "secret_hash").value_or("");
    if (auto begun = begin(); !begun) return begun;
    workers_ = std::make_unique<os::WorkerPool>(1, 1'000);
    return {};
  }

  Status begin() {
    auto record = read_record(options_.directory / "lease.json");
    if (!record) return pass(record);
    witness_.emplace(*record, clock_.now());
    return {};
  }

  // On the worker.
  net::HttpResponse answer(const net::HttpRequest& request) {
    if (!request.encrypted) return refuse(make_error(ErrorCode::kPlaintextRefused, phrase("hear the pair: only over TLS")));
    if (request.method == "GET" && request.path == "/healthz") return api::json_response(R"({"healthy":true,"role":"witness"})");
    Result<std::string> outcome = fail(ErrorCode::kNotFound, phrase("{} {}: there is nothing", request.method, request.path));
    if (request.method == "POST" && request.path == "/api/witness/claim") outcome = claim(request.body);
    if (request.method == "POST" && request.path == "/api/witness/call") outcome = call(request);
    return outcome ? api::json_response(std::move(*outcome)) : refuse(outcome.error());
  }

  net::HttpResponse refuse(const Error& error) {
    log_->warning("witness.refused", {{"why", error.message}});
    return api::error_response(options_.language, error);
  }

  Result<std::string> claim(const std::string& body) {
    const auto wrong = [](Phrase why) { return fail(ErrorCode::kUnauthenticated, phrase("take this witness: {}", std::move(why)), phrase("`verbund witness invite` on the witness gives a new code.")); };
    auto object = object_of(body);
    if (!object) return pass(object);
    const auto given = text_of(*object, "code");
    if (!given) return std::unexpected(given.error());
    const auto code = parse_mirror_code(*given);
    if (!code) return std::unexpected(code.error());
    const auto path = options_.directory / "invitation.json";
    auto invitation = read_object(path);
    if (!invitation) return pass(invitation);
    const auto hash = *invitation ? text_of(**invitation, "code_hash").value_or("") : "";
    if (hash.empty() || !os::equal_secrets(hash, os::blake2b_hex(code->secret))) return wrong(phrase("the code is wrong, was used, or a newer one was given out"));
    const auto until = from_iso8601(text_of(**invitation, "until").value_or(""));
    if (!until || *until < clock_.wall()) return wrong(phrase("the code is too old"));
    const auto secret = os::random_hex(32);
    const auto secret_hash = os::blake2b_hex(secret);
    if (auto used = os::write_file_atomically(path, "{}\n", 0600); !used) return pass(used);
    if (auto kept = os::write_file_atomically(options_.directory / "witness.json", json::serialize(json::object{{"secret_hash", secret_hash}}) + "\n", 0600); !kept) return pass(kept);
    secret_hash_ = secret_hash;
    // What an earlier pair has left says nothing of this one.
    if (auto clean = os::write_file_atomically(options_.directory / "lease.json", json::serialize(to_json(mirror::WitnessRecord{})) + "\n", 0600); !clean) return pass(clean);
    if (auto begun = begin(); !begun) return pass(begun);
    log_->info("witness.taken", {});
    return json::serialize(json::object{{"secret", secret}});
  }

  Result<std::string> call(const net::HttpRequest& request) {
    if (secret_hash_.empty() || !os::equal_secrets(secret_hash_, os::blake2b_hex(bearer(request)))) {
      return fail(ErrorCode::kUnauthenticated, phrase("hear the pair: this witness is another pair's"), phrase("`verbund witness invite` there and `verbund mirror witness join` on production make it this one's."));
    }
    auto object = object_of(request.body);
    if (!object) return pass(object);
    const auto asked = witness_call_from(*object);
    if (!asked) return std::unexpected(asked.error());
    const auto outcome = witness_->handle(*asked, clock_.now());
    if (outcome.write) {
      const auto& record = *outcome.write;
      auto written = os::write_file_atomically(options_.directory / "lease.json", json::serialize(to_json(record)) + "\n", 0600);
      if (!written) {
        // What is on disk counts: as after a start.
        if (auto begun = begin(); !begun) log_->error("witness.record_unknown", {{"error", begun.error().message}});
        return pass(written);
      }
      log_->info("witness.record", {{"holder", record.holder}, {"term", record.term.value}, {"candidate", record.candidate}, {"granted", record.granted}});
    }
    return json::serialize(node::to_json(outcome.answer));
  }

  const WitnessOptions& options_;
  os::SystemClock clock_;
  net::EventLoop loop_;
  PrometheusCounters counters_;
  std::optional<os::FileLock> lock_;
  std::unique_ptr<Log> log_;
  std::optional<access::Certificates> certificates_;
  std::string secret_hash_;               // the worker's, as the next
  std::optional<mirror::Witness> witness_;
  std::unique_ptr<os::WorkerPool> workers_;
};

}  // namespace

Status run_witness(const WitnessOptions& options) { return WitnessNode(options).run(); }

Result<std::string> invite_to_witness(const fs::path& directory, std::chrono::minutes valid) {
  const os::SystemClock clock;
  for (const auto& [name, mode] : {std::pair{"", 0700u}, {"tls", 0700u}}) {
    if (auto made = os::make_directories(directory / name, mode); !made) return pass(made);
  }
  auto certificates = access::load_or_create(directory / "tls", {}, clock);
  if (!certificates) return pass(certificates);
  const auto digest = access::fingerprint(certificates->ca_pem);
  if (!digest) return std::unexpected(digest.error());
  const MirrorCode code{os::random_hex(kCodeSecretBytes), digest->substr(0, kCodeFingerprintBytes)};
  const json::object invitation{{"code_hash", os::blake2b_hex(code.secret)}, {"until", to_iso8601(clock.wall() + valid)}};
  if (auto written = os::write_file_atomically(directory / "invitation.json", json::serialize(invitation) + "\n", 0600); !written) return pass(written);
  return to_text(code);
}

}  // namespace verbund::node
