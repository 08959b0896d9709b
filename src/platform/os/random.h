#pragma once
/// Secrets and their hashes (libsodium). Any thread.
#include <string>
#include <string_view>

namespace verbund::os {

/// `bytes` random bytes of the kernel as lower-case hex digits.
std::string random_hex(std::size_t bytes);
/// 32-byte BLAKE2b of `text` as hex: how session, device and access secrets are stored (256 random bits need no salt).
std::string blake2b_hex(std::string_view text);
/// In constant time for equal lengths.
bool equal_secrets(std::string_view left, std::string_view right);
/// argon2id in libsodium's string form, for typed passwords. About 100 ms and 64 MiB: on the worker pool only.
/// Without that memory: std::bad_alloc.
std::string hash_password(std::string_view password);
bool verify_password(std::string_view hash, std::string_view password);

}  // namespace verbund::os
