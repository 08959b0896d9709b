#pragma once
/// What says which medium this is: `verbund-medium.json` in its root, signed by the installation that uses it.
/// Format: docs/formats/medium-label.md. Any thread.
#include <filesystem>
#include <optional>
#include <string>

#include "backup/keys.h"
#include "backup/rotation/book.h"

namespace verbund::backup {

struct Label {
  std::string id;              ///< 32 hex digits, random; never given twice
  std::string label;           ///< what stands on its sticker: "Montag", "Monatsende 3"
  MediumClass medium_class = MediumClass::kDaily;
  MediumKind kind = MediumKind::kDisk;
  std::string installation;    ///< whose
  WallTime made{};
};
std::string_view kind_name(MediumKind kind);            ///< "disk", "tape", "cloud"
Result<MediumKind> parse_kind(std::string_view text);   ///< kUsage

inline constexpr const char* kLabelFile = "verbund-medium.json";
inline constexpr const char* kLabelSignature = "verbund-medium.json.minisig";

/// A label with a new id. Errors: kUsage (a text that can't stand on a sticker: empty, over 60 bytes, control characters).
Result<Label> new_label(std::string text, MediumClass medium_class, MediumKind kind, std::string installation, WallTime now);

std::string json_of(const Label& label);
/// Errors: kDamaged, kUnsupported (a newer format).
Result<Label> label_of(std::string_view json);

/// The signature file's content.
std::string sign_label(std::string_view json, const SigningKey& key);
/// Errors: kNotFound (there is none), kDamaged, kForbidden (signed by none of `trusted`: another installation's), kIo, kMediumGone.
Result<Label> read_label(const std::filesystem::path& directory, const std::vector<PublicKey>& trusted);
/// The signature last. Errors: kAlreadyExists (there is a label, whosever), kIo, kDiskFull.
Status write_label(const std::filesystem::path& directory, const Label& label, const SigningKey& key);

}  // namespace verbund::backup
