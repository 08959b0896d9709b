#include "sync/device/https_transport.h"

#include <algorithm>
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

HttpsTransport::HttpsTransport(const std::vector<Address>& addresses, const std::string& fingerprint) {
  for (const auto& [name, host, port] : addresses) {
    places_.push_back({name, std::make_unique<net::HttpClient>(net::Endpoint{.host = host, .port = port, .ca_pem = {}, .ca_fingerprint = fingerprint})});
  }
}

std::string HttpsTransport::address() const { return places_.size() == 1 ? std::string() : places_[current_].address; }

Result<DeviceAnswer> HttpsTransport::call(const DeviceCall& call, std::stop_token stop) {
  net::HttpRequest request;
  request.method = call.method;
  request.path = unescaped(call.target);  // it is escaped again on its way
  if (!call.authorization.empty()) request.headers["authorization"] = call.authorization;
  request.body = call.body;
  constexpr int kUnavailable = 503;
  auto answer = places_[current_].client->request(request, kPatience, stop);
  for (std::size_t tried = 1; tried < places_.size(); ++tried) {
    const bool elsewhere = answer ? answer->status == kUnavailable : answer.error().code != ErrorCode::kCancelled;
    if (!elsewhere || stop.stop_requested()) break;
    const auto next = (current_ + tried) % places_.size();
    auto other = places_[next].client->request(request, kPatience, stop);
    if (!other || other->status == kUnavailable) continue;
    current_ = next;
    answer = std::move(other);
  }
  if (!answer) return pass(answer);
  return DeviceAnswer{answer->status, std::move(answer->body)};
}

Device::Identity identity_of(const std::string& server, const EnrolCode& code) {
  std::string hex;
  for (const char c : code.fingerprint) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return {{server}, hex};
}

Result<std::unique_ptr<HttpsTransport>> transport_to(const Device::Identity& identity) {
  std::vector<HttpsTransport::Address> addresses;
  for (const auto& name : identity.servers) {
    auto address = net::parse_host_port(name);
    if (!address && &name == &identity.servers.back() && addresses.empty()) return pass(address);
    const auto same = [&](const HttpsTransport::Address& known) { return known.host == address->first && known.port == address->second; };
    if (address && std::ranges::none_of(addresses, same)) addresses.push_back({name, address->first, address->second});
  }
  auto fingerprint = bytes_of(identity.trust);
  if (fingerprint.size() < net::kMinFingerprintBytes) return fail(ErrorCode::kDamaged, phrase("the device's database does not say how its server is known"));
  return std::make_unique<HttpsTransport>(addresses, fingerprint);
}

}  // namespace verbund::sync::device
