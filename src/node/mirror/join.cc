#include "node/mirror/join.h"

#include <unistd.h>

#include <thread>

#include "base/messages.h"
#include "mirror/agent.h"
#include "node/command_server.h"
#include "node/mirror/code.h"
#include "node/mirror/lay_out.h"
#include "node/mirror/report.h"
#include "node/mirror/role.h"
#include "node/provision.h"
#include "platform/net/client.h"
#include "platform/os/file.h"
#include "platform/os/process.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr seconds kPatience{60};
constexpr seconds kFollowsWithin{60};
constexpr seconds kPostgresStart{300}, kPostgresStop{60};
constexpr milliseconds kLookEvery{100};
/// Room for what is written while it is copied; as OwnedServer wants it.
constexpr std::uint64_t kSpareBytes = 512ULL << 20U;

std::string own_name() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "verbund-mirror";
  name.resize(name.find('\0'));
  return name;
}

/// Of the programs that this machine would run.
Result<std::uint64_t> own_postgres(const Clock& clock) {
  auto binaries = postgres::OwnedServer::find_binaries();
  if (!binaries) return pass(binaries);
  os::Command command;
  command.argv = {(*binaries / "postgres").string(), "--version"};  // "postgres (PostgreSQL) 15.18 (Debian …)"
  const auto outcome = os::run(command, Deadline::in(clock, seconds{30}), clock);
  if (!outcome) return std::unexpected(outcome.error());
  const auto at = outcome->output.find(") ");
  const auto text = at == std::string::npos ? std::string_view() : std::string_view(outcome->output).substr(at + 2);
  const auto number = parse_u64(text.substr(0, text.find_first_not_of("0123456789")));
  if (!number) return fail(ErrorCode::kProgramFailed, phrase("read the version of {}: {}", command.argv.front(), verbatim(outcome->output)));
  return number;
}

class Join {
 public:
  Join(const JoinRequest& request, const Clock& clock, Log& log) : request_(request), clock_(clock), log_(log) {}

  Result<Joined> run() {
    const auto& directory = request_.directory;
    std::error_code ignored;
    joined_.went_on = fs::exists(admission_file(directory), ignored);
    if (auto empty = refuse_full(); !empty) return pass(empty);
    if (!joined_.went_on) {
      // Before the directory is made: a code with a slip leaves nothing behind.
      if (auto looked = look(); !looked) return pass(looked);
    }
    if (auto made = os::make_directories(directory, 0755); !made) return pass(made);
    auto lock = os::FileLock::acquire(directory / "node.lock", fmt::format("verbund mirror join, pid {}", getpid()));
    if (!lock) return pass(lock, phrase("join as mirror in {}", directory.string()));
    if (!joined_.went_on) {
      if (auto admitted = ask_in(); !admitted) return pass(admitted);
    }
    for (const auto step : {&Join::lay_out, &Join::copy, &Join::follow}) {
      if (auto done = (this->*step)(); !done) return pass(done);
    }
    if (!fs::remove(admission_file(directory), ignored) && ignored) {
      return fail(ErrorCode::kIo, phrase("remove {}: {}", admission_file(directory).string(), ignored.message()));
    }
    return joined_;
  }

 private:
  /// What is no directory of ours stays as it is.
  Status refuse_full() const {
    if (joined_.went_on) return {};
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(request_.directory, error)) {
      if (entry.path().filename() == "node.lock") continue;
      return fail(ErrorCode::kAlreadyExists, phrase("join as mirror in {}: the directory is not empty", request_.directory.string()),
                  phrase("Name a directory that is empty or does not exist yet."));
    }
    return {};
  }

  Result<json::object> post(const std::string& path, json::object body) const {
    const auto code = parse_mirror_code(request_.code);
    if (!code) return std::unexpected(code.error());
    net::Endpoint production;
    production.host = request_.host;
    production.port = request_.port;
    production.ca_fingerprint = code->fingerprint;
    production.certificate_name = "localhost";  // every node's certificate has it; what counts is whose it is
    net::HttpRequest request;
    request.method = "POST";
    request.path = path;
    body["code"] = request_.code;
    request.body = json::serialize(body);
    auto response = net::http_request(production, request, kPatience);
    if (!response && response.error().code == ErrorCode::kUntrusted) {
      response.error().advise(phrase("The code is of another installation than the one at {}:{}.", request_.host, request_.port));
    }
    if (!response) return pass(response);
    auto object = object_of(response->body);
    if (!object) return pass(object);
    if (response->status == 200) return object;
    const auto* member = object->if_contains("error");
    const auto error = member && member->is_object() ? member->as_object() : json::object();
    return fail(code_from_wire(text_of(error, "code").value_or("internal")), text_of(error, "message").value_or(""), text_of(error, "hint").value_or(""));
  }

  /// What would keep this machine from being the mirror, as long as the code is still good.
  Status look() {
    request_.on_step(phrase("ask {}:{}", request_.host, request_.port));
    auto answer = post("/api/mirror/look", {});
    if (!answer) return pass(answer);
    const auto postgres = number_of(*answer, "postgres");
    const auto bytes = number_of(*answer, "bytes");
    const auto name = text_of(*answer, "name");
    if (!postgres) return std::unexpected(postgres.error());
    if (!bytes) return std::unexpected(bytes.error());
    joined_.production = name.value_or("");
    const auto own = own_postgres(clock_);
    if (!own) return std::unexpected(own.error());
    if (*own != *postgres) {
      return fail(ErrorCode::kUnsupported, phrase("join as mirror: production has PostgreSQL {}, this machine {}", *postgres, *own),
                  phrase("Install PostgreSQL {} here: a mirror has the same major version.", *postgres));
    }
    return enough_room(*bytes);
  }

  Status enough_room(std::uint64_t bytes) const {
    auto parent = request_.directory;
    std::error_code ignored;
    while (!fs::exists(parent, ignored) && parent.has_parent_path() && parent != parent.parent_path()) parent = parent.parent_path();
    const auto room = os::free_bytes(parent);
    if (!room) return std::unexpected(room.error());
    if (*room >= bytes + kSpareBytes) return {};
    return fail(ErrorCode::kDiskFull, phrase("copy PostgreSQL into {}: {} MB are needed, {} MB are free", request_.directory.string(), (bytes + kSpareBytes) >> 20U, *room >> 20U));
  }

  Status ask_in() {
    const auto name = request_.name.empty() ? own_name() : request_.name;
    auto answer = post("/api/mirror/join", {{"name", name}});
    if (!answer) return pass(answer);
    (*answer)["name"] = name;
    (*answer)["production_name"] = joined_.production;
    (*answer)["host"] = request_.host;
    (*answer)["port"] = std::to_string(request_.port);
    (*answer)["listen"] = request_.listen.value_or("");
    (*answer)["own_database_port"] = request_.database_port ? std::to_string(*request_.database_port) : "";
    if (auto made = os::make_directories(admission_file(request_.directory).parent_path(), 0700); !made) return made;
    // Whole and on disk before anything follows from it: the code is used up.
    return os::write_file_atomically(admission_file(request_.directory), json::serialize(*answer) + "\n", 0600);
  }

  Status lay_out() {
    auto text = os::read_file(admission_file(request_.directory), 4 * 1024 * 1024);
    if (!text) return pass(text);
    auto admission = object_of(*text);
    if (!admission) return pass(admission);
    joined_.production = text_of(*admission, "production_name").value_or("");
    joined_.name = text_of(*admission, "name").value_or("");
    const auto term = number_of(*admission, "term");
    if (!term) return std::unexpected(term.error());
    term_ = Term{*term};
    const auto member = number_of(*admission, "member");
    if (!member) return std::unexpected(member.error());
    member_ = *member;
    if (auto laid = lay_out_mirror(request_.directory, *admission); !laid) return laid;
    auto installation = Installation::load(request_.directory);
    if (!installation) return pass(installation);
    installation_.emplace(std::move(*installation));
    return {};
  }

  Result<postgres::OwnedServerSettings> server_settings() const {
    auto peer = read_peer(request_.directory);
    if (!peer) return pass(peer);
    return mirror_server_settings(*installation_, member_, peer->value_or(Peer{}));
  }

  Status copy() {
    auto settings = server_settings();
    if (!settings) return pass(settings);
    postgres::OwnedServer server(std::move(*settings), log_, clock_);
    if (server.initialised()) return {};
    const auto began = clock_.now();
    std::optional<TimePoint> received;
    auto copied = server.copy_from([&](postgres::OwnedServer::CopyStep step, std::uint64_t done, std::uint64_t total) {
      if (step == postgres::OwnedServer::CopyStep::kVerify && !received) received = clock_.now();
      return request_.on_copy(step, done, total);
    });
    const auto in_ms = [](nanoseconds span) { return std::chrono::duration_cast<milliseconds>(span); };
    joined_.copied = in_ms(received.value_or(clock_.now()) - began);
    if (received) joined_.verified = in_ms(clock_.now() - *received);
    return copied;
  }

  /// Before the directory counts as a mirror: does it follow.
  Status follow() {
    request_.on_step(phrase("follow"));
    auto record = pair_record(request_.directory);
    if (!record) return pass(record);
    if (!*record) {
      mirror::PairRecord joined;
      joined.member = member_;
      joined.stage = mirror::Stage::kFollowing;
      joined.term = joined.seen = term_;
      if (auto written = write_pair_record(request_.directory, joined, "joined"); !written) return written;
    }
    auto settings = server_settings();
    if (!settings) return pass(settings);
    auto agent = mirror::Agent::own(request_.directory, std::move(*settings), log_, clock_);
    if (!agent) return pass(agent);
    if (auto started = (*agent)->start(Deadline::in(clock_, kPostgresStart)); !started) return pass(started, "start PostgreSQL");
    const auto follows = await_stream();
    auto stopped = (*agent)->stop(Deadline::in(clock_, kPostgresStop));
    return follows ? stopped : follows;
  }

  Status await_stream() const {
    auto settings = CommandServer::connection(*installation_, "postgres");
    if (!settings) return pass(settings);
    auto connection = postgres::Connection::open(*settings);
    if (!connection) return pass(connection);
    const auto until = Deadline::in(clock_, kFollowsWithin);
    while (true) {
      auto received = mirror::read_received(*connection);
      if (!received) return pass(received);
      if (received->streaming) return {};
      if (until.passed(clock_)) {
        return fail(ErrorCode::kTimedOut, phrase("follow {}:{}: PostgreSQL has not reached it in {} s", request_.host, read_peer(request_.directory).value_or(std::nullopt).value_or(Peer{}).database_port, kFollowsWithin.count()),
                    phrase("Its log in {} says why. `verbund mirror join` with the same directory goes on from here.", (request_.directory / "postgres" / "log").string()));
      }
      std::this_thread::sleep_for(kLookEvery);
    }
  }

  const JoinRequest& request_;
  const Clock& clock_;
  Log& log_;
  Joined joined_;
  Term term_;
  mirror::Member member_ = 0;
  std::optional<Installation> installation_;
};

}  // namespace

Result<Joined> join_as_mirror(const JoinRequest& request, const Clock& clock, Log& log) { return Join(request, clock, log).run(); }

}  // namespace verbund::node
