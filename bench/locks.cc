/// Lock and release, as many pairs as go, from one epoll loop: over our line JSON, our WebSocket, or Redis.
///
///   verbund_bench_locks --wire line|websocket|redis --port P --connections N --seconds S [--token-file client.toml]
///
/// Each connection has a key of its own and always one request under way. Requests are built before the clock runs;
/// of a reply only its first bytes are looked at. The three differ in bytes, in nothing else.
#include "options.h"
#include "outcome.h"
#include "socket.h"

namespace verbund::bench {
namespace {

constexpr std::chrono::milliseconds kWarmUp{500};
constexpr const char* kCompareAndDelete =
    "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

/// One connection's two requests, and where it stands.
struct Client {
  std::string lock, unlock;
  Clock::time_point sent;
  bool locked = false;
};

struct Load {
  std::vector<Socket> sockets;
  std::vector<Client> clients;
};

/// Redis names a script by its SHA-1.
std::string load_script(const Target& target) {
  Socket socket(target);
  socket.send(resp({"SCRIPT", "LOAD", kCompareAndDelete}));
  const auto reply = socket.wait_message();  // $40 CR LF sha CR LF
  if (!reply.starts_with("$40\r\n")) give_up("SCRIPT LOAD", reply);
  socket.send(resp({"FLUSHALL"}));  // locks that the last run left
  socket.wait_message();
  return reply.substr(5, 40);
}

Client ours(Wire wire, std::size_t number) {
  const auto keys = fmt::format(R"(["bench/{}"])", number);
  return {framed(wire, fmt::format(R"({{"op":"lock","keys":{}}})", keys)),
          framed(wire, fmt::format(R"({{"op":"unlock","keys":{}}})", keys)), {}};
}

Client of_redis(const std::string& script, std::size_t number) {
  const auto key = fmt::format("bench/{}", number);
  const auto token = fmt::format("{}", 281479271677953 + number);
  return {resp({"SET", key, token, "NX", "PX", "30000"}), resp({"EVALSHA", script, "1", key, token}), {}};
}

Load prepare(const Target& target, std::size_t connections) {
  Load load{enter(target, connections, {}), {}};
  const auto script = target.wire == Wire::kRedis ? load_script(target) : std::string();
  for (std::size_t i = 0; i < connections; ++i) {
    load.clients.push_back(target.wire == Wire::kRedis ? of_redis(script, i) : ours(target.wire, i));
  }
  return load;
}

bool is_good(Wire wire, std::string_view reply, bool was_lock) {
  if (wire == Wire::kRedis) return reply.starts_with(was_lock ? "+OK" : ":1");
  return reply.substr(0, 32).find("\"ok\":true") != std::string_view::npos;
}

void advance(Socket& socket, Client& client, Clock::time_point now) {
  socket.send(client.locked ? client.unlock : client.lock);
  client.sent = now;
}

/// Until `end`; pairs whose release was answered after `begin` count.
std::uint64_t run(const Target& target, Load& load, Clock::time_point begin, Clock::time_point end, Samples& grants) {
  Epoll epoll;
  std::uint64_t pairs = 0;
  for (std::size_t i = 0; i < load.clients.size(); ++i) {
    epoll.add(load.sockets[i].fd(), static_cast<std::uint32_t>(i));
    advance(load.sockets[i], load.clients[i], Clock::now());
  }
  auto now = Clock::now();
  while (now < end) {
    const auto ready = epoll.wait(kPatience);
    if (ready.empty()) give_up("lock", "no answer");
    for (const auto& event : ready) {
      auto& socket = load.sockets[event.data.u32];
      auto& client = load.clients[event.data.u32];
      socket.receive([&](std::string_view reply) {
        if (is_ours(target.wire) && reply.starts_with(R"({"event")")) return;
        if (!is_good(target.wire, reply, !client.locked)) give_up(client.locked ? "unlock" : "lock", reply);
        now = Clock::now();
        const bool counts = now >= begin && now < end;
        if (counts && !client.locked) grants.add(now - client.sent);
        if (counts && client.locked) ++pairs;
        client.locked = !client.locked;
        advance(socket, client, now);
      });
    }
  }
  return pairs;
}

/// The requests still under way, so that the next word is the goodbye's.
void settle(Load& load) {
  for (auto& socket : load.sockets) socket.wait_message();
}

int measure(const Options& options) {
  const auto wire = wire_from(options.text("wire"));
  if (!wire || *wire == Wire::kNats) give_up("arguments", "--wire is line, websocket or redis");
  Target target{*wire, static_cast<std::uint16_t>(options.number("port", 0)), {},
                R"({"types":[],"locks":false,"presence":false})"};
  if (is_ours(target.wire)) target.token = token_of(options.text("token-file"));
  const auto connections = static_cast<std::size_t>(options.number("connections", 1));
  raise_descriptor_limit(connections + 100);
  auto load = prepare(target, connections);
  const auto begin = Clock::now() + kWarmUp;
  const std::chrono::seconds span(options.number("seconds", 3));
  Samples grants;
  const auto pairs = run(target, load, begin, begin + span, grants);
  settle(load);
  leave(target, load.sockets);
  Outcome outcome;
  outcome.add("pairs_per_s", static_cast<double>(pairs) / static_cast<double>(span.count()));
  outcome.add("grant", grants);
  outcome.print();
  return 0;
}

}  // namespace
}  // namespace verbund::bench

int main(int argc, char** argv) { return verbund::bench::measure(verbund::bench::Options(argc, argv)); }
