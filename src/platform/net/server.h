#pragma once
/// The server side of one TCP port that tells by the first bytes what a peer speaks: TLS (0x16), then inside or in
/// plaintext HTTP (a method name; REST, files, WebSocket by Upgrade) or one JSON object per line ('{' or blank).
///
/// Threads: everything on the event loop's thread. `HttpExchange::reply` alone may be called from any thread.
/// Bounds: Limits. A peer that breaks one is answered where its framing allows and closed; nobody else notices.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/result.h"
#include "platform/net/event_loop.h"

namespace verbund::net {

struct Limits {
  std::size_t max_frame_bytes = 1024 * 1024;        ///< one message (line or WebSocket frame) of a peer that is trusted
  std::size_t max_first_frame_bytes = 64 * 1024;    ///< until Peer::trust was called
  std::size_t max_http_header_bytes = 16 * 1024;
  std::size_t max_http_body_bytes = 8 * 1024 * 1024;
  std::size_t max_http_bodies_bytes = 256 * 1024 * 1024;  ///< of all requests under way together; then 503
  std::size_t max_queue_bytes = 1024 * 1024;        ///< waiting to be sent to one peer; see Peer::send
  std::size_t max_connections = 20'000;
  std::size_t max_untrusted_connections = 2'000;    ///< connected but not trusted yet (slow loris)
  seconds first_byte_timeout{10};                   ///< from accept to the first byte, and for the TLS handshake
  seconds first_message_timeout{20};                ///< from accept until trust (HTTP: until the request is whole)
  seconds http_idle_timeout{75};
  seconds write_stall_timeout{30};                  ///< nothing could be written for so long: closed with kTooSlow
  milliseconds tcp_user_timeout{20'000};            ///< TCP_USER_TIMEOUT
};

using verbund::Buffer;

enum class PeerKind { kLine, kWebSocket };
enum class CloseReason { kPeer, kLocal, kTooSlow, kTooLarge, kTimeout, kError };

/// A connected message client. Owned by the server; a handler holds a PeerId and looks it up, or keeps the reference
/// only until on_close.
class Peer {
 public:
  virtual ~Peer() = default;
  [[nodiscard]] virtual std::uint64_t id() const = 0;        ///< never given twice in this process
  [[nodiscard]] virtual PeerKind kind() const = 0;
  [[nodiscard]] virtual std::string_view address() const = 0;  ///< "192.0.2.7" or "2001:db8::7", without port
  [[nodiscard]] virtual bool loopback() const = 0;
  [[nodiscard]] virtual bool encrypted() const = 0;
  /// Local port of the listener that accepted it (Terminalservice mode).
  [[nodiscard]] virtual std::uint16_t local_port() const = 0;
  /// WebSocket: value of a cookie of the upgrade request, or empty. Line: empty.
  [[nodiscard]] virtual std::string cookie(std::string_view name) const = 0;

  /// Queues one message (without framing: no newline). Never blocks. Sends of one loop round leave in one write.
  /// Over max_queue_bytes the peer is closed with kTooSlow after `farewell` (see `set_farewell`) was tried. An empty
  /// queue takes one message of any size. After close and after kTooSlow was decided, it does nothing.
  virtual void send(Buffer message) = 0;
  void send(std::string message) { send(std::make_shared<const std::string>(std::move(message))); }
  /// Bytes queued and not yet taken by the kernel.
  [[nodiscard]] virtual std::size_t queued_bytes() const = 0;
  /// Called once, when queued_bytes falls to zero again; for producers that conflate instead of queueing.
  virtual void notify_when_drained() = 0;
  /// The message that is tried when the peer is closed as too slow: it takes the place of all that was queued.
  virtual void set_farewell(Buffer message) = 0;
  /// Lifts max_first_frame_bytes and first_message_timeout: it has registered.
  virtual void trust() = 0;
  /// Sends what is queued (bounded by write_stall_timeout without progress, ten times that in all), then closes.
  /// on_close follows.
  virtual void close() = 0;
};

class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  virtual void on_open(Peer& peer) = 0;
  /// One message, without framing. UTF-8 is not checked for lines; it is for WebSocket text frames.
  virtual void on_message(Peer& peer, std::string_view message) = 0;
  /// A message over the limit was skipped (line) or ends the connection (WebSocket); `bytes` is what was seen of it.
  virtual void on_too_large(Peer& peer, std::size_t bytes) = 0;
  virtual void on_drained(Peer& peer) = 0;
  /// Last call for this peer; it is gone when this returns. All peers get it before ~Server returns.
  virtual void on_close(Peer& peer, CloseReason reason) = 0;
};

struct HttpRequest {
  std::string method;   ///< "GET"
  std::string path;     ///< decoded, without query; "/api/status"
  std::map<std::string, std::string> query;    ///< decoded
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  std::string address;
  bool loopback = false;
  bool encrypted = false;
  /// Value of a cookie, or empty.
  [[nodiscard]] std::string cookie(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  ///< besides type and length
};

/// One request waiting for its answer. Dropping the last reference without reply answers 500.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  [[nodiscard]] virtual const HttpRequest& request() const = 0;
  /// Once. From any thread.
  virtual void reply(HttpResponse response) = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// On the loop: must not block; hands long work to the worker pool. shared_ptr: the answer may come from a worker.
  virtual void on_request(std::shared_ptr<HttpExchange> exchange) = 0;
  /// May this upgrade to a WebSocket go on? (path, Origin). Default path is /ws.
  virtual bool accept_websocket(const HttpRequest& request) = 0;
};

struct TlsIdentity {
  std::string certificate_chain_pem;
  std::string private_key_pem;
};

class Server {
 public:
  struct Impl;
  /// Handlers are borrowed and must outlive the server. `tls` absent: TLS is refused.
  Server(EventLoop& loop, Limits limits, PeerHandler& peers, HttpHandler& http, Log& log, Counters& counters);
  ~Server();
  Status use_tls(const TlsIdentity& identity);
  /// Plaintext from other machines: refused with a clear message (line: error object; HTTP: 403) unless allowed.
  void allow_remote_plaintext(bool allow);
  /// Starts to listen; port 0 picks one. Returns the port. Errors: kInUse (names who may), kIo.
  Result<std::uint16_t> listen(const std::string& host, std::uint16_t port);
  /// Stops one listener (Terminalservice ports come and go); its connections stay.
  void unlisten(std::uint16_t port);
  /// Null when it has closed.
  Peer* find(std::uint64_t peer_id);
  /// No new connections; closes all peers once their queues are sent or `grace` is over, then calls `done`.
  void shut_down(milliseconds grace, std::function<void()> done);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::net
