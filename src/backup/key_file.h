#pragma once
/// Files that hold secrets. For this folder's units only; any thread.
#include <filesystem>
#include <string>

#include "base/result.h"

namespace verbund::backup {

/// Once per process; ends it when the kernel gives no random numbers.
void need_sodium();

inline constexpr std::size_t kMaxKeyFileBytes = 16 * 1024;
/// Errors: kNotFound, kForbidden (others may read or write it), kTooLarge, kIo.
Result<std::string> read_secret_file(const std::filesystem::path& path);
/// One line for a comment: control characters become blanks, none at the ends, cut at 200 bytes.
std::string one_line(std::string_view text);

}  // namespace verbund::backup
