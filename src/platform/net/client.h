#pragma once
/// The client side: message connections (line JSON, WebSocket; TLS or plain) and HTTP requests.
/// Threads: MessageClient on its event loop's thread; http_request and HttpClient block their caller (worker threads, the CLI, devices).
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "platform/net/event_loop.h"
#include "platform/net/server.h"

namespace verbund::net {

enum class Wire { kLine, kWebSocket };

/// How to reach a server and what to trust.
struct Endpoint {
  std::string host;
  std::uint16_t port = 2222;
  bool tls = true;
  std::string ca_pem;  ///< trusted authority; required with tls, unless the next is given
  Wire wire = Wire::kLine;
  /// Instead of ca_pem, of an authority that is known by its fingerprint alone: trusted is the certificate in the server's own chain whose
  /// SHA-256 begins with these bytes (16 to 32).
  std::string ca_fingerprint = {};
  std::string certificate_name = {};  ///< must stand in the certificate; empty: `host`
};
inline constexpr std::size_t kMinFingerprintBytes = 16;

class MessageClient {
 public:
  struct Events {
    std::function<void()> on_open;
    std::function<void(std::string_view message)> on_message;
    /// Last call; error.code kNotReachable, kUntrusted, kTimedOut, kCancelled (own close),
    /// kBadMessage (malformed WebSocket frame).
    std::function<void(const Error& error)> on_close;
  };
  /// Starts to connect; one of on_open, on_close follows within `connect_timeout`.
  MessageClient(EventLoop& loop, Endpoint endpoint, seconds connect_timeout, Events events);
  /// Closes at once, without callbacks.
  ~MessageClient();
  /// Queues one message; before on_open too. After the end it does nothing.
  void send(std::string message);
  /// Writes what is queued as far as the kernel takes it and closes; on_close (kCancelled) follows.
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the I/O operations under way
};

/// One request on a connection of its own. Errors: kNotReachable, kUntrusted, kTimedOut, kCancelled (by `stop`, within 50 ms). A host that
/// is a name is looked up by the system's resolver, whose own time limit then comes on top of `timeout`.
Result<HttpResponse> http_request(const Endpoint& endpoint, const HttpRequest& request, seconds timeout, const std::stop_token& stop = {});

/// Requests one after the other on a connection that stays open between them. One thread at a time.
class HttpClient {
 public:
  explicit HttpClient(Endpoint endpoint);
  ~HttpClient();  ///< closes
  /// As http_request. One that finds the kept connection closed is sent again on a new one, so it must be such that may be done twice.
  Result<HttpResponse> request(const HttpRequest& request, seconds timeout, const std::stop_token& stop = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::net
