#pragma once
/// OpenSSL's certificates and keys in RAII; all that touches OpenSSL in this folder. Any thread; memory only.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/result.h"
#include "base/time.h"

namespace verbund::access::x509 {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

/// ECDSA P-256. Errors: kInternal.
Result<Key> new_key();
Result<std::string> to_pem(EVP_PKEY& key);  ///< PKCS#8, not encrypted
Result<std::string> to_pem(X509& certificate);
/// Absent: no such thing in the text.
Key key_from_pem(std::string_view pem);
Certificate certificate_from_pem(std::string_view pem);

struct Validity {
  WallTime from;
  WallTime until;
};

/// Self-signed; may sign server certificates, but no further authorities.
Result<Certificate> make_authority(EVP_PKEY& key, const std::string& common_name, Validity validity);
/// For `names`, DNS names and IP addresses; the first is the subject's common name as well.
Result<Certificate> make_server(EVP_PKEY& key, const std::vector<std::string>& names, Validity validity, X509& authority,
                                EVP_PKEY& authority_key);

std::string sha256(X509& certificate);  ///< of its DER form, raw; empty when OpenSSL fails
bool fits(X509& certificate, EVP_PKEY& key);
bool is_authority(X509& certificate);
bool signed_by(X509& certificate, X509& authority);
WallTime ends(X509& certificate);
bool covers(X509& certificate, const std::string& name);
bool is_address(const std::string& name);

}  // namespace verbund::access::x509
