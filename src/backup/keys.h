#pragma once
/// Keys of backup sets: who made them (Ed25519) and who may read what left the house (X25519). Kept in files of mode 0600.
/// Any thread. Formats: docs/formats/backup-set.md. Signatures and signing keys are minisign's, recipients and their keys are
/// age's, so that Debian's programs of these names work with them, too.
#include <array>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace verbund::backup {

/// Bytes that are wiped when they go.
template <std::size_t kBytes>
class SecretBytes {
 public:
  SecretBytes() = default;
  SecretBytes(SecretBytes&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.wipe();
    }
    return *this;
  }
  ~SecretBytes() { wipe(); }
  [[nodiscard]] unsigned char* data() { return bytes_.data(); }
  [[nodiscard]] const unsigned char* data() const { return bytes_.data(); }
  [[nodiscard]] static constexpr std::size_t size() { return kBytes; }
  [[nodiscard]] std::span<const unsigned char, kBytes> view() const { return bytes_; }

 private:
  void wipe() {
    volatile unsigned char* at = bytes_.data();
    for (std::size_t i = 0; i < kBytes; ++i) at[i] = 0;
  }
  std::array<unsigned char, kBytes> bytes_{};
};

struct PublicKey {
  std::array<unsigned char, 8> id{};
  std::array<unsigned char, 32> key{};
  [[nodiscard]] std::string text() const;        ///< minisign's form, one line: "RWQ…"
  [[nodiscard]] std::string id_text() const;     ///< "E1EBAF73C6147B33", as minisign shows it
  [[nodiscard]] std::string file_text() const;   ///< what `minisign -p` reads: a comment line and text()
  /// Takes text() and file_text(). Errors: kDamaged.
  static Result<PublicKey> parse(std::string_view text);
  friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

class SigningKey {
 public:
  static SigningKey generate();
  /// Errors: kNotFound, kDamaged, kForbidden (the file is readable by others).
  static Result<SigningKey> load(const std::filesystem::path& path);
  /// minisign's unencrypted secret key file (minisign -W). Errors: kDamaged; kUnsupported (protected by a password).
  static Result<SigningKey> parse(std::string_view text);
  [[nodiscard]] Status save(const std::filesystem::path& path) const;
  [[nodiscard]] PublicKey public_key() const;
  /// A minisign signature file (prehashed) over a file's BLAKE2b-512 hash; `comment`, one line, is signed with it.
  [[nodiscard]] std::string sign(std::span<const unsigned char, 64> blake2b, std::string_view comment) const;

 private:
  SigningKey() = default;
  SecretBytes<64> secret_;
  std::array<unsigned char, 8> id_{};
};

/// A minisign signature file.
struct Signature {
  std::array<unsigned char, 8> key_id{};
  std::array<unsigned char, 64> signature{}, comment_signature{};
  std::string comment;
  /// As SigningKey::sign writes it.
  [[nodiscard]] std::string text() const;
  /// Errors: kDamaged (not minisign's form, or not a prehashed signature).
  static Result<Signature> parse(std::string_view text);
  /// Errors: kForbidden (none of `trusted` has made it, or says to have), kDamaged (one of them, but over something else).
  [[nodiscard]] Status check(const std::vector<PublicKey>& trusted, std::span<const unsigned char, 64> blake2b) const;
};

/// Somebody who may open encrypted sets: the responsible person, the deputy.
struct Recipient {
  std::string name;                          ///< for people, one line; may be empty
  std::array<unsigned char, 32> key{};
  [[nodiscard]] std::string age() const;     ///< "age1…", what `age -r` takes
  [[nodiscard]] std::string text() const;    ///< "age1… NAME"
  /// "age1…" and, behind a blank, the name. Errors: kDamaged.
  static Result<Recipient> parse(std::string_view text);
};

/// One `-> X25519 SHARE` entry of an age header.
struct SealedFor {
  std::array<unsigned char, 32> share{};
  std::array<unsigned char, 32> body{};
};
using FileKey = SecretBytes<16>;

class RecipientKey {
 public:
  static RecipientKey generate(std::string name, WallTime now);
  /// Errors: kNotFound, kDamaged, kForbidden (the file is readable by others).
  static Result<RecipientKey> load(const std::filesystem::path& path);
  /// An identity file of age (age-keygen): comments, then one AGE-SECRET-KEY-1… line. Errors: kDamaged.
  static Result<RecipientKey> parse(std::string_view text);
  /// From a recovery sheet: the groups as they are typed. Blanks, dashes and case don't matter; O, I, 1 and B are taken for what they
  /// can only be (0, L, L, 8). AGE-SECRET-KEY-1… is taken, too. Errors: kDamaged, which names the first group that is wrong.
  static Result<RecipientKey> from_recovery_text(std::string_view text);
  /// What `age -i` reads, with name and date in comments.
  [[nodiscard]] Status save(const std::filesystem::path& path) const;
  [[nodiscard]] Recipient recipient() const;
  [[nodiscard]] const std::string& since() const { return since_; }  ///< "2026-11-22", or empty
  /// 15 groups, each with a check letter of its own as its last.
  [[nodiscard]] std::string recovery_text() const;
  [[nodiscard]] std::string age_text() const;  ///< "AGE-SECRET-KEY-1…"
  /// The file's key, if this entry was made for us.
  [[nodiscard]] std::optional<FileKey> open(const SealedFor& sealed) const;

 private:
  RecipientKey() = default;
  [[nodiscard]] std::string file_text() const;
  std::string name_;
  std::string since_;
  SecretBytes<32> secret_;
};

/// What stands on the recovery sheet besides the key.
struct SheetWords {
  std::string office;                    ///< whose sets
  std::optional<PublicKey> signer;       ///< the key that signs them, so that a stranger can tell them from others
};
/// One page A4 to print and lock away: the secret key in groups, who, since when, how to use it; German, then English.
std::string recovery_sheet_text(const RecipientKey& key, const SheetWords& words);
/// The same as an HTML page that prints as one page A4 and needs nothing from elsewhere.
std::string recovery_sheet_html(const RecipientKey& key, const SheetWords& words);

}  // namespace verbund::backup
