#pragma once
/// For the tests of this folder: an authority made on the spot and certificates that it signs.
#include <memory>
#include <string>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "platform/net/server.h"

namespace verbund::net {

class TestAuthority {
 public:
  TestAuthority() : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free), certificate_(make("authority", "", key_.get(), 3600)) {}

  /// `names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1".
  [[nodiscard]] TlsIdentity identity(const std::string& names, long valid_seconds = 3600) const {
    const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const auto leaf = make("node", names, key.get(), valid_seconds);
    return {pem([&](BIO* out) { PEM_write_bio_X509(out, leaf.get()); }),
            pem([&](BIO* out) { PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); })};
  }
  /// SHA-256 of the authority's certificate, raw.
  [[nodiscard]] std::string fingerprint() const {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    X509_digest(certificate_.get(), EVP_sha256(), digest, &size);
    return {reinterpret_cast<const char*>(digest), size};
  }
  [[nodiscard]] std::string ca_pem() const {
    return pem([&](BIO* out) { PEM_write_bio_X509(out, certificate_.get()); });
  }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  Certificate make(const char* name, const std::string& alt_names, EVP_PKEY* key, long valid_seconds) const {
    Certificate made(X509_new(), &X509_free);
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), alt_names.empty() ? 1 : 2);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -7200);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), valid_seconds);
    X509_set_pubkey(made.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    const bool is_authority = alt_names.empty();
    X509_set_issuer_name(made.get(), X509_get_subject_name(is_authority ? made.get() : certificate_.get()));
    extend(made.get(), is_authority ? NID_basic_constraints : NID_subject_alt_name,
           is_authority ? "critical,CA:TRUE" : alt_names.c_str());
    X509_sign(made.get(), key_.get(), EVP_sha256());
    return made;
  }

  static void extend(X509* certificate, int nid, const char* value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  template <typename Write>
  static std::string pem(const Write& write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
    write(out.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }

  Key key_;
  Certificate certificate_;
};

}  // namespace verbund::net
