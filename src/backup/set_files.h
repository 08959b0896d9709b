#pragma once
/// Files of a set as they are read. For this folder's units only.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backup/set.h"

namespace verbund::backup {

/// The parts of a member one behind the other. `what` names it in errors. Errors of its `read`: kDamaged (a part is missing), kIo.
std::unique_ptr<Source> make_joined_source(std::filesystem::path directory, std::vector<std::string> parts);
/// Passes on what `from` gives; at its end size and hash must be those of `member`. Errors: kDamaged.
std::unique_ptr<Source> make_checked_source(std::unique_ptr<Source> from, const Member& member);

/// What is wrong with one file, whose SHA-256 is to be `expected`. `moved` is told of bytes as they are read; false: give up.
/// Errors: kCancelled.
Result<std::optional<Finding>> check_file(const std::filesystem::path& directory, const std::string& name, const std::string& expected,
                                          SetReader::Cache cache, const std::function<bool(std::uint64_t)>& moved);
/// Every file below `directory`, relative to it; links and other things count as files.
Result<std::vector<std::string>> list_files(const std::filesystem::path& directory);

}  // namespace verbund::backup
