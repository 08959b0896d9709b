#include "sync/device/https_transport.h"

#include <charconv>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/net/host_port.h"

namespace verbund::sync::device {
namespace {

constexpr seconds kPatience{60};

/// As far as they are hex digits.
std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    unsigned char byte = 0;
    const auto pair = hex.substr(at, 2);
    if (std::from_chars(pair.data(), pair.data() + pair.size(), byte, 16).ptr != pair.data() + pair.size()) break;
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

}  // namespace

HttpsTransport::HttpsTransport(std::string host, std::uint16_t port, std::string fingerprint)
    : client_({.host = std::move(host), .port = port, .ca_pem = {}, .ca_fingerprint = std::move(fingerprint)}) {}

Result<DeviceAnswer> HttpsTransport::call(const DeviceCall& call, std::stop_token stop) {
  net::HttpRequest request;
  request.method = call.method;
  request.path = unescaped(call.target);  // it is escaped again on its way
  if (!call.authorization.empty()) request.headers["authorization"] = call.authorization;
  request.body = call.body;
  auto response = client_.request(request, kPatience, stop);
  if (!response) return pass(response);
  return DeviceAnswer{response->status, std::move(response->body)};
}

Device::Identity identity_of(const std::string& server, const EnrolCode& code) {
  std::string hex;
  for (const char c : code.fingerprint) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return {server, hex};
}

Result<std::unique_ptr<HttpsTransport>> transport_to(const Device::Identity& identity) {
  auto address = net::parse_host_port(identity.server);
  if (!address) return pass(address);
  auto fingerprint = bytes_of(identity.trust);
  if (fingerprint.size() < net::kMinFingerprintBytes) return fail(ErrorCode::kDamaged, phrase("the device's database does not say how its server is known"));
  return std::make_unique<HttpsTransport>(address->first, address->second, std::move(fingerprint));
}

}  // namespace verbund::sync::device
