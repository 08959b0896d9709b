#pragma once
/// Private to platform/net: the loop with Asio visible, and the buffers that all its connections share.
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>

#include "platform/net/event_loop.h"
#include "platform/net/poller.h"

namespace verbund::net {

struct EventLoop::Impl {
  /// What one read takes at most, and what one gathered write holds before it refers to the messages in place.
  static constexpr std::size_t kSharedBufferBytes = 64UL * 1024;

  Impl();
  ~Impl();
  void wait_ready();
  void run_round_tasks();

  boost::asio::io_context io{1};
  Poller poller;
  boost::asio::posix::stream_descriptor watch{io};
  std::vector<std::function<void()>> round_tasks;
  bool round_scheduled = false;  ///< run_round_tasks will come without being asked again
  std::vector<std::unique_ptr<boost::asio::signal_set>> signals;
  std::vector<char> read_buffer;
  std::vector<char> write_buffer;
};

}  // namespace verbund::net
