/// Key files, public keys, recipients and signatures; the first byte chooses.
#include <cstdint>
#include <cstdlib>

#include "backup/keys.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::backup;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      if (const auto key = PublicKey::parse(text)) {
        if (PublicKey::parse(key->file_text()) != *key) std::abort();
      }
      break;
    case 1:
      if (const auto key = SigningKey::parse(text)) {
        const std::array<unsigned char, 64> hash{};
        const auto signature = Signature::parse(key->sign(hash, "x"));
        if (!signature || !signature->check({key->public_key()}, hash)) std::abort();
      }
      break;
    case 2:
      if (const auto signature = Signature::parse(text)) {
        if (signature->check({SigningKey::generate().public_key()}, std::array<unsigned char, 64>{})) std::abort();
      }
      break;
    case 3:
      if (const auto recipient = Recipient::parse(text)) {
        const auto again = Recipient::parse(recipient->text());
        if (!again || again->text() != recipient->text()) std::abort();
      }
      break;
    default:
      if (const auto key = RecipientKey::parse(text)) {
        if (RecipientKey::from_recovery_text(key->recovery_text())->age_text() != key->age_text()) std::abort();
      }
  }
  return 0;
}
