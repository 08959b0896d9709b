#pragma once
/// The installation's own authority and the node's certificate (OpenSSL, ECDSA P-256, X.509v3). Any thread; file I/O.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace verbund::access {

struct Certificates {
  std::string ca_pem;
  std::string chain_pem;  ///< server certificate, then authority
  std::string key_pem;    ///< the server's
};

/// Reads `<dir>/ca.crt, ca.key (0600), server.crt, server.key (0600)`; makes what is missing. The server certificate is
/// made anew when it ends within 30 days or lacks one of `names` (DNS names and IP addresses: localhost, 127.0.0.1,
/// ::1, host name, configured ones). The authority lives 10 years, a server certificate 397 days (what browsers take).
/// Errors: kIo, kBadConfig (a key does not fit its certificate: names the file).
Result<Certificates> load_or_create(const std::filesystem::path& directory, const std::vector<std::string>& names,
                                    const Clock& clock);

/// SHA-256 of a certificate's DER form, 32 raw bytes: what people compare. Errors: kBadConfig (no certificate).
Result<std::string> fingerprint(std::string_view certificate_pem);

}  // namespace verbund::access
