// What one loop thread serves, measured over loopback against a lean generator (one epoll, one request under way per
// connection), and what an idle peer costs. Server and generator share the machine: on two cores each has one.
#include <ctime>
#include <fstream>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/net/frame_reader.h"
#include "platform/net/server.h"

namespace verbund::net {
namespace {

constexpr std::string_view kRequest = R"({"op":"lock","id":4711,"keys":["patient/4711"],"request":"r-4711"})";
constexpr std::string_view kReply =
    R"({"re":4711,"ok":true,"token":"281479271677953","keys":["patient/4711"],"lease_ms":30000})";
constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

class Silent final : public Log, public Counters {
 public:
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
  Counter& counter(std::string_view, std::string_view) override { return counter_; }
  Gauge& gauge(std::string_view, std::string_view) override { return gauge_; }
  Histogram& histogram(std::string_view, std::string_view) override { return histogram_; }

 private:
  struct : Counter { void add(double) override {} } counter_;
  struct : Gauge { void set(double) override {} } gauge_;
  struct : Histogram { void observe(double) override {} } histogram_;
};

/// Replies to each message with a string of its own, as a node does; keeps the ids for fan-out.
class Replying final : public PeerHandler, public HttpHandler {
 public:
  void on_open(Peer& peer) override {
    peer.trust();
    ids.push_back(peer.id());
    ++open;
  }
  void on_message(Peer& peer, std::string_view) override { peer.send(std::string(kReply)); }
  void on_too_large(Peer&, std::size_t) override {}
  void on_drained(Peer&) override {}
  void on_close(Peer&, CloseReason) override { --open; }
  void on_request(std::shared_ptr<HttpExchange>) override {}
  bool accept_websocket(const HttpRequest&) override { return true; }
  std::vector<std::uint64_t> ids;
  std::atomic<std::size_t> open = 0;
};

class BenchServer {
 public:
  BenchServer() {
    Limits limits;
    limits.max_untrusted_connections = limits.max_connections;
    server = std::make_unique<Server>(loop, limits, handler, handler, silent_, silent_);
    port = server->listen("127.0.0.1", 0).value();
    thread_ = std::thread([this] { loop.run(); });
    ::pthread_getcpuclockid(thread_.native_handle(), &cpu_clock_);
  }
  ~BenchServer() {
    loop.post([this] {
      server.reset();
      loop.stop();
    });
    thread_.join();
  }
  [[nodiscard]] double cpu_seconds() const {
    timespec used{};
    ::clock_gettime(cpu_clock_, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
  }
  EventLoop loop;
  Replying handler;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;

 private:
  Silent silent_;
  std::thread thread_;
  clockid_t cpu_clock_{};
};

/// Clients in bytes: only descriptors, so that they do not show in the memory figures.
class Generator {
 public:
  Generator(std::uint16_t port, std::size_t count, PeerKind kind) : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    request_ = std::string(kRequest) + "\n";
    reply_bytes_ = kReply.size() + 1;
    if (kind == PeerKind::kWebSocket) {
      request_.clear();
      append_masked_frame(request_, Opcode::kText, kRequest, 0x11223344);
      reply_bytes_ = kReply.size() + frame_header_bytes(kReply.size());
    }
    while (fds_.size() < count) add(port, kind);
  }
  ~Generator() {
    for (const int fd : fds_) ::close(fd);
    ::close(epoll_);
  }

  /// `requests` round trips, spread over all connections; returns how many were made.
  std::size_t run(std::size_t requests) {
    for (const int fd : fds_) send_request(fd);
    std::size_t sent = fds_.size();
    std::size_t done = 0;
    while (done < sent) {
      std::array<epoll_event, 256> ready{};
      const int n = ::epoll_wait(epoll_, ready.data(), ready.size(), -1);
      for (int i = 0; i < n; ++i) {
        const int fd = ready[static_cast<std::size_t>(i)].data.fd;
        if (take(fd) < reply_bytes_) continue;
        ++done;
        if (sent < requests) {
          send_request(fd);
          ++sent;
        }
      }
    }
    return done;
  }
  /// Until each connection has got `bytes`.
  void receive(std::size_t bytes) {
    std::size_t left = fds_.size() * bytes;
    while (left > 0) {
      std::array<epoll_event, 256> ready{};
      const int n = ::epoll_wait(epoll_, ready.data(), ready.size(), -1);
      for (int i = 0; i < n; ++i) left -= take(ready[static_cast<std::size_t>(i)].data.fd);
    }
  }

 private:
  void add(std::uint16_t port, PeerKind kind) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) std::abort();
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::string_view hello = kind == PeerKind::kLine ? "\n" : kUpgrade;
    if (::send(fd, hello.data(), hello.size(), 0) < 0) std::abort();
    if (kind == PeerKind::kWebSocket) take(fd);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    fds_.push_back(fd);
  }
  void send_request(int fd) const {
    if (::send(fd, request_.data(), request_.size(), 0) < 0) std::abort();
  }
  static std::size_t take(int fd) {
    char bytes[4096];
    const auto n = ::recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0) std::abort();
    return static_cast<std::size_t>(n);
  }

  int epoll_;
  std::vector<int> fds_;
  std::string request_;
  std::size_t reply_bytes_;
};

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double size = 0;
  double resident = 0;
  in >> size >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

void request_reply(benchmark::State& state, PeerKind kind) {
  BenchServer server;
  Generator generator(server.port, static_cast<std::size_t>(state.range(0)), kind);
  generator.run(10'000);
  const double cpu = server.cpu_seconds();
  std::size_t done = 0;
  for (auto _ : state) done += generator.run(100'000);
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
  state.counters["server_cpu_us"] = (server.cpu_seconds() - cpu) / static_cast<double>(done) * 1e6;
}
BENCHMARK_CAPTURE(request_reply, line, PeerKind::kLine)->Arg(1)->Arg(50)->Arg(500)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(request_reply, websocket, PeerKind::kWebSocket)
    ->Arg(1)->Arg(50)->Arg(500)->UseRealTime()->Unit(benchmark::kMillisecond);

void fan_out(benchmark::State& state, PeerKind kind) {
  const auto count = static_cast<std::size_t>(state.range(0));
  BenchServer server;
  Generator generator(server.port, count, kind);
  while (server.handler.open < count) std::this_thread::yield();
  const auto message = std::make_shared<const std::string>(300, 'f');
  const auto framed = message->size() + (kind == PeerKind::kLine ? 1 : frame_header_bytes(message->size()));
  const double cpu = server.cpu_seconds();
  for (auto _ : state) {
    server.loop.post([&] {
      for (const auto id : server.handler.ids) server.server->find(id)->send(message);
    });
    generator.receive(framed);
  }
  const auto sends = static_cast<double>(state.iterations()) * static_cast<double>(count);
  state.SetItemsProcessed(static_cast<std::int64_t>(sends));
  state.counters["server_cpu_us"] = (server.cpu_seconds() - cpu) / sends * 1e6;
}
BENCHMARK_CAPTURE(fan_out, line, PeerKind::kLine)->Arg(9000)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(fan_out, websocket, PeerKind::kWebSocket)->Arg(9000)->UseRealTime()->Unit(benchmark::kMillisecond);

/// Resident memory per peer after each has made ten requests and is idle again.
void idle_peer_memory(benchmark::State& state, PeerKind kind) {
  const auto count = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    BenchServer server;
    { Generator warm(server.port, 10, kind); }
    const double before = resident_bytes();
    Generator generator(server.port, count, kind);
    generator.run(count * 10);
    state.counters["bytes_per_peer"] = (resident_bytes() - before) / static_cast<double>(count);
  }
}
BENCHMARK_CAPTURE(idle_peer_memory, line, PeerKind::kLine)->Arg(9000)->Iterations(1)->UseRealTime();
BENCHMARK_CAPTURE(idle_peer_memory, websocket, PeerKind::kWebSocket)->Arg(9000)->Iterations(1)->UseRealTime();

}  // namespace
}  // namespace verbund::net
