#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "base/messages.h"

#include "platform/net/client.h"
#include "platform/net/transport.h"

namespace verbund::net {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio memory(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free};
}

Certificate next_certificate(BIO* from) { return {PEM_read_bio_X509(from, nullptr, nullptr, nullptr), &X509_free}; }

std::string last_reason() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

struct FreeStack {
  void operator()(STACK_OF(X509)* stack) const { sk_X509_free(stack); }
};

/// Where a context keeps its fingerprint: a connection holds OpenSSL's context alone, which goes last.
int fingerprint_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, [](void*, void* kept, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<std::string*>(kept);
  });
  return index;
}

/// The authority that the fingerprint names becomes the only one that is trusted; the rest (signature, time, name) is checked as ever.
int verify_by_fingerprint(X509_STORE_CTX* store, void* argument) {
  const auto& wanted = *static_cast<const std::string*>(argument);
  STACK_OF(X509)* const sent = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    X509* const certificate = sk_X509_value(sent, i);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1 || size < wanted.size()) continue;
    if (CRYPTO_memcmp(digest, wanted.data(), wanted.size()) != 0) continue;
    const std::unique_ptr<STACK_OF(X509), FreeStack> trusted(sk_X509_new_null());
    if (!trusted || sk_X509_push(trusted.get(), certificate) == 0) break;
    X509_STORE_CTX_set0_trusted_stack(store, trusted.get());
    return X509_verify_cert(store);
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
  return 0;
}

}  // namespace

TlsContext::TlsContext(SSL_CTX* context) : context_(context, &SSL_CTX_free) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

Result<TlsContext> TlsContext::server(const std::string& certificate_chain_pem, const std::string& private_key_pem) {
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  const auto chain = memory(certificate_chain_pem);
  const auto leaf = next_certificate(chain.get());
  if (!leaf || SSL_CTX_use_certificate(context.get(), leaf.get()) != 1) {
    return fail(ErrorCode::kBadConfig, phrase("read the TLS certificate: {}", last_reason()));
  }
  while (auto next = next_certificate(chain.get())) SSL_CTX_add1_chain_cert(context.get(), next.get());
  ERR_clear_error();
  const auto key_text = memory(private_key_pem);
  // A password is never asked for: the callback would read the terminal.
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr),
                &EVP_PKEY_free);
  if (!key || SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    return fail(ErrorCode::kBadConfig, phrase("read the TLS key: {}", last_reason()));
  }
  if (SSL_CTX_check_private_key(context.get()) != 1) {
    return fail(ErrorCode::kBadConfig, phrase("pair TLS certificate and key: {}", last_reason()));
  }
  SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

Result<TlsContext> TlsContext::client(const std::string& ca_pem) {
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  const auto text = memory(ca_pem);
  std::size_t count = 0;
  while (auto authority = next_certificate(text.get())) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority.get());
    ++count;
  }
  if (count == 0) return fail(ErrorCode::kBadConfig, phrase("read the trusted authority: {}", last_reason()));
  ERR_clear_error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return context;
}

Result<TlsContext> TlsContext::client_of(const std::string& fingerprint) {
  if (fingerprint.size() < kMinFingerprintBytes || fingerprint.size() > SHA256_DIGEST_LENGTH) {
    return fail(ErrorCode::kBadConfig, phrase("read the authority's fingerprint: it has {} bytes", fingerprint.size()));
  }
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  auto kept = std::make_unique<std::string>(fingerprint);
  if (SSL_CTX_set_ex_data(context.get(), fingerprint_index(), kept.get()) != 1) return fail(ErrorCode::kBadConfig, phrase("read the trusted authority: {}", last_reason()));
  SSL_CTX_set_cert_verify_callback(context.get(), verify_by_fingerprint, kept.release());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return context;
}

}  // namespace verbund::net
