#pragma once
/// What the client side's message connections and single requests have in common. Private to platform/net.
#include <string>
#include <vector>

#include <sys/socket.h>

#include "base/messages.h"
#include "platform/net/client.h"
#include "platform/net/transport.h"

namespace verbund::net {

struct DialAddress {
  sockaddr_storage address{};
  socklen_t size = 0;
};

/// "host:port", with brackets around an IPv6 address.
std::string name_of(const Endpoint& endpoint);
/// Asks the system's resolver; blocks unless `numeric_only`. Empty: no such name.
std::vector<DialAddress> resolve(const Endpoint& endpoint, bool numeric_only);
/// A non-blocking socket whose connect has begun; -1 with errno when it failed at once.
int begin_connect(const DialAddress& address);
/// 0 when the connect that has come to an end succeeded, else its errno.
int connect_error(int fd);
/// The error that a failed handshake amounts to: kUntrusted when the certificate was the reason.
Error handshake_error(const Endpoint& endpoint, const Transport& transport);
Result<TlsContext> trusted_by(const Endpoint& endpoint);
Error not_reachable(const Endpoint& endpoint, Error cause);
Error not_reachable(const Endpoint& endpoint, Phrase cause);

}  // namespace verbund::net
