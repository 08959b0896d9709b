#pragma once
/// Inside backup only: pg_dump and its like as children. Any thread.
#include <filesystem>
#include <optional>

#include "backup/database.h"
#include "platform/os/piped_child.h"

namespace verbund::backup {

/// How a child is told where to connect: nothing secret in its arguments or its environment. Lives as long as the child.
struct Access {
  std::string conninfo;
  std::optional<os::SecretFile> password;
};
/// Errors: kUnsupported (the connection string holds a secret that has no other place than an argument), kIo.
Result<Access> access_of(const postgres::ConnectionSettings& settings);

/// A command whose messages are English and whose environment holds nothing that changes what it reads or writes.
os::Command program_command(const std::filesystem::path& program, std::vector<std::string> arguments, const Access* access = nullptr);

/// "pg_dump (PostgreSQL) 15.20 (Debian …)" → 150020; of a server's "15.20" too. 0: not understood. Pure.
int version_number(std::string_view text);
/// What the program says of itself. Errors: kNotFound, kProgramFailed.
Result<int> program_version(const std::filesystem::path& program);

/// Lines of standard error that are not known to be harmless. Pure.
std::vector<std::string> complaints(std::string_view errors);
/// Of a program that has ended: nothing when its exit code is 0 and it has not complained. Errors: kProgramFailed, kDatabaseDown,
/// kDiskFull, kUnsupported, as its words say.
Status judge(const std::filesystem::path& program, const os::Outcome& outcome, ErrorCode otherwise = ErrorCode::kProgramFailed);

/// Runs to the end; its standard output, at most `max_bytes` of it (kTooLarge).
Result<std::string> output_of(const os::Command& command, std::size_t max_bytes, ErrorCode otherwise = ErrorCode::kProgramFailed);

/// Hands a child all that a source has. To its end, also when the child reads no more: a source may only know there whether it is whole.
Status feed(os::PipedChild& child, Source& source, std::string_view what, Progress& progress);

os::PipedOptions piped(Progress& progress);
const Clock& clock();

}  // namespace verbund::backup
