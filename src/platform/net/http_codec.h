#pragma once
/// HTTP/1.1 in bytes: Beast's parsers behind an interface that does not include Beast, and the writing of messages.
/// Pure; bytes come from anybody.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "platform/net/server.h"

namespace verbund::net {

struct HttpBounds {
  std::size_t max_header_bytes;
  std::size_t max_body_bytes;
};

/// One parser reads one message.
class HttpRequestParser {
 public:
  enum class Event { kNeedMore, kContinue, kRequest, kFailed };
  struct Step {
    Event event;  ///< kContinue: the client waits for "100 Continue", then go on
    std::size_t consumed;
    int status = 0;       ///< kFailed: 400, 413, 431, 501, 505
    std::string message;  ///< kFailed
  };
  explicit HttpRequestParser(HttpBounds bounds);
  ~HttpRequestParser();
  HttpRequestParser(HttpRequestParser&&) noexcept;
  HttpRequestParser& operator=(HttpRequestParser&&) noexcept;

  /// `input` begins with what the last step left over.
  Step next(std::string_view input);
  /// A first byte of the request has been seen.
  [[nodiscard]] bool begun() const;
  /// Of the body, so far.
  [[nodiscard]] std::size_t body_bytes() const;
  /// After kRequest. Address and transport are the caller's to fill in.
  [[nodiscard]] HttpRequest take_request();
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] bool is_upgrade() const;  ///< a WebSocket handshake

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class HttpResponseParser {
 public:
  /// `head`: the answer to a HEAD request, which has no body.
  HttpResponseParser(HttpBounds bounds, bool head);
  ~HttpResponseParser();
  /// Consumes all of `input` that belongs to the response. True when it is whole. Errors: kBadMessage, kTooLarge.
  Result<bool> next(std::string_view input, std::size_t& consumed);
  /// The server closed: the end of a response without length. Errors: kBadMessage when it is not whole.
  Status end();
  /// The status alone is that of a switch to WebSocket with this key.
  [[nodiscard]] bool accepts_websocket(std::string_view key) const;
  [[nodiscard]] int status() const;
  [[nodiscard]] HttpResponse take_response();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Status line and headers of an answer, with Content-Length and, when `keep_alive` is off, Connection: close.
std::string response_head(const HttpResponse& response, bool keep_alive);
/// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2).
std::string websocket_accept(std::string_view key);
/// A fresh Sec-WebSocket-Key: 16 random bytes in base64.
std::string new_websocket_key();
/// Answer to a handshake, or the refusal (400, 426) when the request is no proper one.
std::string upgrade_head(std::string_view key);
std::optional<HttpResponse> bad_upgrade(const HttpRequest& request);
/// Request line and headers. `host_header` is the value of Host.
std::string request_head(const HttpRequest& request, std::string_view host_header);
/// Value of a cookie in a Cookie header, or empty.
std::string cookie_value(std::string_view header, std::string_view name);

}  // namespace verbund::net
