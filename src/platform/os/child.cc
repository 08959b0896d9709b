#include "platform/os/child.h"

#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/messages.h"
#include "platform/os/descriptor.h"

extern char** environ;  // NOLINT: POSIX gives no header for it

namespace verbund::os {
namespace {

enum class Step : int { kDescriptors, kUser, kDirectory, kExec };

struct Failure {
  Step step;
  int error_number;
};

/// Everything the child needs, made before the fork: between fork and exec in a program with threads only
/// async-signal-safe calls are allowed, so no memory may be allocated there.
struct Preparation {
  std::string program;
  std::vector<char*> argv;
  std::vector<std::string> environment;
  std::vector<char*> envp;
  const char* directory = nullptr;  ///< null: stay
  bool switch_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  ChildGroup group = ChildGroup::kProcessGroup;
  int descriptors[3] = {-1, -1, -1};
  int report = -1;
  pid_t parent = 0;
};

std::string variable(const Command& command, const std::string& name) {
  if (const auto own = command.environment.find(name); own != command.environment.end()) return own->second;
  const char* inherited = std::getenv(name.c_str());
  return inherited == nullptr ? std::string() : std::string(inherited);
}

bool executable(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

/// Empty and relative entries of PATH are passed over: what is run must not depend on the directory we stand in.
Result<std::string> find_program(const Command& command) {
  if (command.argv.empty() || command.argv[0].empty()) return fail(ErrorCode::kInternal, phrase("run program: no name given"));
  const std::string& name = command.argv[0];
  if (name.find('/') != std::string::npos) return name;
  std::string path = variable(command, "PATH");
  if (path.empty()) path = "/usr/local/bin:/usr/bin:/bin";
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    const std::string candidate = path.substr(start, end - start) + "/" + name;
    if (candidate.front() == '/' && end > start && executable(candidate)) return candidate;
    start = end + 1;
  }
  return fail(ErrorCode::kNotFound, phrase("run {}: no such program in PATH", name));
}

void prepare_environment(const Command& command, Preparation& preparation) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; command.inherit_environment && entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) all[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  if (preparation.switch_user) {
    all["USER"] = all["LOGNAME"] = command.as_user->name;
    all.erase("HOME");  // programs then ask the user database, and don't read files of root
  }
  for (const auto& [name, value] : command.environment) all[name] = value;
  for (const auto& [name, value] : all) preparation.environment.push_back(name + "=" + value);
  for (std::string& entry : preparation.environment) preparation.envp.push_back(entry.data());
  preparation.envp.push_back(nullptr);
}

Status prepare_user(const Command& command, Preparation& preparation) {
  if (!command.as_user || (command.as_user->uid == ::geteuid() && ::geteuid() != 0)) return {};
  const User& user = *command.as_user;
  if (::geteuid() != 0) {
    return fail(ErrorCode::kIo, phrase("run {} as user {}: not root", command.argv[0], user.name),
                phrase("Only root can start programs as another user."));
  }
  preparation.switch_user = true;
  preparation.uid = user.uid;
  preparation.gid = user.gid;
  int count = 32;
  preparation.groups.resize(static_cast<std::size_t>(count));
  while (::getgrouplist(user.name.c_str(), user.gid, preparation.groups.data(), &count) < 0) {
    if (count > NGROUPS_MAX) return fail(ErrorCode::kIo, phrase("look up groups of {}: too many", user.name));
    preparation.groups.resize(static_cast<std::size_t>(count));
  }
  preparation.groups.resize(static_cast<std::size_t>(count));
  return {};
}

/// A file in memory rather than a pipe: the child reads at its own pace, nobody has to feed it, and nothing is on disk.
Result<Descriptor> stdin_of(const Command& command) {
  if (command.stdin_text.empty()) {
    Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null) return failed_call(phrase("open {}", "/dev/null"), errno);
    return null;
  }
  Descriptor memory(::memfd_create("stdin", MFD_CLOEXEC));
  if (!memory) return failed_call(phrase("make standard input of {}", command.argv[0]), errno);
  std::string_view rest = command.stdin_text;
  while (!rest.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(memory.number(), rest.data(), rest.size()); });
    if (written < 0) return failed_call(phrase("fill standard input of {}", command.argv[0]), errno);
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::lseek(memory.number(), 0, SEEK_SET) < 0) return failed_call(phrase("rewind standard input of {}", command.argv[0]), errno);
  return memory;
}

// ---- In the child, between fork and exec: async-signal-safe calls only. ----

[[noreturn]] void report_and_exit(int report, Step step) {
  const Failure failure{step, errno};
  (void)!::write(report, &failure, sizeof failure);
  ::_exit(127);
}

void default_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number <= SIGRTMAX; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Moves a descriptor out of 0 to 2, where it would be overwritten by its neighbours.
int out_of_the_way(int descriptor, int report) {
  if (descriptor > 2) return descriptor;
  const int moved = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  if (moved < 0) report_and_exit(report, Step::kDescriptors);
  return moved;
}

void set_descriptors(const Preparation& preparation, int report) {
  int sources[3];
  for (int i = 0; i < 3; ++i) sources[i] = out_of_the_way(preparation.descriptors[i], report);
  for (int i = 0; i < 3; ++i) {
    if (::dup2(sources[i], i) < 0) report_and_exit(report, Step::kDescriptors);
  }
  // Libraries may have opened files without O_CLOEXEC; Linux before 5.11 lacks the flag, so one by one then.
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  struct rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  for (rlim_t i = 3; i < limit.rlim_cur && i < 65536; ++i) ::fcntl(static_cast<int>(i), F_SETFD, FD_CLOEXEC);
}

/// The raw system calls: glibc's wrappers want to tell the threads, of which the child has none.
void become_user(const Preparation& preparation, int report) {
  if (!preparation.switch_user) return;
  if (::syscall(SYS_setgroups, preparation.groups.size(), preparation.groups.data()) != 0 ||
      ::syscall(SYS_setgid, preparation.gid) != 0 || ::syscall(SYS_setuid, preparation.uid) != 0) {
    report_and_exit(report, Step::kUser);
  }
}

[[noreturn]] void become_program(const Preparation& preparation) {
  default_signals();
  const int report = out_of_the_way(preparation.report, preparation.report);
  if (preparation.group == ChildGroup::kSession) {
    ::setsid();
  } else {
    ::setpgid(0, 0);
  }
  set_descriptors(preparation, report);
  become_user(preparation, report);
  if (preparation.group == ChildGroup::kProcessGroup) {
    // After setuid, which clears it. If our parent is gone already, the signal will not come.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != preparation.parent) ::_exit(127);
  }
  if (preparation.directory != nullptr && ::chdir(preparation.directory) != 0) report_and_exit(report, Step::kDirectory);
  ::execve(preparation.program.c_str(), preparation.argv.data(), preparation.envp.data());
  report_and_exit(report, Step::kExec);
}

// ---- In the parent again. ----

std::unexpected<Error> explain(const Command& command, const std::string& program, Failure failure) {
  switch (failure.step) {
    case Step::kDescriptors: return failed_call(phrase("hand descriptors to {}", program), failure.error_number);
    case Step::kUser:
      return failed_call(phrase("become user {} for {}", command.as_user->name, program), failure.error_number);
    case Step::kDirectory: return failed_call(phrase("enter directory {}", command.directory), failure.error_number);
    case Step::kExec: break;
  }
  if (failure.error_number == ENOENT) {
    return fail(ErrorCode::kNotFound, phrase("run {}: no such program", program));
  }
  return failed_call(phrase("run {}", program), failure.error_number);
}

/// No handler of ours may run in the child before exec: signals are held back across the fork.
pid_t fork_quietly(const Preparation& preparation) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become_program(preparation);
  const int cause = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = cause;
  return pid;
}

}  // namespace

Result<int> spawn(const Command& command, ChildGroup group, const ChildDescriptors& descriptors) {
  Preparation preparation;
  auto program = find_program(command);
  if (!program) return pass(program);
  preparation.program = *program;
  preparation.group = group;
  preparation.parent = ::getpid();
  if (auto user = prepare_user(command, preparation); !user) return pass(user);
  prepare_environment(command, preparation);
  std::vector<std::string> arguments = command.argv;
  for (std::string& argument : arguments) preparation.argv.push_back(argument.data());
  preparation.argv.push_back(nullptr);
  if (!command.directory.empty()) preparation.directory = command.directory.c_str();

  auto own_input = descriptors.input < 0 ? stdin_of(command) : Result<Descriptor>(Descriptor());
  if (!own_input) return pass(own_input);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed_call(phrase("make pipe for {}", *program), errno);
  const Descriptor report_read(ends[0]);
  Descriptor report_write(ends[1]);
  preparation.descriptors[0] = descriptors.input < 0 ? own_input->number() : descriptors.input;
  preparation.descriptors[1] = descriptors.output;
  preparation.descriptors[2] = descriptors.errors;
  preparation.report = report_write.number();

  const pid_t pid = fork_quietly(preparation);
  if (pid < 0) return failed_call(phrase("fork for {}", *program), errno);
  report_write.close();
  Failure failure{};
  // Ends with nothing read when exec has closed the other end.
  const ssize_t got = uninterrupted([&] { return ::read(report_read.number(), &failure, sizeof failure); });
  if (got == 0) return pid;
  uninterrupted([&] { return ::waitpid(pid, nullptr, 0); });
  if (got != sizeof failure) return fail(ErrorCode::kIo, phrase("run {}: it ended before it began", *program));
  return explain(command, *program, failure);
}

}  // namespace verbund::os
