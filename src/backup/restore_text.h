#pragma once
/// RESTORE.txt: how a stranger brings everything back without us, German and English. Pure. For this folder's units only.
#include <string>

#include "backup/keys.h"
#include "backup/manifest.h"

namespace verbund::backup {

inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr std::string_view kRestoreName = "RESTORE.txt";
inline constexpr std::string_view kPublicKeyName = "signing-key.pub";
inline constexpr std::string_view kSignatureName = "SHA256SUMS.minisig";

/// Command lines begin with four blanks and can be typed as they stand. `manifest` has no details when the set is sealed.
std::string restore_text(const Manifest& manifest, const PublicKey& signer);

}  // namespace verbund::backup
