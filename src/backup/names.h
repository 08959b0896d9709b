#pragma once
/// Names inside a backup set. They have to live on exFAT, NTFS and FAT32 and to be typed by a stranger. Pure, any thread.
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::backup {

inline constexpr std::size_t kMaxNameBytes = 150;

/// Relative, one to four parts joined by '/', each of letters, digits and `._+-`, beginning with a letter or digit, not ending
/// with '.', no device name of Windows (CON, AUX, …). Errors: kDamaged, which says what is wrong with the name.
Status check_name(std::string_view name);
/// For messages: bytes that are no printable ASCII as \xNN.
std::string printable(std::string_view text, std::size_t max_bytes = 200);
/// What counts as the same name where case does not.
std::string folded(std::string_view name);
/// One part of a name from any text (database, application): what is not allowed becomes '-', and a short hash is added when
/// something had to change, so that two texts never share one: "praxis" → "praxis", "Müller" → "M-ller-" and
/// eight digits. Capital letters stay, with the hash.
std::string portable_part(std::string_view text);

}  // namespace verbund::backup
