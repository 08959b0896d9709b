#pragma once
/// Inside platform/postgres only: the processes of a PostgreSQL data directory, and the user that it runs as.
#include <filesystem>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "platform/os/process.h"

namespace verbund::postgres {

/// Pid in postmaster.pid if that process is a postgres whose working directory is `data` (a postmaster changes into
/// its data directory, so a reused pid is never taken for it); else 0.
int postmaster_pid(const std::filesystem::path& data);
/// Every postgres process whose working directory is `data`, or that was told to work there and has not come to it: backends
/// may outlive a killed postmaster, and a postmaster the node that was killed when it had just started it.
std::vector<int> processes_in(const std::filesystem::path& data);
/// initdb processes that fill `data` on behalf of a node that was killed.
std::vector<int> initdb_processes(const std::filesystem::path& data);
/// Still there and no zombie; reaps it when it was our child.
bool alive(int pid);

/// Who runs the server: nothing when we are an ordinary user, else the first of postgres, verbund, nobody.
Result<std::optional<os::User>> server_user();
/// Can `user` enter `directory`? Errors: kServerSetting, naming the directory on the way that forbids it.
Status check_enterable(const std::filesystem::path& directory, const os::User& user, const Clock& clock);

/// Last `lines` lines of the newest file in `log_directory` that belong to the latest start, as one line.
std::string last_log_lines(const std::filesystem::path& log_directory, std::size_t lines);

}  // namespace verbund::postgres
