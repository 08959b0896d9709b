// MessageClient: from a name to an open connection, and its end.
#include "platform/net/client.h"

#include <cerrno>
#include <cstring>

#include "base/messages.h"
#include "platform/net/client_impl.h"

namespace verbund::net {

namespace {

constexpr HttpBounds kUpgradeBounds{16UL * 1024, 64UL * 1024};

}  // namespace

void MessageClient::Impl::start(seconds connect_timeout) {
  timeout = loop.after(connect_timeout, [weak = weak_from_this(), connect_timeout] {
    const auto self = weak.lock();
    if (!self) return;
    self->fail_with(make_error(ErrorCode::kTimedOut, phrase("connect to {}: no answer within {} s", name_of(self->endpoint),
                                                            connect_timeout.count())));
  });
  addresses = resolve(endpoint, true);
  if (addresses.empty()) return start_resolving();
  // Not at once: the caller shall have its MessageClient before a callback comes.
  loop.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->try_next();
  });
}

void MessageClient::Impl::start_resolving() {
  const auto done = [weak = weak_from_this()](const boost::system::error_code& error, const auto& results) {
    const auto self = weak.lock();
    if (!self || self->phase != Phase::kResolving) return;
    for (const auto& result : results) {
      auto& address = self->addresses.emplace_back();
      std::memcpy(&address.address, result.endpoint().data(), result.endpoint().size());
      address.size = static_cast<socklen_t>(result.endpoint().size());
    }
    self->last_cause = error ? error.message() : std::string{};
    self->try_next();
  };
  resolver.async_resolve(endpoint.host, std::to_string(endpoint.port), done);
}

void MessageClient::Impl::try_next() {
  if (phase == Phase::kClosed) return;
  if (transport) loop.impl().poller.remove(transport->fd(), *this);
  transport.reset();
  while (next_address < addresses.size()) {
    const int fd = begin_connect(addresses[next_address++]);
    if (fd < 0) {
      last_cause = std::strerror(errno);
      continue;
    }
    transport = std::make_unique<Transport>(fd);
    phase = Phase::kConnecting;
    wanted = EPOLLOUT;
    if (loop.impl().poller.add(fd, *this, wanted)) return;
    last_cause = std::strerror(errno);
    transport.reset();
  }
  fail_with(not_reachable(endpoint, last_cause.empty() ? phrase("the name has no address") : verbatim(last_cause)));
}

void MessageClient::Impl::connected() {
  const int error = connect_error(transport->fd());
  if (error != 0) {
    last_cause = std::strerror(error);
    return try_next();
  }
  want(EPOLLIN);
  if (!endpoint.tls) return secured();
  auto context = trusted_by(endpoint);
  if (!context) {
    context.error().code = ErrorCode::kUntrusted;
    context.error().advise(phrase("hand in the authority's PEM"));
    return fail_with(std::move(context.error()));
  }
  if (!transport->connect_tls(*context, endpoint.certificate_name.empty() ? endpoint.host : endpoint.certificate_name)) return fail_with(not_reachable(endpoint, phrase("no memory for TLS")));
  phase = Phase::kHandshake;
  shake_hands();
}

void MessageClient::Impl::shake_hands() {
  const auto result = transport->handshake();
  if (result.status == IoStatus::kAgain) return want(result.needs_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
  if (result.status != IoStatus::kDone) return fail_with(handshake_error(endpoint, *transport));
  want(EPOLLIN);
  secured();
}

void MessageClient::Impl::secured() {
  if (endpoint.wire == Wire::kLine) return opened();
  websocket_key = new_websocket_key();
  HttpRequest request;
  request.method = "GET";
  request.path = "/ws";
  request.headers = {{"Connection", "Upgrade"},
                     {"Upgrade", "websocket"},
                     {"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Key", websocket_key}};
  upgrade = std::make_unique<HttpResponseParser>(kUpgradeBounds, false);
  phase = Phase::kUpgrading;
  output += request_head(request, name_of(endpoint));
  schedule_write();
}

void MessageClient::Impl::opened() {
  phase = Phase::kOpen;
  timeout.cancel();
  for (const auto& message : std::exchange(early, {})) send(message);
  if (events.on_open) events.on_open();
}

void MessageClient::Impl::fail_with(Error error) {
  if (phase == Phase::kClosed) return;
  shut();
  if (events.on_close) events.on_close(error);
}

void MessageClient::Impl::shut() {
  phase = Phase::kClosed;
  timeout.cancel();
  resolver.cancel();
  if (transport) loop.impl().poller.remove(transport->fd(), *this);
  transport.reset();
}

// --- MessageClient ---

MessageClient::MessageClient(EventLoop& loop, Endpoint endpoint, seconds connect_timeout, Events events)
    : impl_(std::make_shared<Impl>(loop, std::move(endpoint), std::move(events))) {
  impl_->start(connect_timeout);
}

MessageClient::~MessageClient() { impl_->shut(); }

void MessageClient::send(std::string message) {
  if (impl_->phase == Impl::Phase::kClosed) return;
  if (impl_->phase == Impl::Phase::kOpen) return impl_->send(message);
  impl_->early.push_back(std::move(message));
}

void MessageClient::close() {
  impl_->loop.post([weak = std::weak_ptr(impl_)] {
    const auto self = weak.lock();
    if (!self || self->phase == Impl::Phase::kClosed) return;
    if (self->phase == Impl::Phase::kOpen) {
      if (self->endpoint.wire == Wire::kWebSocket) self->send_frame(Opcode::kClose, close_payload(CloseCode::kNormal));
      self->write_out();
      if (self->phase == Impl::Phase::kOpen) self->transport->shut_down_writes();
    }
    self->fail_with(make_error(ErrorCode::kCancelled, phrase("the connection to {} was closed by this side", name_of(self->endpoint))));
  });
}

}  // namespace verbund::net
