#pragma once
/// Private to platform/net: a message connection from the client's side.
#include <boost/asio/ip/tcp.hpp>

#include "platform/net/client.h"
#include "platform/net/dial.h"
#include "platform/net/event_loop_impl.h"
#include "platform/net/frame_reader.h"
#include "platform/net/http_codec.h"
#include "platform/net/line_reader.h"

namespace verbund::net {

struct MessageClient::Impl final : Pollable, std::enable_shared_from_this<MessageClient::Impl> {
  enum class Phase { kResolving, kConnecting, kHandshake, kUpgrading, kOpen, kClosed };

  Impl(EventLoop& event_loop, Endpoint to, Events on)
      : loop(event_loop), endpoint(std::move(to)), events(std::move(on)), resolver(event_loop.impl().io) {}
  ~Impl() { shut(); }

  void start(seconds connect_timeout);
  void start_resolving();
  void try_next();
  void connected();
  void shake_hands();
  void secured();
  void opened();
  // client_io.cc
  void on_ready(std::uint32_t ready) override;
  void read_available();
  void process(std::span<char> bytes);
  std::size_t process_upgrade(std::span<char> input);
  std::size_t process_lines(std::span<char> input);
  std::size_t process_frames(std::span<char> input);
  void take_frame(const FrameReader::Step& step);
  void send(std::string_view message);
  void send_frame(Opcode opcode, std::string_view payload);
  void schedule_write();
  void write_out();
  void want(std::uint32_t wish);
  /// The end: on_close with `error` once, later.
  void fail_with(Error error);
  void shut();

  EventLoop& loop;
  const Endpoint endpoint;
  Events events;
  boost::asio::ip::tcp::resolver resolver;
  Phase phase = Phase::kResolving;
  std::vector<DialAddress> addresses;
  std::size_t next_address = 0;
  std::string last_cause;
  std::unique_ptr<Transport> transport;
  std::uint32_t wanted = 0;
  bool write_scheduled = false;
  Timer timeout;
  std::string websocket_key;
  std::unique_ptr<HttpResponseParser> upgrade;
  LineReader lines;
  FrameReader frames{FrameSide::kClient};
  std::string input;   ///< the beginning of a message whose end has not come
  std::vector<std::string> early;  ///< sent before on_open
  std::string output;  ///< framed, not taken by the kernel yet
};

}  // namespace verbund::net
