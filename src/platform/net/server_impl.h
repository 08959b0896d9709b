#pragma once
/// Private to platform/net: the server with its listeners, connections and the lists that its rounds work off.
#include <unordered_map>

#include "platform/net/connection.h"
#include "platform/net/event_loop_impl.h"
#include "platform/net/server.h"

namespace verbund::net {

/// One listening socket.
class Listener final : public Pollable {
 public:
  Listener(Server::Impl& server, int fd, std::uint16_t port) : server_(server), fd_(fd), port_(port) {}
  ~Listener();
  [[nodiscard]] bool start();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  void on_ready(std::uint32_t events) override;

 private:
  void back_off(int error);

  Server::Impl& server_;
  int fd_;
  std::uint16_t port_;
  Timer resume_;
};

/// How a worker thread's answer finds its way: `server` is null once it has gone. Touched on the loop alone.
struct ServerLink {
  EventLoop& loop;
  Server::Impl* server;
};

struct Server::Impl {
  Impl(EventLoop& event_loop, Limits bounds, PeerHandler& peer_handler, HttpHandler& http_handler, Log& to_log,
       Counters& to_count);
  ~Impl();

  void accepted(int fd, PeerAddress address, std::uint16_t port);
  void refuse(int fd, std::string_view why);
  [[nodiscard]] Connection* connection(std::uint64_t id);
  /// Takes it out of `connections`; it is destroyed at the end of the round.
  void bury(Connection& connection);
  void schedule_flush();
  void flush();
  void check_deadlines();
  void finish_shut_down();
  [[nodiscard]] std::span<char> read_buffer() { return loop.impl().read_buffer; }
  [[nodiscard]] std::span<char> write_buffer() { return loop.impl().write_buffer; }
  [[nodiscard]] Poller& poller() { return loop.impl().poller; }

  EventLoop& loop;
  const Limits limits;
  PeerHandler& peers;
  HttpHandler& http;
  Log& log;
  Counter& accepted_total;
  Counter& refused_total;
  Counter& too_slow_total;
  Counter& timed_out_total;
  Gauge& connections_now;
  std::optional<TlsContext> tls;
  bool remote_plaintext = false;
  bool shutting_down = false;
  std::function<void()> on_shut_down;
  Timer grace;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::uint64_t next_id = 1;
  std::size_t untrusted = 0;
  std::size_t http_body_bytes = 0;  ///< of requests that are not whole yet
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections;
  std::vector<std::unique_ptr<Connection>> graveyard;
  DirtyList dirty;    ///< has something to write or to decide since this round
  DirtyList backlog;  ///< since an earlier one, whose slice was over
  TimedList timed;
  bool flush_scheduled = false;
  std::size_t refused_since_logged = 0;
  std::size_t sweeps_since_refused = 0;
  Timer sweep;
  std::shared_ptr<ServerLink> link;  // shared with the exchanges that handlers hold
};

}  // namespace verbund::net
