#include "platform/net/dial.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/messages.h"

namespace verbund::net {
namespace {

/// As the server's (Limits::tcp_user_timeout): a dead peer with unacknowledged data is noticed after so long.
constexpr int kTcpUserTimeoutMs = 20'000;

void set_option(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); }

}  // namespace

std::string name_of(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", endpoint.host, endpoint.port) : fmt::format("{}:{}", endpoint.host, endpoint.port);
}

std::vector<DialAddress> resolve(const Endpoint& endpoint, bool numeric_only) {
  addrinfo wish{};
  wish.ai_socktype = SOCK_STREAM;
  wish.ai_flags = AI_NUMERICSERV | (numeric_only ? AI_NUMERICHOST : AI_ADDRCONFIG);
  addrinfo* found = nullptr;
  const auto service = std::to_string(endpoint.port);
  if (::getaddrinfo(endpoint.host.c_str(), service.c_str(), &wish, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  std::vector<DialAddress> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    auto& address = addresses.emplace_back();
    std::memcpy(&address.address, at->ai_addr, at->ai_addrlen);
    address.size = at->ai_addrlen;
  }
  return addresses;
}

int begin_connect(const DialAddress& address) {
  const int fd = ::socket(address.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kTcpUserTimeoutMs);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address.address), address.size) == 0 || errno == EINPROGRESS) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

int connect_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

Error not_reachable(const Endpoint& endpoint, Error cause) {
  Error error = std::move(cause).in(phrase("connect to {}", name_of(endpoint)));
  error.code = ErrorCode::kNotReachable;
  error.advise(phrase("check that the node runs and that host and port are right"));
  return error;
}

Error not_reachable(const Endpoint& endpoint, Phrase cause) {
  return not_reachable(endpoint, make_error(ErrorCode::kNotReachable, std::move(cause)));
}

Error handshake_error(const Endpoint& endpoint, const Transport& transport) {
  const auto cause = transport.tls_failure();
  if (transport.untrusted()) {
    return make_error(ErrorCode::kUntrusted, phrase("verify the certificate of {}: {}", name_of(endpoint), cause),
                      phrase("use the authority (ca.pem) of this installation and a host name that the certificate carries"));
  }
  return not_reachable(endpoint, cause.empty() ? phrase("the server ended the TLS handshake") : phrase("TLS: {}", cause));
}

Result<TlsContext> trusted_by(const Endpoint& endpoint) {
  return endpoint.ca_fingerprint.empty() ? TlsContext::client(endpoint.ca_pem) : TlsContext::client_of(endpoint.ca_fingerprint);
}

}  // namespace verbund::net
