#include "sync/device/https_transport.h"

namespace verbund::sync::device {
namespace {

constexpr seconds kPatience{60};

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

}  // namespace verbund::sync::device
