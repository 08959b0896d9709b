#pragma once
/// One accepted connection from its first byte to its end. Private to platform/net.
///
/// Callbacks to the handlers come only out of on_ready, flush and check_deadlines, never out of the calls of Peer: those
/// only queue and mark, so that a handler may send to and close any peer while it loops over its own.
#include <chrono>

#include <boost/intrusive/list.hpp>

#include "platform/net/http_codec.h"
#include "platform/net/line_reader.h"
#include "platform/net/outbox.h"
#include "platform/net/poller.h"
#include "platform/net/server.h"

namespace verbund::net {

using SteadyTime = std::chrono::steady_clock::time_point;

namespace intrusive = boost::intrusive;
using AutoUnlink = intrusive::link_mode<intrusive::auto_unlink>;
using DirtyHook = intrusive::list_base_hook<intrusive::tag<struct DirtyTag>, AutoUnlink>;
using TimedHook = intrusive::list_base_hook<intrusive::tag<struct TimedTag>, AutoUnlink>;

struct PeerAddress {
  std::string text;
  bool loopback = false;
};

class Connection final : public Peer, public Pollable, public DirtyHook, public TimedHook {
 public:
  Connection(Server::Impl& server, std::uint64_t id, int fd, PeerAddress address, std::uint16_t local_port);
  ~Connection();

  // Peer
  [[nodiscard]] std::uint64_t id() const override { return id_; }
  [[nodiscard]] PeerKind kind() const override { return websocket_ ? PeerKind::kWebSocket : PeerKind::kLine; }
  [[nodiscard]] std::string_view address() const override { return address_.text; }
  [[nodiscard]] bool loopback() const override { return address_.loopback; }
  [[nodiscard]] bool encrypted() const override { return transport_.encrypted(); }
  [[nodiscard]] std::uint16_t local_port() const override { return local_port_; }
  [[nodiscard]] std::string cookie(std::string_view name) const override;
  using Peer::send;
  void send(Buffer message) override;
  [[nodiscard]] std::size_t queued_bytes() const override { return outbox_.bytes(); }
  void notify_when_drained() override;
  void set_farewell(Buffer message) override { farewell_ = std::move(message); }
  void trust() override;
  void close() override;

  // Pollable
  void on_ready(std::uint32_t events) override;

  /// A message client that has got on_open and not yet on_close.
  [[nodiscard]] bool is_peer() const { return open_; }
  [[nodiscard]] bool trusted() const { return trusted_; }
  /// Writes what is queued and acts on what has been decided since; end of round.
  void flush();
  void check_deadlines(SteadyTime now);
  [[nodiscard]] bool is_late(SteadyTime now) const { return now >= deadline_ || now >= stall_deadline_; }
  /// The answer to the HTTP request under way.
  void deliver(HttpResponse response);
  /// Ends now: on_close if it is an open peer, then no more events. The object lives until the end of round.
  void end(CloseReason reason);
  /// The server goes: peers are closed, HTTP connections end when they have answered.
  void finish();
  /// Nothing is owed to the other side any more.
  [[nodiscard]] bool quiet() const { return !open_ && outbox_.empty() && !(http_ && http_->busy); }
  [[nodiscard]] bool start();

 private:
  enum class Phase : std::uint8_t {
    kFirstByte,
    kHandshake,  ///< TLS
    kHttp,
    kLine,
    kWebSocket,
    kDraining,  ///< no longer listened to; ends when the outbox is empty
    kLingering,  ///< all sent, waits for the peer's end so that no reset overtakes our last bytes
  };
  /// What only HTTP needs; gone after an upgrade.
  struct Http {
    explicit Http(HttpBounds bounds) : parser(bounds) {}
    HttpRequestParser parser;
    bool busy = false;        ///< a request is with the handler: nothing more is read
    bool keep_alive = true;
    bool head = false;
    std::size_t counted_bytes = 0;  ///< its part of Server::Impl::http_body_bytes
  };
  /// What only WebSocket needs.
  struct WebSocket {
    FrameReader reader{FrameSide::kServer};
    std::string cookies;
  };

  // connection.cc: what comes in
  void detect();
  void choose(char first);
  void shake_hands();
  void read_available();
  void drop_input();
  void end_of_input();
  void process_shared(std::span<char> bytes);
  std::size_t process(std::span<char> input);
  std::size_t process_lines(std::span<char> input);
  std::size_t process_frames(std::span<char> input);
  void handle_frame(const FrameReader::Step& step);
  void open(SteadyTime trust_deadline);
  [[nodiscard]] bool deaf() const { return ended_ || doomed_ || phase_ == Phase::kDraining || phase_ == Phase::kLingering; }
  [[nodiscard]] std::size_t max_message_bytes() const;
  // connection_out.cc: what goes out, and how it ends
  void queue(Buffer message, Framing framing);
  void doom(CloseReason reason);
  void carry_out_doom();
  void begin_draining(nanoseconds at_most);
  [[nodiscard]] nanoseconds orderly_end() const;
  void begin_lingering();
  void refuse_plaintext(Speech speech);
  void refuse_tls();
  void stalled_or_late();
  void announce_close(CloseReason reason);
  void mark_dirty();
  void update_wanted();
  void set_deadline(SteadyTime deadline);
  void link_if_timed();
  // connection_http.cc
  void begin_http();
  void count_body(std::size_t bytes);
  void forget_http();
  std::size_t process_http(std::span<char> input);
  void accept_request();
  void upgrade(const HttpRequest& request);
  void answer(const HttpResponse& response);
  void answer_and_close(int status, ErrorCode code, std::string_view message, std::string_view hint = {});

  Server::Impl& server_;
  const std::uint64_t id_;
  Transport transport_;
  PeerAddress address_;
  const std::uint16_t local_port_;
  Phase phase_ = Phase::kFirstByte;
  bool open_ = false;
  bool trusted_ = false;
  bool doomed_ = false;          ///< carry_out_doom will end it with doom_reason_
  bool notify_drained_ = false;
  bool tls_wants_write_ = false;
  bool ended_ = false;
  CloseReason doom_reason_ = CloseReason::kLocal;
  std::uint32_t wanted_ = 0;     ///< events registered with the poller
  SteadyTime accepted_at_;
  SteadyTime deadline_ = SteadyTime::max();        ///< of the phase
  SteadyTime stall_deadline_ = SteadyTime::max();  ///< of the blocked write
  std::string input_;            ///< the beginning of a message whose end has not come
  LineReader lines_;
  Outbox outbox_;
  Buffer farewell_;
  std::unique_ptr<Http> http_;
  std::unique_ptr<WebSocket> websocket_;
};

using DirtyList = intrusive::list<Connection, intrusive::base_hook<DirtyHook>, intrusive::constant_time_size<false>>;
using TimedList = intrusive::list<Connection, intrusive::base_hook<TimedHook>, intrusive::constant_time_size<false>>;

}  // namespace verbund::net
