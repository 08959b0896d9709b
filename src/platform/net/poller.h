#pragma once
/// Readiness of many sockets: one epoll set of the loop, itself watched by Asio as a single descriptor.
///
/// Why beside Asio's own reactor: Asio re-arms each wait with a system call of its own and keeps an operation plus a
/// descriptor state per socket. Here a socket is registered once, level-triggered, and an idle one costs no user memory.
/// Threads: the loop's thread.
#include <array>
#include <cstdint>

#include <sys/epoll.h>

namespace verbund::net {

class Pollable {
 public:
  /// EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. May remove and destroy itself or any other Pollable.
  virtual void on_ready(std::uint32_t events) = 0;

 protected:
  ~Pollable() = default;
};

class Poller {
 public:
  /// Asserts that the kernel gives an epoll descriptor.
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  /// False when the kernel is out of memory or watches (ENOMEM, ENOSPC).
  [[nodiscard]] bool add(int fd, Pollable& pollable, std::uint32_t events);
  void modify(int fd, Pollable& pollable, std::uint32_t events);
  /// Must come before `fd` is closed. No on_ready follows, not even of events already fetched.
  void remove(int fd, const Pollable& pollable);
  /// Calls on_ready for what is ready now, at most kBatch sockets.
  void run_ready();

 private:
  static constexpr int kBatch = 512;
  int fd_;
  int at_ = 0;     ///< next of batch_ to be delivered
  int count_ = 0;  ///< delivered up to here, within run_ready
  std::array<epoll_event, kBatch> batch_;
};

}  // namespace verbund::net
