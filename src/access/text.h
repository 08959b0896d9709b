#pragma once
/// Texts of strangers before they reach the database. This folder only; pure, any thread.
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::access {

/// Bytes of the well-formed UTF-8 character at the start of `text` (1 to 4); 0: none.
std::size_t character_length(std::string_view text);

/// 1–64 bytes of UTF-8 without control characters, '/' or blanks at the ends. Errors: kUsage.
Status check_user_name(std::string_view user);

/// At most `max_bytes`, whole characters; control characters become blanks, what is no UTF-8 becomes '?'.
std::string cleaned(std::string_view text, std::size_t max_bytes);

}  // namespace verbund::access
