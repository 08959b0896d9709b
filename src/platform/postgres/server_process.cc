#include "platform/postgres/server_process.h"

#include <signal.h>
#include <sys/wait.h>

#include <fstream>

#include "base/ids.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::postgres {
namespace {

namespace fs = std::filesystem;

/// Name of the program, also after a package upgrade has replaced the file on disk.
std::string program_of(int pid) {
  const auto executable = os::process_executable(pid);
  if (!executable) return {};
  std::string name = fs::path(*executable).filename();
  if (const auto deleted = name.find(" (deleted)"); deleted != std::string::npos) name.resize(deleted);
  return name;
}

bool is_postgres(int pid) { return program_of(pid) == "postgres"; }

/// Every process for which `wanted` holds.
template <typename Condition>
std::vector<int> processes(Condition wanted) {
  std::vector<int> found;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const auto number = parse_u64(at->path().filename().string());
    if (number && *number <= 1U << 30 && wanted(static_cast<int>(*number))) found.push_back(static_cast<int>(*number));
  }
  return found;
}

/// One of the process's arguments is `word`.
bool has_argument(int pid, std::string_view word) {
  const auto text = os::read_file(fmt::format("/proc/{}/cmdline", pid), 64 * 1024);
  if (!text) return false;
  const std::string framed = '\0' + *text + '\0';
  return framed.find('\0' + std::string(word) + '\0') != std::string::npos;
}

bool works_in(int pid, const fs::path& data) {
  std::error_code error;
  const fs::path directory = fs::read_symlink(fmt::format("/proc/{}/cwd", pid), error);
  return !error && directory == data;
}

fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  return error ? path : real;
}

}  // namespace

int postmaster_pid(const fs::path& data) {
  std::ifstream file(data / "postmaster.pid");
  std::string line;
  if (!std::getline(file, line)) return 0;
  const auto parsed = parse_u64(line);
  if (!parsed || *parsed == 0 || *parsed > 1U << 30) return 0;
  const int pid = static_cast<int>(*parsed);
  return is_postgres(pid) && works_in(pid, real_path(data)) && alive(pid) ? pid : 0;
}

std::vector<int> processes_in(const fs::path& data) {
  const fs::path real = real_path(data);
  // By name, too: one that has just been started goes to its directory only after a while.
  return processes([&](int pid) { return is_postgres(pid) && (works_in(pid, real) || has_argument(pid, data.string())); });
}

std::vector<int> initdb_processes(const fs::path& data) {
  return processes([&](int pid) { return program_of(pid) == "initdb" && has_argument(pid, data.string()); });
}

bool alive(int pid) {
  if (pid <= 0) return false;
  (void)::waitpid(pid, nullptr, WNOHANG);  // ECHILD when it isn't ours: then there is nothing to reap
  return ::kill(pid, 0) == 0 && os::process_executable(pid).has_value();
}

Result<std::optional<os::User>> server_user() {
  if (!os::running_as_root()) return std::nullopt;
  for (const char* name : {"postgres", "verbund", "nobody"}) {
    if (auto user = os::find_user(name)) return *user;
  }
  return fail(ErrorCode::kServerSetting, phrase("run PostgreSQL: it refuses root, and there is no ordinary user for it"),
              phrase("Create one: adduser --system --group verbund"));
}

Status check_enterable(const fs::path& directory, const os::User& user, const Clock& clock) {
  const auto may_enter = [&](const fs::path& path) -> Result<bool> {
    os::Command command;
    command.argv = {"test", "-x", path.string()};
    command.directory = std::string{"/"};
    command.as_user = user;
    const auto outcome = os::run(command, Deadline::in(clock, seconds{10}), clock);
    if (!outcome) return std::unexpected(outcome.error());
    return outcome->exit_code == 0;
  };
  auto whole = may_enter(directory);
  if (!whole) return pass(whole);
  if (*whole) return {};
  fs::path way;
  for (const fs::path& part : directory) {
    way /= part;
    const auto enterable = may_enter(way);
    if (enterable && *enterable) continue;
    return fail(ErrorCode::kServerSetting,
                phrase("run PostgreSQL in {}: user {} may not enter {}", directory.string(), user.name, way.string()),
                phrase("chmod o+x {}, or choose another directory.", way.string()));
  }
  return {};
}

std::string last_log_lines(const fs::path& log_directory, std::size_t lines) {
  constexpr std::streamoff kTailBytes = 4096;
  fs::path newest;
  fs::file_time_type newest_time = fs::file_time_type::min();
  std::error_code error;
  for (fs::directory_iterator at(log_directory, error), end; !error && at != end; at.increment(error)) {
    const auto time = at->last_write_time(error);
    if (!error && time >= newest_time) {
      newest = at->path();
      newest_time = time;
    }
  }
  std::ifstream file(newest, std::ios::binary);
  file.seekg(0, std::ios::end);
  file.seekg(std::max<std::streamoff>(0, static_cast<std::streamoff>(file.tellg()) - kTailBytes));
  std::deque<std::string> tail;
  for (std::string line; std::getline(file, line);) {
    // What a server wrote that was started earlier explains nothing.
    if (line.find("LOG:  starting PostgreSQL") != std::string::npos) tail.clear();
    tail.push_back(line);
    if (tail.size() > lines) tail.pop_front();
  }
  return fmt::format("{}", fmt::join(tail, " | "));
}

}  // namespace verbund::postgres
