#include "socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "options.h"

namespace verbund::bench {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
/// Clients that have connected and are not let in yet; below any server's backlog and limit of strangers.
constexpr std::size_t kEntranceWindow = 200;

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) give_up_errno("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    give_up_errno(fmt::format("connect to port {}", port));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void expect(bool good, std::string_view what, std::string_view got) {
  if (!good) give_up(what, fmt::format("the server said: {}", got.substr(0, 300)));
}

/// Reads the answers to one client's greeting and subscription.
void finish_entrance(const Target& target, Socket& socket, bool subscribed) {
  if (is_ours(target.wire)) {
    const auto welcome = socket.wait_message();
    expect(welcome.find("\"ok\":true") != std::string::npos, "register", welcome);
  }
  if (target.wire == Wire::kNats) {
    std::string said;
    do {
      said = socket.wait_message();
      expect(!said.starts_with("-ERR"), "connect", said);
      if (said == "PING") socket.send("PONG\r\n");
    } while (said != "PONG");
  } else if (subscribed) {
    const auto answer = socket.wait_message();
    expect(!answer.starts_with("-"), "subscribe", answer);
  }
}

}  // namespace

Socket::Socket(const Target& target) : fd_(connect_to(target.port)), wire_(target.wire) {}

Socket::Socket(Socket&& other) noexcept
    : carry_(std::move(other.carry_)), fd_(std::exchange(other.fd_, -1)), wire_(other.wire_) {}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

void Socket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) give_up_errno("send");
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string_view Socket::read_some() {
  thread_local std::vector<char> buffer(kReadBytes);
  const auto got = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got == 0) give_up("receive", fmt::format("the server closed the connection after: {}", carry_));
  if (got < 0 && errno != EAGAIN && errno != EINTR) give_up_errno("receive");
  return {buffer.data(), got < 0 ? 0 : static_cast<std::size_t>(got)};
}

void Socket::wait_readable() const {
  pollfd waiting{fd_, POLLIN, 0};
  const auto patience = std::chrono::milliseconds(kPatience).count();
  if (::poll(&waiting, 1, static_cast<int>(patience)) == 0) give_up("receive", "no answer");
}

std::string Socket::wait_message() {
  for (;;) {
    if (const auto message = next_message(wire_, carry_); message.consumed > 0) {
      std::string body(message.body);
      carry_.erase(0, message.consumed);
      return body;
    }
    wait_readable();
    carry_ += read_some();
  }
}

std::string Socket::wait_reply() {
  auto message = wait_message();
  while (message.starts_with(R"({"event")")) message = wait_message();
  return message;
}

std::string Socket::wait_header() {
  for (;;) {
    if (const auto end = carry_.find("\r\n\r\n"); end != std::string::npos) {
      auto header = carry_.substr(0, end);
      carry_.erase(0, end + 4);
      return header;
    }
    wait_readable();
    carry_ += read_some();
  }
}

std::string greeting(const Target& target, std::size_t number) {
  if (target.wire == Wire::kNats) return "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
  if (!is_ours(target.wire)) return {};
  return framed(target.wire, fmt::format(R"({{"op":"register","token":"{}","workstation":"bench {}","app":"bench","watch":{}}})",
                                         target.token, number, target.watch));
}

std::vector<Socket> enter(const Target& target, std::size_t count, std::string_view subscribe) {
  std::vector<Socket> sockets;
  sockets.reserve(count);
  while (sockets.size() < count) {
    const auto begin = sockets.size();
    const auto end = std::min(count, begin + kEntranceWindow);
    while (sockets.size() < end) {
      sockets.emplace_back(target);
      if (target.wire == Wire::kWebSocket) sockets.back().send(websocket_upgrade(target.port));
    }
    for (auto i = begin; i < end; ++i) {
      if (target.wire == Wire::kWebSocket) {
        const auto header = sockets[i].wait_header();
        expect(header.starts_with("HTTP/1.1 101"), "upgrade to a WebSocket", header);
      }
      const auto hello = greeting(target, i) + std::string(subscribe) + (target.wire == Wire::kNats ? "PING\r\n" : "");
      if (!hello.empty()) sockets[i].send(hello);
    }
    for (auto i = begin; i < end; ++i) finish_entrance(target, sockets[i], !subscribe.empty());
  }
  return sockets;
}

void leave(const Target& target, std::vector<Socket>& sockets) {
  if (is_ours(target.wire)) {
    for (auto& socket : sockets) socket.send(framed(target.wire, R"({"op":"goodbye"})"));
    for (auto& socket : sockets) socket.wait_reply();
  }
  sockets.clear();
}

Epoll::Epoll() : fd_(epoll_create1(EPOLL_CLOEXEC)), events_(512) {
  if (fd_ < 0) give_up_errno("epoll_create1");
}

Epoll::~Epoll() { ::close(fd_); }

void Epoll::add(int fd, std::uint32_t number) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = number;
  if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) give_up_errno("epoll_ctl");
}

std::span<const epoll_event> Epoll::wait(std::chrono::milliseconds timeout) {
  const int ready = epoll_wait(fd_, events_.data(), static_cast<int>(events_.size()), static_cast<int>(timeout.count()));
  if (ready < 0 && errno != EINTR) give_up_errno("epoll_wait");
  return {events_.data(), ready < 0 ? 0U : static_cast<std::size_t>(ready)};
}

}  // namespace verbund::bench
