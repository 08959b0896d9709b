#pragma once
/// The way to the server: HTTPS to the node's port, the authority known by its fingerprint. One thread at a time.
#include "platform/net/client.h"
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

}  // namespace verbund::sync::device
