#include "backup/set_reader.h"

#include <set>

#include "backup/age.h"
#include "backup/digest.h"
#include "backup/names.h"
#include "backup/restore_text.h"
#include "backup/set_files.h"
#include "backup/zstd_stream.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kMaxSignatureBytes = 8 * 1024;

Result<std::string> read_part(const std::filesystem::path& directory, std::string_view name, std::size_t max_bytes) {
  auto text = os::read_file(directory / name, max_bytes);
  if (text) return text;
  const ErrorCode code = text.error().code;
  if (code == ErrorCode::kNotFound) return fail(ErrorCode::kDamaged, phrase("{}: this file is missing", name));
  if (code == ErrorCode::kTooLarge) return fail(ErrorCode::kDamaged, phrase("{}: longer than {} bytes", name, max_bytes));
  return text;
}

/// The signature says which set it is: a signature of another one does not fit, even if the sums were the same.
Result<std::string> signed_sums(const std::filesystem::path& directory, const std::vector<PublicKey>& trusted) {
  auto text = read_part(directory, kSignatureName, kMaxSignatureBytes);
  if (!text && text.error().code == ErrorCode::kDamaged && !std::filesystem::exists(directory / kSignatureName)) {
    return fail(ErrorCode::kNotFound, phrase("no backup set: {} is missing, so it was never finished", kSignatureName));
  }
  if (!text) return pass(text);
  auto signature = Signature::parse(*text);
  if (!signature) return pass(signature, verbatim(std::string(kSignatureName)));
  // minisign leaves its first line unproven; in a set every byte counts.
  if (signature->text() != *text) return fail(ErrorCode::kDamaged, phrase("{}: not as it was written", kSignatureName));
  auto sums = read_part(directory, kSumsName, kMaxSumsBytes);
  if (!sums) return pass(sums);
  if (auto good = signature->check(trusted, blake2b_512(*sums)); !good) return pass(good, verbatim(std::string(kSumsName)));
  return sums;
}

Result<Manifest> sound_manifest(const std::filesystem::path& directory, const std::vector<Sum>& sums) {
  auto text = read_part(directory, kManifestName, kMaxManifestBytes);
  if (!text) return pass(text);
  const auto entry = std::ranges::find(sums, kManifestName, &Sum::name);
  if (entry == sums.end() || entry->hash != sha256_hex(*text)) {
    return fail(ErrorCode::kDamaged, phrase("{}: not the one that was signed", kManifestName));
  }
  auto manifest = read_manifest(*text);
  if (!manifest) return pass(manifest);
  std::set<std::string> expected{std::string(kManifestName), std::string(kRestoreName), std::string(kPublicKeyName)};
  for (const Member& member : manifest->members) expected.insert(member.parts.begin(), member.parts.end());
  const bool same = expected.size() == sums.size() && std::ranges::all_of(sums, [&](const Sum& sum) { return expected.contains(sum.name); });
  if (!same) return fail(ErrorCode::kDamaged, phrase("{} and {} do not name the same files", kManifestName, kSumsName));
  return manifest;
}

}  // namespace

SetReader::SetReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SetReader::SetReader(SetReader&&) noexcept = default;
SetReader& SetReader::operator=(SetReader&&) noexcept = default;
SetReader::~SetReader() = default;

Result<SetReader> SetReader::open(const std::filesystem::path& directory, const std::vector<PublicKey>& trusted) {
  const Phrase operation = phrase("open backup set {}", directory.native());
  auto text = signed_sums(directory, trusted);
  if (!text) return pass(text, operation);
  auto sums = read_sums(*text);
  if (!sums) return pass(sums, operation);
  auto manifest = sound_manifest(directory, *sums);
  if (!manifest) return pass(manifest, operation);
  return SetReader(std::make_unique<Impl>(Impl{directory, std::move(*manifest), std::move(*sums), sha256_hex(*text)}));
}

const Manifest& SetReader::manifest() const { return impl_->manifest; }
const std::filesystem::path& SetReader::directory() const { return impl_->directory; }
const std::string& SetReader::hash() const { return impl_->hash; }

Status SetReader::unlock(const RecipientKey& key) {
  if (impl_->manifest.details.empty()) return {};
  const Member* member = impl_->manifest.member(impl_->manifest.details);
  if (member->plain_bytes > kMaxManifestBytes) return fail(ErrorCode::kDamaged, phrase("{}: longer than {} bytes", member->name, kMaxManifestBytes));
  auto source = read(member->name, Form::kPlain, &key);
  if (!source) return pass(source);
  std::string text(static_cast<std::size_t>(member->plain_bytes) + 1, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    auto got = (*source)->read(std::span(text.data() + filled, text.size() - filled));
    if (!got) return pass(got);
    if (*got == 0) break;
    filled += *got;
  }
  auto whole = read_manifest(std::string_view(text).substr(0, filled));
  if (!whole) return pass(whole, verbatim(member->name));
  // The details were written before they were a member themselves.
  whole->members = impl_->manifest.members;
  whole->details = impl_->manifest.details;
  impl_->manifest = std::move(*whole);
  return {};
}

Result<std::unique_ptr<Source>> SetReader::read(std::string_view name, Form form, const RecipientKey* key) const {
  const Member* member = impl_->manifest.member(name);
  if (member == nullptr) return fail(ErrorCode::kNotFound, phrase("read {}: the backup set has no such member", printable(name)));
  std::unique_ptr<Source> source = make_joined_source(impl_->directory, member->parts);
  if (member->sealed) {
    if (key == nullptr) {
      return fail(ErrorCode::kForbidden, phrase("read {}: it is encrypted", member->name),
                  phrase("Give the key of one of the recipients; the manifest names them."));
    }
    auto opened = make_age_source(std::move(source), *key, member->name);
    if (!opened) return pass(opened);
    source = std::move(*opened);
  }
  if (form == Form::kCompressed) return source;
  auto plain = make_zstd_source(std::move(source), member->name);
  if (!plain) return pass(plain);
  return make_checked_source(std::move(*plain), *member);
}

Result<PublicKey> key_inside(const std::filesystem::path& directory) {
  auto text = read_part(directory, kPublicKeyName, kMaxSignatureBytes);
  if (!text) return pass(text);
  return PublicKey::parse(*text);
}

}  // namespace verbund::backup
