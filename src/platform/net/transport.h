#pragma once
/// A connected non-blocking socket, plain or with TLS on it; and the TLS contexts. OpenSSL works on the socket directly
/// (no memory BIOs), so that an idle TLS connection holds no buffers (SSL_MODE_RELEASE_BUFFERS).
/// Threads: one at a time per object; a TlsContext may be used by many.
#include <memory>
#include <span>
#include <string>

#include <sys/uio.h>

#include "base/result.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace verbund::net {

class TlsContext {
 public:
  /// Server: chain and key. Errors: kBadConfig (names what does not parse or does not fit together).
  static Result<TlsContext> server(const std::string& certificate_chain_pem, const std::string& private_key_pem);
  /// Client: trusts the certificates in `ca_pem` alone. Errors: kBadConfig.
  static Result<TlsContext> client(const std::string& ca_pem);
  /// Client: trusts the certificate of the server's chain whose SHA-256 begins with these bytes. Errors: kBadConfig (fewer than 16, more than 32).
  static Result<TlsContext> client_of(const std::string& fingerprint);
  [[nodiscard]] SSL_CTX* get() const { return context_.get(); }

 private:
  explicit TlsContext(SSL_CTX* context);
  std::shared_ptr<SSL_CTX> context_;  // shared: connections keep the context they began with
};

enum class IoStatus { kDone, kAgain, kEnd, kFailed };
struct IoResult {
  IoStatus status;
  std::size_t bytes = 0;     ///< kDone: moved
  bool needs_write = false;  ///< kAgain: wait for writability, not for readability
};

class Transport {
 public:
  explicit Transport(int fd) : fd_(fd) {}
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool encrypted() const { return tls_ != nullptr; }
  /// Puts TLS on top. False when OpenSSL is out of memory.
  [[nodiscard]] bool accept_tls(const TlsContext& context);
  /// `host`, a name or an address, must be in the certificate.
  [[nodiscard]] bool connect_tls(const TlsContext& context, const std::string& host);
  /// kDone when the handshake is over.
  IoResult handshake();
  /// Why the handshake failed: "certificate has expired", "wrong version number". Empty: the connection broke.
  [[nodiscard]] std::string tls_failure() const;
  /// True when the peer's certificate was the reason.
  [[nodiscard]] bool untrusted() const;

  IoResult read(std::span<char> into);
  /// In order, as much as fits; `bytes` may be less than all with kDone.
  IoResult write(std::span<const iovec> pieces);
  /// Decrypted bytes that the socket's readiness says nothing about.
  [[nodiscard]] bool has_pending() const;
  /// Says goodbye (close_notify, FIN); reading goes on.
  void shut_down_writes();
  void close();

 private:
  bool put_tls_on(const TlsContext& context);
  IoResult tls_result(int rc);
  IoResult write_tls(std::span<const iovec> pieces);

  int fd_;
  SSL* tls_ = nullptr;
  std::string failure_;
};

}  // namespace verbund::net
