#include "access/x509.h"

#include <ctime>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::access::x509 {
namespace {

struct FreeParts {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(ASN1_OCTET_STRING* text) const { ASN1_OCTET_STRING_free(text); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <typename T>
using Part = std::unique_ptr<T, FreeParts>;

/// The longest common name that X.509 allows (ub-common-name).
constexpr std::size_t kMaxCommonName = 64;

std::unexpected<Error> broken(const Phrase& operation) {
  const auto code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return fail(ErrorCode::kInternal, phrase("{}: OpenSSL: {}", operation, reason != nullptr ? verbatim(reason) : phrase("no reason given")));
}

std::string content(BIO& bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(&bio, &bytes);
  return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

Part<BIO> reading(std::string_view text) { return Part<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

/// Random and never zero; the highest bit of 127 is set, so that it stays positive in 16 bytes.
bool set_random_serial(X509& certificate) {
  const Part<BIGNUM> number(BN_new());
  return number && BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr;
}

bool set_time(ASN1_TIME* field, WallTime time) {
  const auto since_epoch = std::chrono::floor<seconds>(time.time_since_epoch()).count();
  return ASN1_TIME_adj(field, static_cast<std::time_t>(since_epoch), 0, 0) != nullptr;
}

bool add_name(X509_NAME* name, const char* field, const std::string& text) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

bool add_extension(X509& certificate, X509& issuer, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const Part<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, id, value));
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

/// Made of objects, not of OpenSSL's configuration text: a name with a comma would add fields there.
bool add_alternative_names(X509& certificate, const std::vector<std::string>& names) {
  const Part<GENERAL_NAMES> all(GENERAL_NAMES_new());
  if (!all) return false;
  for (const auto& name : names) {
    GENERAL_NAME* one = a2i_GENERAL_NAME(nullptr, nullptr, nullptr, is_address(name) ? GEN_IPADD : GEN_DNS, name.c_str(), 0);
    if (one == nullptr) return false;
    if (sk_GENERAL_NAME_push(all.get(), one) == 0) {
      GENERAL_NAME_free(one);
      return false;
    }
  }
  return X509_add1_ext_i2d(&certificate, NID_subject_alt_name, all.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

/// What both kinds share: version, serial number, validity, key and subject.
Result<Certificate> begin(EVP_PKEY& key, const std::string& common_name, Validity validity) {
  Certificate certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 || !set_random_serial(*certificate) ||
      !set_time(X509_getm_notBefore(certificate.get()), validity.from) ||
      !set_time(X509_getm_notAfter(certificate.get()), validity.until) ||
      X509_set_pubkey(certificate.get(), &key) != 1 ||
      !add_name(X509_get_subject_name(certificate.get()), "O", "Verbund") ||
      !add_name(X509_get_subject_name(certificate.get()), "CN", common_name.substr(0, kMaxCommonName))) {
    return broken(phrase("make a certificate"));
  }
  return certificate;
}

}  // namespace

Result<Key> new_key() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return broken(phrase("make a key"));
  return key;
}

Result<std::string> to_pem(EVP_PKEY& key) {
  const Part<BIO> bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return broken(phrase("write a key"));
  }
  return content(*bio);
}

Result<std::string> to_pem(X509& certificate) {
  const Part<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), &certificate) != 1) return broken(phrase("write a certificate"));
  return content(*bio);
}

Key key_from_pem(std::string_view pem) {
  const auto bio = reading(pem);
  // An encrypted key would ask on the terminal; here it just isn't one.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  Key key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr) : nullptr);
  ERR_clear_error();
  return key;
}

Certificate certificate_from_pem(std::string_view pem) {
  const auto bio = reading(pem);
  Certificate certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  return certificate;
}

Result<Certificate> make_authority(EVP_PKEY& key, const std::string& common_name, Validity validity) {
  auto made = begin(key, common_name, validity);
  if (!made) return made;
  X509& certificate = **made;
  if (X509_set_issuer_name(&certificate, X509_get_subject_name(&certificate)) != 1 ||
      !add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(certificate, certificate, NID_subject_key_identifier, "hash") ||
      !add_extension(certificate, certificate, NID_authority_key_identifier, "keyid:always") ||
      X509_sign(&certificate, &key, EVP_sha256()) == 0) {
    return broken(phrase("make the authority"));
  }
  return made;
}

Result<Certificate> make_server(EVP_PKEY& key, const std::vector<std::string>& names, Validity validity, X509& authority,
                                EVP_PKEY& authority_key) {
  auto made = begin(key, names.empty() ? "verbund" : names.front(), validity);
  if (!made) return made;
  X509& certificate = **made;
  if (X509_set_issuer_name(&certificate, X509_get_subject_name(&authority)) != 1 ||
      !add_extension(certificate, authority, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(certificate, authority, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(certificate, authority, NID_ext_key_usage, "serverAuth") ||
      !add_extension(certificate, authority, NID_subject_key_identifier, "hash") ||
      !add_extension(certificate, authority, NID_authority_key_identifier, "keyid:always") ||
      !add_alternative_names(certificate, names) || X509_sign(&certificate, &authority_key, EVP_sha256()) == 0) {
    return broken(phrase("make the server certificate"));
  }
  return made;
}

std::string sha256(X509& certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(&certificate, EVP_sha256(), digest, &size) != 1) return {};
  return {reinterpret_cast<const char*>(digest), size};
}

bool fits(X509& certificate, EVP_PKEY& key) {
  const bool same = X509_check_private_key(&certificate, &key) == 1;
  ERR_clear_error();
  return same;
}

bool is_authority(X509& certificate) { return X509_check_ca(&certificate) == 1; }

bool signed_by(X509& certificate, X509& authority) {
  const bool verified = X509_check_issued(&authority, &certificate) == X509_V_OK &&
                        X509_verify(&certificate, X509_get0_pubkey(&authority)) == 1;
  ERR_clear_error();
  return verified;
}

WallTime ends(X509& certificate) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &parts) != 1) return WallTime{};  // long over
  return WallTime{seconds{timegm(&parts)}};
}

bool covers(X509& certificate, const std::string& name) {
  if (is_address(name)) return X509_check_ip_asc(&certificate, name.c_str(), 0) == 1;
  return X509_check_host(&certificate, name.data(), name.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

bool is_address(const std::string& name) {
  const Part<ASN1_OCTET_STRING> address(a2i_IPADDRESS(name.c_str()));
  ERR_clear_error();
  return address != nullptr;
}

}  // namespace verbund::access::x509
