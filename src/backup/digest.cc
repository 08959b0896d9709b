#include "backup/digest.h"

#include <cassert>

#include <openssl/evp.h>
#include <sodium.h>

namespace verbund::backup {

struct Sha256::Context {
  EVP_MD_CTX* state = EVP_MD_CTX_new();
  Context() {
    // Fails only without memory or without SHA-256 in the library: nothing of a backup could go on.
    if (state == nullptr || EVP_DigestInit_ex(state, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(state); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::string_view bytes) {
  [[maybe_unused]] const int done = EVP_DigestUpdate(context_->state, bytes.data(), bytes.size());
  assert(done == 1);
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> raw{};
  unsigned size = 0;
  [[maybe_unused]] const int done = EVP_DigestFinal_ex(context_->state, raw.data(), &size);
  assert(done == 1 && size == raw.size());
  std::string text(2 * raw.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), raw.data(), raw.size());
  text.pop_back();
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::array<unsigned char, 64> blake2b_512(std::string_view bytes) {
  std::array<unsigned char, 64> hash{};
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr, 0);
  return hash;
}

}  // namespace verbund::backup
