#pragma once
/// Files of age-encryption.org/v1 with X25519 recipients, so that Debian's `age` opens what we sealed and the other way round.
/// One thread each. Layout: docs/formats/backup-set.md.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backup/keys.h"
#include "backup/stream.h"

namespace verbund::backup {

inline constexpr std::size_t kMaxAgeHeaderBytes = 64 * 1024;

/// The text before the payload. `recipients` is not empty.
std::string age_header(const FileKey& key, std::span<const Recipient> recipients);

struct AgeHeader {
  std::vector<SealedFor> sealed;            ///< X25519 entries; others are left aside
  std::string covered;                      ///< what the check sum is made over
  std::array<unsigned char, 32> check_sum{};
  std::size_t bytes = 0;                    ///< where the payload begins
  /// The file's key, for the first entry that `key` opens. Errors: kForbidden (none), kDamaged (the check sum is wrong).
  [[nodiscard]] Result<FileKey> open(const RecipientKey& key) const;
};
/// `text` begins with a header. Errors: kDamaged.
Result<AgeHeader> read_age_header(std::string_view text);
/// Whether a header's end is within `text`.
bool age_header_is_whole(std::string_view text);

/// Encrypts into `to`. Errors: those of `to`.
Result<std::unique_ptr<Sink>> make_age_sink(std::unique_ptr<Sink> to, std::span<const Recipient> recipients);
/// Decrypts `from`; every byte it gives is authentic, and so is its end. `what` names it in errors.
/// Errors: kForbidden (not sealed for this key), kDamaged, those of `from`.
Result<std::unique_ptr<Source>> make_age_source(std::unique_ptr<Source> from, const RecipientKey& key, std::string what);

}  // namespace verbund::backup
