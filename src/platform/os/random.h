#pragma once
/// Secrets and their hashes (libsodium). Any thread.
#include <array>
#include <string>
#include <string_view>

namespace verbund::os {

/// `bytes` random bytes of the kernel as lower-case hex digits.
std::string random_hex(std::size_t bytes);
/// 32-byte BLAKE2b of `text` as hex: how session, device and access secrets are stored (256 random bits need no salt).
std::string blake2b_hex(std::string_view text);
/// The same of what comes piece by piece. A value; `hex` ends it.
class Blake2b {
 public:
  Blake2b();
  void add(std::string_view bytes);
  std::string hex();

 private:
  alignas(64) std::array<unsigned char, 384> state_;  // libsodium's own
};
/// In constant time for equal lengths.
bool equal_secrets(std::string_view left, std::string_view right);
/// argon2id in libsodium's string form, for typed passwords. About 100 ms and 64 MiB: on the worker pool only.
/// Without that memory: std::bad_alloc.
std::string hash_password(std::string_view password);
bool verify_password(std::string_view hash, std::string_view password);

}  // namespace verbund::os
