#pragma once
/// SHA-256 (OpenSSL, which uses the processor's own instructions), BLAKE2b-512 for signatures, hex. For this folder's units.
#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace verbund::backup {

/// One thread. `hex` ends it.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(std::string_view bytes);
  [[nodiscard]] std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::string_view bytes);
/// 64 lower-case digits.
bool is_sha256_hex(std::string_view text);

/// What a minisign signature is made over ("prehashed").
std::array<unsigned char, 64> blake2b_512(std::string_view bytes);

}  // namespace verbund::backup
