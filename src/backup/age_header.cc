#include <algorithm>
#include <array>
#include <cstring>

#include <sodium.h>

#include "backup/age.h"
#include "backup/age_keys.h"
#include "backup/codes.h"
#include "backup/key_file.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kVersion = "age-encryption.org/v1\n";
constexpr std::string_view kX25519 = "X25519";
constexpr std::string_view kEnd = "---";
constexpr std::size_t kColumns = 64;  // of a stanza's body
constexpr std::size_t kMaxStanzas = 100;

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorCode::kDamaged, phrase("age header: {}", Phrase{std::string(why)}));
}

SealedFor seal(const FileKey& key, const Recipient& recipient) {
  SecretBytes<32> own;
  SealedFor sealed;
  randombytes_buf(own.data(), own.size());
  crypto_scalarmult_curve25519_base(sealed.share.data(), own.data());
  SecretBytes<32> shared;
  // Fails for recipients of low order only, which Recipient::parse does not let in.
  [[maybe_unused]] const int done = crypto_scalarmult_curve25519(shared.data(), own.data(), recipient.key.data());
  const SecretBytes<32> wrap = wrap_key(shared.view(), sealed.share, recipient.key);
  constexpr std::array<unsigned char, 12> kNonce{};  // the key is used once
  crypto_aead_chacha20poly1305_ietf_encrypt(sealed.body.data(), nullptr, key.data(), key.size(), nullptr, 0, nullptr, kNonce.data(),
                                            wrap.data());
  return sealed;
}

std::array<unsigned char, 32> check_sum_of(const FileKey& key, std::string_view covered) {
  const SecretBytes<32> mac_key = hkdf_sha256(key.view(), {}, "header");
  std::array<unsigned char, 32> sum{};
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, mac_key.data(), mac_key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(covered.data()), covered.size());
  crypto_auth_hmacsha256_final(&state, sum.data());
  return sum;
}

/// A line without its newline; nothing when there is none.
std::optional<std::string_view> take_line(std::string_view text, std::size_t& at) {
  const std::size_t end = text.find('\n', at);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(at, end - at);
  at = end + 1;
  return line;
}

bool visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e; });
}

/// A stanza behind its "-> ": arguments, then lines of base64, the last shorter than the others.
Status read_stanza(std::string_view arguments, std::string_view text, std::size_t& at, AgeHeader& header) {
  std::vector<std::string_view> words;
  for (std::size_t from = 0; from <= arguments.size();) {
    const std::size_t blank = std::min(arguments.find(' ', from), arguments.size());
    words.push_back(arguments.substr(from, blank - from));
    from = blank + 1;
    if (words.back().empty() || !visible(words.back())) return bad(msgid("a word of an entry is empty or not printable"));
  }
  std::string body;
  for (bool last = false; !last;) {
    const auto line = take_line(text, at);
    if (!line || line->size() > kColumns) return bad(msgid("an entry without its end"));
    body += *line;
    last = line->size() < kColumns;
  }
  std::vector<unsigned char> raw(body.size() / 4 * 3 + (body.size() % 4 == 0 ? 0 : body.size() % 4 - 1));
  if (body.size() % 4 == 1 || !from_base64(body, raw, Padding::kNone)) return bad(msgid("an entry that is no base64"));
  if (words[0] != kX25519) return {};
  SealedFor sealed;
  if (words.size() != 2 || raw.size() != sealed.body.size() || !from_base64(words[1], sealed.share, Padding::kNone)) {
    return bad(msgid("an entry of X25519 that is none"));
  }
  std::ranges::copy(raw, sealed.body.begin());
  header.sealed.push_back(sealed);
  return {};
}

}  // namespace

SecretBytes<32> hkdf_sha256(std::span<const unsigned char> secret, std::span<const unsigned char> salt, std::string_view info) {
  // RFC 5869: without a salt it is zeros; an empty span's null pointer is nothing that libsodium takes.
  static constexpr std::array<unsigned char, 32> kNoSalt{};
  if (salt.empty()) salt = kNoSalt;
  crypto_auth_hmacsha256_state state;
  SecretBytes<32> extracted;
  crypto_auth_hmacsha256_init(&state, salt.data(), salt.size());
  crypto_auth_hmacsha256_update(&state, secret.data(), secret.size());
  crypto_auth_hmacsha256_final(&state, extracted.data());
  SecretBytes<32> key;
  constexpr unsigned char kFirst = 1;  // one block of 32 bytes is all that age needs
  crypto_auth_hmacsha256_init(&state, extracted.data(), extracted.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(info.data()), info.size());
  crypto_auth_hmacsha256_update(&state, &kFirst, 1);
  crypto_auth_hmacsha256_final(&state, key.data());
  sodium_memzero(&state, sizeof state);
  return key;
}

SecretBytes<32> wrap_key(std::span<const unsigned char> shared, std::span<const unsigned char, 32> share,
                         std::span<const unsigned char, 32> recipient) {
  std::array<unsigned char, 64> salt{};
  std::ranges::copy(share, salt.begin());
  std::ranges::copy(recipient, salt.begin() + 32);
  return hkdf_sha256(shared, salt, "age-encryption.org/v1/X25519");
}

std::string age_header(const FileKey& key, std::span<const Recipient> recipients) {
  need_sodium();
  std::string text(kVersion);
  for (const Recipient& recipient : recipients) {
    const SealedFor sealed = seal(key, recipient);
    text += fmt::format("-> {} {}\n{}\n", kX25519, to_base64(sealed.share, Padding::kNone), to_base64(sealed.body, Padding::kNone));
  }
  text += kEnd;
  return text + ' ' + to_base64(check_sum_of(key, text), Padding::kNone) + '\n';
}

bool age_header_is_whole(std::string_view text) {
  const std::size_t end = text.find("\n--- ");
  return end != std::string_view::npos && text.find('\n', end + 1) != std::string_view::npos;
}

Result<AgeHeader> read_age_header(std::string_view text) {
  if (!text.starts_with(kVersion)) return bad(msgid("it is none of version 1"));
  AgeHeader header;
  std::size_t at = kVersion.size();
  for (std::size_t stanzas = 0; stanzas <= kMaxStanzas; ++stanzas) {
    const std::size_t begin = at;
    const auto line = take_line(text, at);
    if (!line || at > kMaxAgeHeaderBytes) return bad(msgid("its end is missing"));
    if (line->starts_with(kEnd)) {
      header.covered = text.substr(0, begin + kEnd.size());
      header.bytes = at;
      const bool good = line->starts_with("--- ") && from_base64(line->substr(kEnd.size() + 1), header.check_sum, Padding::kNone);
      return good && stanzas > 0 ? Result<AgeHeader>(std::move(header)) : bad(msgid("no check sum, or nobody whom it is for"));
    }
    if (!line->starts_with("-> ")) return bad(msgid("a line that is no entry"));
    if (auto good = read_stanza(line->substr(3), text, at, header); !good) return pass(good);
  }
  return bad(msgid("too many entries"));
}

Result<FileKey> AgeHeader::open(const RecipientKey& key) const {
  for (const SealedFor& entry : sealed) {
    auto opened = key.open(entry);
    if (!opened) continue;
    const auto sum = check_sum_of(*opened, covered);
    if (sodium_memcmp(sum.data(), check_sum.data(), sum.size()) != 0) return bad(msgid("its check sum is wrong"));
    return std::move(*opened);
  }
  return fail(ErrorCode::kForbidden, phrase("open sealed file: it was not sealed for {}", key.recipient().text()),
              phrase("Take the key of one of the recipients; the manifest names them."));
}

}  // namespace verbund::backup
