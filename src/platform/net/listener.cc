// Listeners: which sockets a host name means, accepting, and backing off when descriptors run out.
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/messages.h"
#include "platform/net/server_impl.h"

namespace verbund::net {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr milliseconds kBackOff{100};
/// Silence after which the kernel asks whether the other side is still there: finds the half-open connections that
/// TCP_USER_TIMEOUT alone does not, having nothing to send. Linux' own default is two hours.
constexpr int kKeepAliveSeconds = 15;

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

void set_option(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); }

PeerAddress text_of(const sockaddr_storage& from) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from).sin_addr;
    ::inet_ntop(AF_INET, &v4, text.data(), text.size());
    return {text.data(), (ntohl(v4.s_addr) >> 24) == 127};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    in_addr v4{};
    std::memcpy(&v4, v6.s6_addr + 12, sizeof v4);
    ::inet_ntop(AF_INET, &v4, text.data(), text.size());
    return {text.data(), v6.s6_addr[12] == 127};
  }
  ::inet_ntop(AF_INET6, &v6, text.data(), text.size());
  return {text.data(), IN6_IS_ADDR_LOOPBACK(&v6) != 0};
}

void tune(int fd, const Limits& limits) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveSeconds);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limits.tcp_user_timeout.count()));
}

Result<Addresses> addresses_of(const std::string& host, std::uint16_t port) {
  addrinfo wish{};
  wish.ai_socktype = SOCK_STREAM;
  wish.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const auto service = std::to_string(port);
  const int rc = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &wish, &found);
  if (rc != 0) {
    return fail(ErrorCode::kIo, phrase("listen on {}:{}: {}", host, port, ::gai_strerror(rc)),
                phrase("use an address of this machine, 0.0.0.0 or ::"));
  }
  return Addresses(found, &freeaddrinfo);
}

/// A bound and listening socket; fails with errno.
Result<int> open_listener(const addrinfo& address, std::uint16_t port, bool v6_only) {
  sockaddr_storage at{};
  std::memcpy(&at, address.ai_addr, address.ai_addrlen);
  auto& number = at.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(at).sin6_port
                                          : reinterpret_cast<sockaddr_in&>(at).sin_port;
  number = htons(port);
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (fd >= 0 && address.ai_family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6_only ? 1 : 0);
  if (fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&at), address.ai_addrlen) == 0 && ::listen(fd, 4096) == 0) {
    return fd;
  }
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (error == EADDRINUSE) {
    return fail(ErrorCode::kInUse, phrase("the port is in use by another program"),
                phrase("another node may be running; see who it is: ss -ltnp 'sport = :{}'", port));
  }
  return fail(ErrorCode::kIo, verbatim(std::strerror(error)));
}

std::uint16_t port_of(int fd) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  return ntohs(at.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(at).sin6_port
                                        : reinterpret_cast<sockaddr_in&>(at).sin_port);
}

bool out_of_resources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

Listener::~Listener() {
  server_.poller().remove(fd_, *this);
  ::close(fd_);
}

bool Listener::start() { return server_.poller().add(fd_, *this, EPOLLIN); }

void Listener::on_ready(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = ::accept4(fd_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (out_of_resources(errno)) back_off(errno);
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;  // EAGAIN, or an error of one connection (accept(2)); the poller reports what is left
    }
    tune(fd, server_.limits);
    server_.accepted(fd, text_of(from), port_);
  }
}

/// The connection stays in the kernel's queue and the socket readable: look away for a while instead of spinning.
void Listener::back_off(int error) {
  server_.log.warning("net.accept_failed", {{"port", port_}, {"cause", std::strerror(error)}});
  server_.poller().modify(fd_, *this, 0);
  resume_ = server_.loop.after(kBackOff, [this] { server_.poller().modify(fd_, *this, EPOLLIN); });
}

Result<std::uint16_t> Server::listen(const std::string& host, std::uint16_t port) {
  auto addresses = addresses_of(host, port);
  if (!addresses) return pass(addresses);
  std::vector<std::unique_ptr<Listener>> opened;
  const bool several = (*addresses)->ai_next != nullptr;
  for (const addrinfo* at = addresses->get(); at != nullptr; at = at->ai_next) {
    // "localhost" may name ::1 although the machine has no IPv6.
    auto fd = open_listener(*at, port, several);
    if (!fd && !opened.empty() && fd.error().code == ErrorCode::kIo) continue;
    if (!fd && at->ai_next != nullptr && fd.error().code == ErrorCode::kIo) continue;
    if (!fd) return pass(fd, phrase("listen on {}:{}", host, port));
    if (port == 0) port = port_of(*fd);
    auto& listener = *opened.emplace_back(std::make_unique<Listener>(*impl_, *fd, port));
    if (!listener.start()) return fail(ErrorCode::kIo, phrase("listen on {}:{}: no memory", host, port));
  }
  std::ranges::move(opened, std::back_inserter(impl_->listeners));
  return port;
}

}  // namespace verbund::net
