// The parts of http_codec.h that need no Beast: how heads are written.
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "platform/net/http_codec.h"

namespace verbund::net {

std::string_view reason_phrase(int status);  // http_codec.cc

namespace {

/// A header's text cannot end its line, or else contents would become headers.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::erase_if(line, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
  return line;
}

void append_header(std::string& head, std::string_view name, std::string_view value) {
  fmt::format_to(std::back_inserter(head), "{}: {}\r\n", one_line(name), one_line(value));
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

void append_encoded(std::string& out, std::string_view text, std::string_view kept) {
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kept.contains(c);
    if (plain) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
}

}  // namespace

std::string response_head(const HttpResponse& response, bool keep_alive) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  if (!response.content_type.empty()) append_header(head, "Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers) append_header(head, name, value);
  if (response.status >= 200 && response.status != 204 && response.status != 304) {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", response.body.size());
  }
  head += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  return head;
}

std::string websocket_accept(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
  std::array<unsigned char, SHA_DIGEST_LENGTH> hash{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  std::array<unsigned char, 32> encoded{};
  const int size = EVP_EncodeBlock(encoded.data(), hash.data(), static_cast<int>(hash.size()));
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(size)};
}

std::string new_websocket_key() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  std::array<unsigned char, 32> encoded{};
  const int size = EVP_EncodeBlock(encoded.data(), bytes.data(), static_cast<int>(bytes.size()));
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(size)};
}

std::string upgrade_head(std::string_view key) {
  return fmt::format(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
      websocket_accept(key));
}

std::optional<HttpResponse> bad_upgrade(const HttpRequest& request) {
  const auto header = [&](const char* name) {
    const auto at = request.headers.find(name);
    return at == request.headers.end() ? std::string_view{} : std::string_view{at->second};
  };
  if (header("sec-websocket-version") != "13") {
    return HttpResponse{426, "text/plain", "WebSocket version 13 is needed\n", {{"Sec-WebSocket-Version", "13"}}};
  }
  // 16 bytes in base64 (RFC 6455 §4.1)
  if (request.method != "GET" || header("sec-websocket-key").size() != 24) {
    return HttpResponse{400, "text/plain", "This is no proper WebSocket handshake\n", {}};
  }
  return std::nullopt;
}

std::string request_head(const HttpRequest& request, std::string_view host_header) {
  std::string head = one_line(request.method) + ' ';
  append_encoded(head, request.path.empty() ? "/" : request.path, "-._~/!$&'()*+,;=:@");
  char separator = '?';
  for (const auto& [name, value] : request.query) {
    head += std::exchange(separator, '&');
    append_encoded(head, name, "-._~");
    head += '=';
    append_encoded(head, value, "-._~");
  }
  head += " HTTP/1.1\r\n";
  append_header(head, "Host", host_header);
  for (const auto& [name, value] : request.headers) append_header(head, name, value);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", request.body.size());
  }
  return head + "\r\n";
}

std::string cookie_value(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    const auto end = std::min(header.find(';'), header.size());
    const auto pair = trimmed(header.substr(0, end));
    header.remove_prefix(std::min(end + 1, header.size()));
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || trimmed(pair.substr(0, equals)) != name) continue;
    auto value = trimmed(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    return std::string(value);
  }
  return {};
}

std::string HttpRequest::cookie(std::string_view name) const {
  const auto at = headers.find("cookie");
  return at == headers.end() ? std::string{} : cookie_value(at->second, name);
}

}  // namespace verbund::net
