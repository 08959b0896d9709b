#pragma once
/// What becomes of the device's files when its lease is over: those of the office go, those that had not gone up are sealed. Of lease.cc alone. One thread; blocks; killed
/// at any point, the next call goes on.
#include <filesystem>
#include <string>

#include "platform/os/sealed_box.h"
#include "platform/sqlite/database.h"

namespace verbund::sync::device {

/// Behind it nothing is left in the folders. `key` seals; big files piece by piece.
Status lock_folders(sqlite::Database& database, const std::filesystem::path& file, const std::string& key);
/// What was sealed lies where it lay. Errors: kDamaged (changed, or of another key).
Status unlock_folders(const std::filesystem::path& file, const os::BoxKeys& keys);

}  // namespace verbund::sync::device
