#pragma once
/// Sockets, epoll and the entrance to each server. One thread, unless it says otherwise.
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/epoll.h>

#include "wire.h"

namespace verbund::bench {

inline constexpr std::chrono::seconds kPatience{20};  ///< for any one reply

/// Where a server listens and how it is spoken to.
struct Target {
  Wire wire = Wire::kLine;
  std::uint16_t port = 0;     ///< on 127.0.0.1
  std::string token;          ///< ours: of a user
  std::string watch;          ///< ours: JSON of the watch
};

/// A connected stream socket that reads whole messages.
class Socket {
 public:
  /// Connects to 127.0.0.1 (blocking) with TCP_NODELAY.
  explicit Socket(const Target& target);
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&&) = delete;
  ~Socket();

  [[nodiscard]] int fd() const { return fd_; }
  void send(std::string_view bytes);
  /// Reads what has arrived and hands on each whole message. Gives up when the server has closed.
  template <typename OnMessage>
  void receive(OnMessage&& on_message);
  /// Waits for one message. For setting up; what follows it is kept.
  std::string wait_message();
  /// The same, passing over events of ours.
  std::string wait_reply();
  /// Waits for the end of a HTTP response's header.
  std::string wait_header();

 private:
  /// Appends to nothing: bytes of this read, in a buffer shared by all sockets of the thread.
  std::string_view read_some();
  void wait_readable() const;
  std::string carry_;  ///< the beginning of a message whose end has not come
  int fd_;
  Wire wire_;
};

template <typename OnMessage>
void Socket::receive(OnMessage&& on_message) {
  std::string_view bytes = read_some();
  if (!carry_.empty()) {
    carry_ += bytes;
    bytes = carry_;
  }
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto message = next_message(wire_, bytes.substr(done));
    if (message.consumed == 0) break;
    done += message.consumed;
    on_message(message.body);
  }
  if (done == bytes.size()) {
    if (!carry_.empty()) carry_.clear();
  } else {
    carry_ = std::string(bytes.substr(done));
  }
}

/// What a client says first: ours register, NATS connect; Redis nothing. For WebSocket after the upgrade.
std::string greeting(const Target& target, std::size_t number);
/// Connects `count` clients and lets them in, a window at a time; they then hear nothing but what they subscribed to.
/// `subscribe`: sent after the greeting (empty: nothing), answered by one message (NATS: by the PONG it ends with).
std::vector<Socket> enter(const Target& target, std::size_t count, std::string_view subscribe);
/// Says goodbye, so that a session of ours ends now and not after the reconnect window.
void leave(const Target& target, std::vector<Socket>& sockets);

class Epoll {
 public:
  Epoll();
  ~Epoll();
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;
  void add(int fd, std::uint32_t number);
  /// Numbers of what is readable; empty after `timeout`.
  std::span<const epoll_event> wait(std::chrono::milliseconds timeout);

 private:
  int fd_;
  std::vector<epoll_event> events_;
};

}  // namespace verbund::bench
