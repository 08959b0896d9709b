#include "platform/net/transport.h"

#include <cerrno>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

namespace verbund::net {
namespace {

// --- A BIO on the socket: like BIO_s_socket, but with MSG_NOSIGNAL, so that a vanished peer raises no SIGPIPE ---

int descriptor_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto n = ::send(descriptor_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto n = ::recv(descriptor_of(bio), data, static_cast<std::size_t>(size), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(n);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

IoResult plain_result(ssize_t n) {
  if (n > 0) return {IoStatus::kDone, static_cast<std::size_t>(n)};
  if (n == 0) return {IoStatus::kEnd};
  return {errno == EAGAIN || errno == EINTR ? IoStatus::kAgain : IoStatus::kFailed};
}

bool is_address(const std::string& host) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET, host.c_str(), &ignored) == 1 || ::inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

}  // namespace

Transport::~Transport() { close(); }

void Transport::close() {
  SSL_free(tls_);
  tls_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool Transport::put_tls_on(const TlsContext& context) {
  tls_ = SSL_new(context.get());
  BIO* bio = tls_ == nullptr ? nullptr : BIO_new(socket_method());
  if (bio == nullptr) return false;
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd_)));
  BIO_set_init(bio, 1);
  SSL_set_bio(tls_, bio, bio);
  return true;
}

bool Transport::accept_tls(const TlsContext& context) {
  if (!put_tls_on(context)) return false;
  SSL_set_accept_state(tls_);
  return true;
}

bool Transport::connect_tls(const TlsContext& context, const std::string& host) {
  if (!put_tls_on(context)) return false;
  SSL_set_connect_state(tls_);
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_), host.c_str()) == 1;
  return SSL_set1_host(tls_, host.c_str()) == 1 && SSL_set_tlsext_host_name(tls_, host.c_str()) == 1;
}

IoResult Transport::tls_result(int rc) {
  if (rc > 0) return {IoStatus::kDone, static_cast<std::size_t>(rc)};
  const int error = SSL_get_error(tls_, rc);
  if (error == SSL_ERROR_WANT_READ) return {IoStatus::kAgain};
  if (error == SSL_ERROR_WANT_WRITE) return {IoStatus::kAgain, 0, true};
  if (error == SSL_ERROR_ZERO_RETURN) return {IoStatus::kEnd};
  const auto code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  if (reason != nullptr) failure_ = reason;
  ERR_clear_error();
  return {IoStatus::kFailed};
}

IoResult Transport::handshake() {
  ERR_clear_error();
  auto result = tls_result(SSL_do_handshake(tls_));
  if (result.status == IoStatus::kEnd) result.status = IoStatus::kFailed;
  return result;
}

bool Transport::untrusted() const { return tls_ != nullptr && SSL_get_verify_result(tls_) != X509_V_OK; }

std::string Transport::tls_failure() const {
  if (untrusted()) return X509_verify_cert_error_string(SSL_get_verify_result(tls_));
  return failure_;
}

IoResult Transport::read(std::span<char> into) {
  if (tls_ == nullptr) return plain_result(::recv(fd_, into.data(), into.size(), 0));
  ERR_clear_error();
  return tls_result(SSL_read(tls_, into.data(), static_cast<int>(into.size())));
}

IoResult Transport::write(std::span<const iovec> pieces) {
  if (tls_ != nullptr) return write_tls(pieces);
  if (pieces.size() == 1) return plain_result(::send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL));
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg only reads them
  message.msg_iovlen = pieces.size();
  return plain_result(::sendmsg(fd_, &message, MSG_NOSIGNAL));
}

IoResult Transport::write_tls(std::span<const iovec> pieces) {
  std::size_t written = 0;
  for (const iovec& piece : pieces) {
    ERR_clear_error();
    const auto result = tls_result(SSL_write(tls_, piece.iov_base, static_cast<int>(piece.iov_len)));
    if (result.status != IoStatus::kDone) return written > 0 ? IoResult{IoStatus::kDone, written} : result;
    written += result.bytes;
    if (result.bytes < piece.iov_len) break;
  }
  return {IoStatus::kDone, written};
}

bool Transport::has_pending() const { return tls_ != nullptr && SSL_pending(tls_) > 0; }

void Transport::shut_down_writes() {
  if (tls_ != nullptr && SSL_is_init_finished(tls_) == 1) {
    ERR_clear_error();
    SSL_shutdown(tls_);
    ERR_clear_error();
  }
  ::shutdown(fd_, SHUT_WR);
}

}  // namespace verbund::net
