#pragma once
/// For the tests of this folder: a server with an echoing handler on a loop of its own thread, and a blocking socket.
#include <condition_variable>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "platform/net/server.h"

namespace verbund::net {

class NoLog final : public Log {
 public:
  void write(LogLevel, std::string_view event, std::initializer_list<LogField>) override {
    const std::lock_guard hold(mutex);
    events.emplace_back(event);
  }
  bool has(std::string_view event) {
    const std::lock_guard hold(mutex);
    return std::ranges::count(events, event) > 0;
  }
  std::mutex mutex;
  std::vector<std::string> events;
};

class NoCounters final : public Counters {
 public:
  Counter& counter(std::string_view, std::string_view) override { return counter_; }
  Gauge& gauge(std::string_view, std::string_view) override { return gauge_; }
  Histogram& histogram(std::string_view, std::string_view) override { return histogram_; }

 private:
  struct : Counter { void add(double) override {} } counter_;
  struct : Gauge { void set(double) override {} } gauge_;
  struct : Histogram { void observe(double) override {} } histogram_;
};

/// Every wait of a test ends here at the latest.
inline constexpr seconds kTestPatience{20};

/// A value that another thread changes and the test waits for.
template <typename T>
class Watched {
 public:
  void set(T value) { change([&](T& held) { held = std::move(value); }); }
  void change(const std::function<void(T&)>& edit) {
    const std::lock_guard hold(mutex_);
    edit(value_);
    changed_.notify_all();
  }
  [[nodiscard]] T get() {
    const std::lock_guard hold(mutex_);
    return value_;
  }
  bool wait(const std::function<bool(const T&)>& until) {
    std::unique_lock hold(mutex_);
    return changed_.wait_for(hold, kTestPatience, [&] { return until(value_); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  T value_{};
};

/// A blocking client in bytes.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port, const std::string& address = "127.0.0.1", int receive_buffer = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return fd_; }
  void send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void finish_sending() const { ::shutdown(fd_, SHUT_WR); }
  /// Up to and including `end`; what there is when the connection or the patience ends.
  std::string read_until(std::string_view end) {
    while (received_.find(end) == std::string::npos && receive()) {
    }
    const auto at = received_.find(end);
    return take(at == std::string::npos ? received_.size() : at + end.size());
  }
  std::string read_bytes(std::size_t count) {
    while (received_.size() < count && receive()) {
    }
    return take(std::min(count, received_.size()));
  }
  /// All until the server closes; `ended` tells whether it did.
  std::string read_all() {
    while (receive()) {
    }
    return take(received_.size());
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  bool receive() {
    pollfd wait{fd_, POLLIN, 0};
    const auto patience = static_cast<int>(milliseconds(kTestPatience).count());
    if (::poll(&wait, 1, patience) != 1) return false;
    char bytes[65536];
    const auto n = ::recv(fd_, bytes, sizeof bytes, 0);
    if (n > 0) received_.append(bytes, static_cast<std::size_t>(n));
    if (n <= 0) ended_ = true;
    return n > 0;
  }
  std::string take(std::size_t count) {
    std::string taken = received_.substr(0, count);
    received_.erase(0, count);
    return taken;
  }

  int fd_;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
};

/// What happened at the server, as text: "open", "message …", "too_large 70000", "drained", "close peer".
class RecordingHandler : public PeerHandler, public HttpHandler {
 public:
  void on_open(Peer& peer) override {
    last_id = peer.id();
    note(fmt::format("open {}", peer.kind() == PeerKind::kLine ? "line" : "websocket"));
    if (opened) opened(peer);
  }
  void on_message(Peer& peer, std::string_view message) override {
    if (message_hook) return message_hook(peer, message);
    peer.send("echo " + std::string(message));
  }
  void on_too_large(Peer& peer, std::size_t bytes) override {
    note(fmt::format("too_large {}", bytes));
    peer.send("too_large");
  }
  void on_drained(Peer&) override { note("drained"); }
  void on_close(Peer&, CloseReason reason) override {
    static constexpr std::array kNames{"peer", "local", "too_slow", "too_large", "timeout", "error"};
    note(fmt::format("close {}", kNames.at(static_cast<std::size_t>(reason))));
  }
  void on_request(std::shared_ptr<HttpExchange> exchange) override {
    if (request_hook) return request_hook(std::move(exchange));
    const auto& request = exchange->request();
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = request.method + " " + request.path + " " + request.body;
    for (const auto& [name, value] : request.query) response.body += " " + name + "=" + value;
    exchange->reply(std::move(response));
  }
  bool accept_websocket(const HttpRequest& request) override { return request.path == "/ws"; }

  void note(std::string event) {
    events.change([&](auto& all) { all.push_back(std::move(event)); });
  }
  bool wait_for(std::string_view event) {
    return events.wait([&](const auto& all) { return std::ranges::count(all, event) > 0; });
  }

  Watched<std::vector<std::string>> events;
  std::atomic<std::uint64_t> last_id = 0;
  std::function<void(Peer&)> opened;
  std::function<void(Peer&, std::string_view)> message_hook;
  std::function<void(std::shared_ptr<HttpExchange>)> request_hook;
};

class ServerTest : public testing::Test {
 protected:
  ~ServerTest() override { stop(); }
  /// Everything that touches the server happens on the loop, or before it runs.
  void start() {
    server = std::make_unique<Server>(loop, limits, handler, handler, log, counters);
    if (tls) {
      ASSERT_TRUE(server->use_tls(*tls));
    }
    const auto listening = server->listen(host, 0);
    ASSERT_TRUE(listening) << listening.error().message;
    port = *listening;
    thread = std::thread([this] { loop.run(); });
  }
  void on_loop(const std::function<void()>& task) {
    Watched<bool> done;
    loop.post([&] {
      task();
      done.set(true);
    });
    ASSERT_TRUE(done.wait([](bool is) { return is; }));
  }
  void stop() {
    if (!thread.joinable()) return;
    on_loop([this] { server.reset(); });
    loop.stop();
    thread.join();
  }

  EventLoop loop;
  Limits limits;
  NoLog log;
  NoCounters counters;
  RecordingHandler handler;
  std::optional<TlsIdentity> tls;
  std::string host = "127.0.0.1";
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;
  std::thread thread;
};

}  // namespace verbund::net
