// minisign's keys and signatures: jedisct1.github.io/minisign, "Signature format".
#include <algorithm>
#include <cstring>

#include <sodium.h>

#include "backup/codes.h"
#include "backup/key_file.h"
#include "backup/keys.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kComment = "untrusted comment: ";
constexpr std::string_view kTrustedComment = "trusted comment: ";
constexpr std::size_t kMaxCommentBytes = 1024;

/// As the files have them, byte by byte.
struct PublicBytes {
  std::array<unsigned char, 2> algorithm{'E', 'd'};
  std::array<unsigned char, 8> id{};
  std::array<unsigned char, 32> key{};
};
struct SecretKeyBytes {
  std::array<unsigned char, 2> algorithm{'E', 'd'}, kdf{}, checksum_algorithm{'B', '2'};
  std::array<unsigned char, 48> kdf_settings{};  // salt, opslimit, memlimit: none without a password
  std::array<unsigned char, 8> id{};
  std::array<unsigned char, 64> key{};
  std::array<unsigned char, 32> checksum{};
};
struct SignatureBytes {
  std::array<unsigned char, 2> algorithm{'E', 'D'};  // prehashed by BLAKE2b-512
  std::array<unsigned char, 8> id{};
  std::array<unsigned char, 64> signature{};
};
static_assert(sizeof(PublicBytes) == 42 && sizeof(SecretKeyBytes) == 158 && sizeof(SignatureBytes) == 74);

template <typename Bytes>
std::span<const unsigned char> view(const Bytes& bytes) {
  return {reinterpret_cast<const unsigned char*>(&bytes), sizeof bytes};
}
template <typename Bytes>
bool read(std::string_view text, Bytes& bytes) {
  return from_base64(text, {reinterpret_cast<unsigned char*>(&bytes), sizeof bytes}, Padding::kEquals);
}

std::array<unsigned char, 32> checksum_of(const SecretKeyBytes& bytes) {
  std::array<unsigned char, 32> sum{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, sum.size());
  crypto_generichash_update(&state, bytes.algorithm.data(), bytes.algorithm.size());
  crypto_generichash_update(&state, bytes.id.data(), bytes.id.size());
  crypto_generichash_update(&state, bytes.key.data(), bytes.key.size());
  crypto_generichash_final(&state, sum.data(), sum.size());
  return sum;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);  // a mail program was at it
  return line;
}

std::unexpected<Error> bad_key() { return fail(ErrorCode::kDamaged, phrase("signing key: damaged, or not in minisign's form")); }

/// The secret key holds its public half: both must fit, or every signature would be worthless.
bool halves_fit(const SecretKeyBytes& bytes) {
  std::array<unsigned char, 32> derived{};
  SecretBytes<64> secret;
  crypto_sign_seed_keypair(derived.data(), secret.data(), bytes.key.data());
  return std::memcmp(secret.data(), bytes.key.data(), bytes.key.size()) == 0;
}

}  // namespace

std::string PublicKey::text() const { return to_base64(view(PublicBytes{{'E', 'd'}, id, key}), Padding::kEquals); }

std::string PublicKey::id_text() const {
  std::string text;  // minisign shows the number, which is stored lowest byte first
  for (auto byte = id.rbegin(); byte != id.rend(); ++byte) text += fmt::format("{:02X}", *byte);
  return text;
}

std::string PublicKey::file_text() const { return fmt::format("{}minisign public key {}\n{}\n", kComment, id_text(), text()); }

Result<PublicKey> PublicKey::parse(std::string_view text) {
  std::string_view line = take_line(text);
  if (line.starts_with(kComment)) line = take_line(text);
  PublicBytes bytes;
  if (!read(line, bytes) || bytes.algorithm != PublicBytes{}.algorithm || !text.empty()) {
    return fail(ErrorCode::kDamaged, phrase("public key: damaged, or not in minisign's form"));
  }
  return PublicKey{bytes.id, bytes.key};
}

SigningKey SigningKey::generate() {
  need_sodium();
  SigningKey key;
  std::array<unsigned char, 32> public_half{};
  crypto_sign_keypair(public_half.data(), key.secret_.data());
  randombytes_buf(key.id_.data(), key.id_.size());
  return key;
}

Result<SigningKey> SigningKey::load(const std::filesystem::path& path) { return load_key<SigningKey>(path); }

Result<SigningKey> SigningKey::parse(std::string_view text) {
  need_sodium();
  SecretKeyBytes bytes;
  if (!take_line(text).starts_with(kComment) || !read(take_line(text), bytes) || !text.empty()) return bad_key();
  constexpr std::array<unsigned char, 2> kNoPassword{};
  if (bytes.algorithm != SecretKeyBytes{}.algorithm || bytes.checksum_algorithm != SecretKeyBytes{}.checksum_algorithm) return bad_key();
  if (bytes.kdf != kNoPassword) {
    return fail(ErrorCode::kUnsupported, phrase("signing key: it is protected by a password"),
                phrase("A backup at night can't be asked for it: take it off with minisign -C -W -s KEY."));
  }
  // minisign 0.11 writes zeros when there is no password.
  const bool unchecked = std::ranges::all_of(bytes.checksum, [](unsigned char byte) { return byte == 0; });
  SigningKey key;
  std::memcpy(key.secret_.data(), bytes.key.data(), bytes.key.size());
  key.id_ = bytes.id;
  const bool good = (unchecked || bytes.checksum == checksum_of(bytes)) && halves_fit(bytes);
  sodium_memzero(&bytes, sizeof bytes);
  if (!good) return bad_key();
  return key;
}

Status SigningKey::save(const std::filesystem::path& path) const {
  SecretKeyBytes bytes;
  bytes.id = id_;
  std::memcpy(bytes.key.data(), secret_.data(), bytes.key.size());
  bytes.checksum = checksum_of(bytes);
  std::string text = fmt::format("{}minisign secret key of Verbund, no password: keep it to yourself\n{}\n", kComment,
                                 to_base64(view(bytes), Padding::kEquals));
  sodium_memzero(&bytes, sizeof bytes);
  auto saved = os::write_file_atomically(path, text, 0600);
  sodium_memzero(text.data(), text.size());
  return saved;
}

PublicKey SigningKey::public_key() const {
  PublicKey key{id_, {}};
  std::memcpy(key.key.data(), secret_.data() + 32, key.key.size());  // libsodium: seed, then public half
  return key;
}

std::string SigningKey::sign(std::span<const unsigned char, 64> blake2b, std::string_view given) const {
  const std::string comment(given.substr(0, kMaxCommentBytes));
  SignatureBytes bytes{{'E', 'D'}, id_, {}};
  crypto_sign_detached(bytes.signature.data(), nullptr, blake2b.data(), blake2b.size(), secret_.data());
  std::string both(reinterpret_cast<const char*>(bytes.signature.data()), bytes.signature.size());
  both += comment;
  std::array<unsigned char, 64> over_both{};
  crypto_sign_detached(over_both.data(), nullptr, reinterpret_cast<const unsigned char*>(both.data()), both.size(), secret_.data());
  return Signature{id_, bytes.signature, over_both, comment}.text();
}

std::string Signature::text() const {
  return fmt::format("{}signature of a backup set\n{}\n{}{}\n{}\n", kComment,
                     to_base64(view(SignatureBytes{{'E', 'D'}, key_id, signature}), Padding::kEquals), kTrustedComment, comment,
                     to_base64(comment_signature, Padding::kEquals));
}

Result<Signature> Signature::parse(std::string_view text) {
  Signature read_out;
  SignatureBytes bytes;
  bool good = take_line(text).starts_with(kComment) && read(take_line(text), bytes) && bytes.algorithm == SignatureBytes{}.algorithm;
  const std::string_view comment = good ? take_line(text) : std::string_view{};
  good = good && comment.starts_with(kTrustedComment) && comment.size() <= kTrustedComment.size() + kMaxCommentBytes &&
         from_base64(take_line(text), read_out.comment_signature, Padding::kEquals) && text.empty();
  if (!good) return fail(ErrorCode::kDamaged, phrase("signature: damaged, or not in minisign's form"));
  read_out.key_id = bytes.id;
  read_out.signature = bytes.signature;
  read_out.comment = comment.substr(kTrustedComment.size());
  return read_out;
}

Status Signature::check(const std::vector<PublicKey>& trusted, std::span<const unsigned char, 64> blake2b) const {
  std::string both(reinterpret_cast<const char*>(signature.data()), signature.size());
  both += comment;
  bool known = false;
  for (const PublicKey& key : trusted) {
    if (key.id != key_id) continue;
    known = true;
    if (crypto_sign_verify_detached(signature.data(), blake2b.data(), blake2b.size(), key.key.data()) == 0 &&
        crypto_sign_verify_detached(comment_signature.data(), reinterpret_cast<const unsigned char*>(both.data()), both.size(),
                                    key.key.data()) == 0) {
      return {};
    }
  }
  if (known) return fail(ErrorCode::kDamaged, phrase("signature: it does not fit what was signed"));
  return fail(ErrorCode::kForbidden, phrase("signature: made with key {}, which is not trusted here", PublicKey{key_id, {}}.id_text()),
              phrase("If the key is known to be the office's, add its public half to the trusted ones."));
}

}  // namespace verbund::backup
