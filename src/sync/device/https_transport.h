#pragma once
/// The way to the server: HTTPS to the node's port, the authority known by its fingerprint. Where several machines may be the office's, the one that has answered is asked first;
/// one that can't be reached, or says that work goes on elsewhere, is left for the next. One thread at a time.
#include <memory>

#include "platform/net/client.h"
#include "sync/device/device.h"
#include "sync/model/code.h"
#include "sync/model/transport.h"

namespace verbund::sync::device {

class HttpsTransport final : public DeviceTransport {
 public:
  struct Address {
    std::string name;  ///< as it was told
    std::string host;
    std::uint16_t port = 0;
  };
  /// `fingerprint`: net::Endpoint::ca_fingerprint. `addresses`: at least one.
  HttpsTransport(const std::vector<Address>& addresses, const std::string& fingerprint);
  Result<DeviceAnswer> call(const DeviceCall& call, std::stop_token stop) override;
  [[nodiscard]] std::string address() const override;

 private:
  struct Place {
    std::string address;
    std::unique_ptr<net::HttpClient> client;  // a sync's calls share a connection; each may be done twice
  };
  std::vector<Place> places_;
  std::size_t current_ = 0;
};

/// Where a device is to sync that enrols with this code at HOST:PORT.
Device::Identity identity_of(const std::string& server, const EnrolCode& code);
/// Errors: kUsage (no address), kDamaged (what the file says of its server is not what `identity_of` made).
Result<std::unique_ptr<HttpsTransport>> transport_to(const Device::Identity& identity);

}  // namespace verbund::sync::device
