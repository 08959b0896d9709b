// age's recipients and identities.
#include <algorithm>
#include <cstring>

#include <sodium.h>

#include "backup/age_keys.h"
#include "backup/codes.h"
#include "backup/key_file.h"
#include "backup/keys.h"
#include "backup/names.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kRecipientPrefix = "age";
constexpr std::string_view kSecretPrefix = "age-secret-key-";
constexpr std::string_view kNameComment = "# name: ";
constexpr std::string_view kCreatedComment = "# created: ";
constexpr std::size_t kDayBytes = 10;  // "2026-11-22"

std::unexpected<Error> bad_key() { return fail(ErrorCode::kDamaged, phrase("key of a recipient: damaged, or not in age's form")); }

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Nobody can be sealed for such a key: the shared secret would be zero.
bool low_order(const std::array<unsigned char, 32>& key) {
  SecretBytes<32> any;
  any.data()[0] = 8;
  std::array<unsigned char, 32> shared{};
  return crypto_scalarmult_curve25519(shared.data(), any.data(), key.data()) != 0;
}

}  // namespace

std::string Recipient::age() const { return to_bech32(kRecipientPrefix, key); }
std::string Recipient::text() const { return name.empty() ? age() : age() + ' ' + one_line(name); }

Result<Recipient> Recipient::parse(std::string_view text) {
  text = trimmed(text);
  const std::size_t blank = std::min(text.find_first_of(" \t"), text.size());
  const auto decoded = from_bech32(text.substr(0, blank));
  Recipient recipient;
  if (!decoded || decoded->first != kRecipientPrefix || decoded->second.size() != recipient.key.size()) {
    return fail(ErrorCode::kDamaged, phrase("recipient {}: it is not of the form age1…, or mistyped", printable(text, 30)));
  }
  std::ranges::copy(decoded->second, recipient.key.begin());
  if (low_order(recipient.key)) return fail(ErrorCode::kDamaged, phrase("recipient {}: nothing can be sealed for it", printable(text, 30)));
  recipient.name = one_line(trimmed(text.substr(blank)));
  return recipient;
}

RecipientKey RecipientKey::generate(std::string name, WallTime now) {
  need_sodium();
  RecipientKey key;
  key.name_ = one_line(name);
  key.since_ = to_iso8601(now).substr(0, kDayBytes);
  randombytes_buf(key.secret_.data(), key.secret_.size());
  return key;
}

Result<RecipientKey> RecipientKey::load(const std::filesystem::path& path) { return load_key<RecipientKey>(path); }

Result<RecipientKey> RecipientKey::parse(std::string_view text) {
  if (text.size() > kMaxKeyFileBytes) return bad_key();
  need_sodium();
  RecipientKey key;
  bool found = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with(kNameComment)) key.name_ = one_line(line.substr(kNameComment.size()));
    if (line.starts_with(kCreatedComment)) key.since_ = one_line(line.substr(kCreatedComment.size(), kDayBytes));
    if (line.empty() || line.starts_with('#')) continue;
    auto decoded = from_bech32(line);
    if (found || !decoded || decoded->first != kSecretPrefix || decoded->second.size() != key.secret_.size()) return bad_key();
    std::ranges::copy(decoded->second, key.secret_.data());
    sodium_memzero(decoded->second.data(), decoded->second.size());
    found = true;
  }
  return found ? Result<RecipientKey>(std::move(key)) : bad_key();
}

std::string RecipientKey::age_text() const {
  std::string text = to_bech32(kSecretPrefix, secret_.view());
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

std::string RecipientKey::file_text() const {
  std::string text;
  if (!name_.empty()) text += fmt::format("{}{}\n", kNameComment, name_);
  if (!since_.empty()) text += fmt::format("{}{}\n", kCreatedComment, since_);
  return text + fmt::format("# public key: {}\n{}\n", recipient().age(), age_text());
}

Status RecipientKey::save(const std::filesystem::path& path) const {
  std::string text = file_text();
  auto saved = os::write_file_atomically(path, text, 0600);
  sodium_memzero(text.data(), text.size());
  return saved;
}

Recipient RecipientKey::recipient() const {
  Recipient recipient;
  recipient.name = name_;
  crypto_scalarmult_curve25519_base(recipient.key.data(), secret_.data());
  return recipient;
}

std::optional<FileKey> RecipientKey::open(const SealedFor& sealed) const {
  SecretBytes<32> shared;
  if (crypto_scalarmult_curve25519(shared.data(), secret_.data(), sealed.share.data()) != 0) return std::nullopt;
  const SecretBytes<32> wrap = wrap_key(shared.view(), sealed.share, recipient().key);
  constexpr std::array<unsigned char, 12> kNonce{};
  FileKey key;
  unsigned long long bytes = 0;
  const int opened = crypto_aead_chacha20poly1305_ietf_decrypt(key.data(), &bytes, nullptr, sealed.body.data(), sealed.body.size(), nullptr, 0,
                                                               kNonce.data(), wrap.data());
  return opened == 0 && bytes == key.size() ? std::optional(std::move(key)) : std::nullopt;
}

}  // namespace verbund::backup
