#pragma once
/// Inside platform/postgres only: files and directories of an owned server, which belong to the user that it runs as.
#include <filesystem>

#include "base/messages.h"
#include "base/result.h"

namespace verbund::postgres {

/// errno, seen from `operation`.
Status system_error(Phrase operation);
Status give_to_server(const std::filesystem::path& path);
Status sync_directory(const std::filesystem::path& path);
Status remove_tree(const std::filesystem::path& path);

}  // namespace verbund::postgres
