#include "platform/os/sealed_box.h"

#include <sodium.h>

#include "base/messages.h"

namespace verbund::os {
namespace {

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

std::unexpected<Error> no_key() { return fail(ErrorCode::kBadMessage, phrase("sealed box: it is no key")); }

}  // namespace

BoxKeys make_box_keys() {
  BoxKeys keys{std::string(crypto_box_PUBLICKEYBYTES, '\0'), std::string(crypto_box_SECRETKEYBYTES, '\0')};
  crypto_box_keypair(raw(keys.open), raw(keys.secret));
  return keys;
}

Result<std::string> seal(std::string_view text, std::string_view open) {
  if (open.size() != crypto_box_PUBLICKEYBYTES) return no_key();
  std::string sealed(text.size() + crypto_box_SEALBYTES, '\0');
  if (crypto_box_seal(raw(sealed), raw(text), text.size(), raw(open)) != 0) return no_key();
  return sealed;
}

Result<std::string> unseal(std::string_view sealed, const BoxKeys& keys) {
  if (keys.open.size() != crypto_box_PUBLICKEYBYTES || keys.secret.size() != crypto_box_SECRETKEYBYTES) return no_key();
  if (sealed.size() < crypto_box_SEALBYTES) return fail(ErrorCode::kDamaged, phrase("sealed box: it is too short"));
  std::string text(sealed.size() - crypto_box_SEALBYTES, '\0');
  if (crypto_box_seal_open(raw(text), raw(sealed), sealed.size(), raw(keys.open), raw(keys.secret)) != 0) return fail(ErrorCode::kDamaged, phrase("sealed box: it can't be opened with these keys"));
  return text;
}

}  // namespace verbund::os
