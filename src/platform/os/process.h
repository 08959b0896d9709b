#pragma once
/// Child processes: no shell, secrets only through stdin, environment or files. Any thread.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace verbund::os {

/// A user of this machine.
struct User {
  std::string name;
  unsigned uid = 0;
  unsigned gid = 0;
};
Result<User> find_user(const std::string& name);
bool running_as_root();

struct Command {
  std::vector<std::string> argv;               ///< argv[0]: path, or name searched in PATH
  std::map<std::string, std::string> environment;  ///< replaces or adds to the inherited one
  bool inherit_environment = true;             ///< false: `environment` is all there is
  std::string stdin_text;
  std::string directory;                       ///< working directory; empty: ours
  std::optional<User> as_user;                 ///< needs root
  std::size_t max_output_bytes = 1024 * 1024;  ///< of each stream; more is read and dropped
};

struct Outcome {
  int exit_code = 0;   ///< 128 + signal when killed by one
  std::string output;
  std::string errors;  ///< standard error
};

/// Runs to the end, or kills the child's process group at the deadline (kTimedOut). Errors: kNotFound, kIo.
/// A non-zero exit code is an Outcome, not an error. The child dies with the calling thread (PR_SET_PDEATHSIG); what it
/// left in the background lives on and is not waited for. It inherits no descriptor but 0 to 2 and no ignored signal.
Result<Outcome> run(const Command& command, Deadline deadline, const Clock& clock);

/// A child that keeps running. Not stopped by the destructor (the agent decides).
struct Child {
  int pid = 0;
};
/// Starts in a session of its own; standard output and error are appended to `log_file`.
Result<Child> start(const Command& command, const std::string& log_file);

/// Exit code of a child of this process (128 + signal when killed by one) once it has ended, and only the first time:
/// whoever asks first takes it off the process table. Nothing: it runs, or is no child of ours (any more).
std::optional<int> exit_code_if_ended(const Child& child);

/// When the process of this pid started (jiffies since boot, field 22 of /proc/PID/stat): pid and start time together
/// name a process for as long as the machine is up. Nothing: there is none, or it has ended.
std::optional<std::uint64_t> process_start_time(int pid);
/// Target of /proc/PID/exe, or nothing.
std::optional<std::string> process_executable(int pid);
/// Sends `signal` and waits until the process is gone (reaping a child of ours). False when it still lives at the deadline
/// or we may not signal it.
bool signal_and_wait(int pid, int signal, Deadline deadline, const Clock& clock);

}  // namespace verbund::os
