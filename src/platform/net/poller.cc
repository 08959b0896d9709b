#include "platform/net/poller.h"

#include <cassert>
#include <cerrno>

#include <unistd.h>

namespace verbund::net {

Poller::Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)), batch_{} { assert(fd_ >= 0); }

Poller::~Poller() { ::close(fd_); }

bool Poller::add(int fd, Pollable& pollable, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &pollable;
  return ::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::modify(int fd, Pollable& pollable, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &pollable;
  [[maybe_unused]] const int rc = ::epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event);
  assert(rc == 0);
}

void Poller::remove(int fd, const Pollable& pollable) {
  ::epoll_ctl(fd_, EPOLL_CTL_DEL, fd, nullptr);
  for (int i = at_; i < count_; ++i) {
    auto& event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &pollable) event.data.ptr = nullptr;
  }
}

void Poller::run_ready() {
  count_ = ::epoll_wait(fd_, batch_.data(), kBatch, 0);
  for (at_ = 0; at_ < count_;) {
    const epoll_event event = batch_[static_cast<std::size_t>(at_++)];
    if (event.data.ptr != nullptr) static_cast<Pollable*>(event.data.ptr)->on_ready(event.events);
  }
  at_ = count_ = 0;
}

}  // namespace verbund::net
