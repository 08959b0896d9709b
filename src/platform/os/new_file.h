#pragma once
/// A file that is made once, whoever is first. Blocking; any thread and process.
#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace verbund::os {

/// As write_file_atomically, but never over a file that is there: of several who try at the same time one succeeds. Errors: kAlreadyExists, kIo, kDiskFull.
Status write_new_file(const std::filesystem::path& path, std::string_view content, unsigned mode = 0644);

}  // namespace verbund::os
