#pragma once
/// The way to the server: HTTPS to the node's port, the authority known by its fingerprint. One thread at a time.
#include <memory>

#include "platform/net/client.h"
#include "sync/device/device.h"
#include "sync/model/code.h"
#include "sync/model/transport.h"

namespace verbund::sync::device {

class HttpsTransport final : public DeviceTransport {
 public:
  /// `fingerprint`: net::Endpoint::ca_fingerprint.
  HttpsTransport(std::string host, std::uint16_t port, std::string fingerprint);
  Result<DeviceAnswer> call(const DeviceCall& call, std::stop_token stop) override;

 private:
  net::HttpClient client_;  // a sync's calls share a connection; each may be done twice
};

/// Where a device is to sync that enrols with this code at HOST:PORT.
Device::Identity identity_of(const std::string& server, const EnrolCode& code);
/// Errors: kUsage (no address), kDamaged (what the file says of its server is not what `identity_of` made).
Result<std::unique_ptr<HttpsTransport>> transport_to(const Device::Identity& identity);

}  // namespace verbund::sync::device
