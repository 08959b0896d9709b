#include "platform/os/short_hash.h"

#include <array>

#include <sodium.h>

#include "base/messages.h"

namespace verbund::os {

std::uint64_t short_hash(std::string_view text, std::uint64_t purpose) {
  std::array<unsigned char, crypto_shorthash_KEYBYTES> key{};
  std::array<unsigned char, crypto_shorthash_BYTES> hash{};
  for (std::size_t at = 0; at < sizeof purpose; ++at) key[at] = static_cast<unsigned char>(purpose >> (8 * at));
  crypto_shorthash(hash.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size(), key.data());
  std::uint64_t number = 0;
  for (std::size_t at = hash.size(); at > 0; --at) number = number << 8 | hash[at - 1];
  return number;
}

std::string to_base64(std::string_view bytes) {
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();  // the zero behind it
  return text;
}

Result<std::string> from_base64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  const bool fine = sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(), nullptr, &size, &end, sodium_base64_VARIANT_ORIGINAL) == 0;
  if (!fine || end != text.data() + text.size()) return fail(ErrorCode::kBadMessage, phrase("it is no base64"));
  bytes.resize(size);
  return bytes;
}

}  // namespace verbund::os
