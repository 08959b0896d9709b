#include "platform/os/random.h"

#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#include <sodium.h>

namespace verbund::os {
namespace {

/// Once per process. Without the kernel's random numbers no secret can be made: going on would be worse than ending.
void need_sodium() {
  static const int ready = sodium_init();
  if (ready < 0) {
    std::fputs("verbund: libsodium found no source of random numbers\n", stderr);
    std::abort();
  }
}

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string to_hex(const std::vector<unsigned char>& bytes) {
  std::string hex(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(hex.data(), hex.size(), bytes.data(), bytes.size());
  hex.pop_back();
  return hex;
}

}  // namespace

std::string random_hex(std::size_t bytes) {
  need_sodium();
  std::vector<unsigned char> raw(bytes);
  randombytes_buf(raw.data(), raw.size());
  std::string hex = to_hex(raw);
  sodium_memzero(raw.data(), raw.size());
  return hex;
}

std::string blake2b_hex(std::string_view text) {
  need_sodium();
  std::vector<unsigned char> hash(crypto_generichash_BYTES);
  static_assert(crypto_generichash_BYTES == 32);
  crypto_generichash(hash.data(), hash.size(), bytes_of(text), text.size(), nullptr, 0);
  return to_hex(hash);
}

Blake2b::Blake2b() {
  need_sodium();
  static_assert(sizeof(crypto_generichash_state) <= sizeof(state_) && alignof(crypto_generichash_state) <= 64);
  crypto_generichash_init(reinterpret_cast<crypto_generichash_state*>(state_.data()), nullptr, 0, crypto_generichash_BYTES);
}

void Blake2b::add(std::string_view bytes) { crypto_generichash_update(reinterpret_cast<crypto_generichash_state*>(state_.data()), bytes_of(bytes), bytes.size()); }

std::string Blake2b::hex() {
  std::vector<unsigned char> hash(crypto_generichash_BYTES);
  crypto_generichash_final(reinterpret_cast<crypto_generichash_state*>(state_.data()), hash.data(), hash.size());
  return to_hex(hash);
}

bool equal_secrets(std::string_view left, std::string_view right) {
  need_sodium();
  return left.size() == right.size() && sodium_memcmp(left.data(), right.data(), left.size()) == 0;
}

std::string hash_password(std::string_view password) {
  need_sodium();
  std::string hash(crypto_pwhash_STRBYTES, '\0');
  if (crypto_pwhash_str_alg(hash.data(), password.data(), password.size(), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                            crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    throw std::bad_alloc();  // its only failure: the 64 MiB were not to be had
  }
  hash.resize(hash.find('\0'));
  return hash;
}

bool verify_password(std::string_view hash, std::string_view password) {
  need_sodium();
  if (hash.size() >= crypto_pwhash_STRBYTES) return false;
  const std::string terminated(hash);
  return crypto_pwhash_str_verify(terminated.c_str(), password.data(), password.size()) == 0;
}

}  // namespace verbund::os
