#include "platform/postgres/owned_server.h"

#include <signal.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/postgres/libpq.h"
#include "platform/postgres/server_process.h"

namespace verbund::postgres {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kOldestMajor = 15;
constexpr milliseconds kPollEvery{20};

bool complete(const fs::path& directory) {
  return ::access((directory / "postgres").c_str(), X_OK) == 0 && ::access((directory / "initdb").c_str(), X_OK) == 0;
}

/// Debian keeps each major version in a directory of its own.
std::optional<fs::path> newest_debian() {
  std::optional<fs::path> best;
  std::uint64_t best_major = kOldestMajor - 1;
  std::error_code error;
  for (fs::directory_iterator at("/usr/lib/postgresql", error), end; !error && at != end; at.increment(error)) {
    const auto major = parse_u64(at->path().filename().string());
    if (!major || *major <= best_major || !complete(at->path() / "bin")) continue;
    best = at->path() / "bin";
    best_major = *major;
  }
  return best;
}

std::optional<fs::path> first_in_path() {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    if (!directory.empty() && complete(directory)) return fs::path(directory);
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
  }
  return std::nullopt;
}

Status check_major(const fs::path& data) {
  const auto text = os::read_file(data / "PG_VERSION", 64);
  if (!text) return std::unexpected(text.error());
  const auto major = parse_u64(trimmed(*text));
  if (major && *major >= kOldestMajor) return {};
  return fail(ErrorCode::kUnsupported, phrase("start PostgreSQL in {}: version {}", data.string(), trimmed(*text)),
              phrase("PostgreSQL {} or newer is needed.", kOldestMajor));
}

/// Interrupt, quit, kill: each gets a share of the time.
bool stop_hard(int pid, Deadline deadline, const Clock& clock) {
  const auto share = deadline.left(clock) / 3;
  for (const int signal : {SIGINT, SIGQUIT, SIGKILL}) {
    if (!alive(pid)) return true;
    if (os::signal_and_wait(pid, signal, Deadline::in(clock, share), clock)) return true;
  }
  return !alive(pid);
}

}  // namespace

Result<fs::path> OwnedServer::find_binaries() {
  if (auto debian = newest_debian()) return *debian;
  if (auto found = first_in_path()) return *found;
  return fail(ErrorCode::kServerSetting,
              phrase("find PostgreSQL: no version {} or newer in /usr/lib/postgresql and none in PATH", kOldestMajor),
              phrase("apt-get install postgresql, or use an existing server with --database."));
}

OwnedServer::OwnedServer(OwnedServerSettings settings, Log& log, const Clock& clock)
    : settings_(std::move(settings)), log_(log), clock_(clock) {
  // PostgreSQL changes its working directory: relative names would mean something else there.
  settings_.directory = fs::absolute(settings_.directory).lexically_normal();
  if (!settings_.directory.has_filename()) settings_.directory = settings_.directory.parent_path();
}
OwnedServer::~OwnedServer() = default;

fs::path OwnedServer::data_directory() const { return settings_.directory / "data"; }
fs::path OwnedServer::log_directory() const { return settings_.directory / "log"; }
bool OwnedServer::initialised() const { return ::access((data_directory() / "PG_VERSION").c_str(), F_OK) == 0; }
int OwnedServer::running_pid() const { return postmaster_pid(data_directory()); }

ConnectionSettings OwnedServer::connection(std::string database) const {
  ConnectionSettings connection;
  connection.host = (settings_.directory / "run").string();
  connection.port = settings_.port;
  connection.database = std::move(database);
  connection.user = settings_.superuser;
  connection.password = settings_.superuser_password;
  return connection;
}

Error OwnedServer::died(std::string_view what) const {
  // The collector writes what its postmaster said last, and ends a moment after it.
  const Deadline patience = Deadline::in(clock_, seconds{5});
  while (!processes_in(data_directory()).empty() && !patience.passed(clock_)) std::this_thread::sleep_for(kPollEvery);
  const std::string lines = last_log_lines(log_directory(), 6);
  const bool taken = lines.find("Address already in use") != std::string::npos;
  return {taken ? ErrorCode::kInUse : ErrorCode::kServerSetting,
          fmt::format("start PostgreSQL in {}: {}; its log ends: {}", settings_.directory.string(), what, lines),
          taken ? "Choose another port in config/verbund.toml." : fmt::format("Read {}.", log_directory().string())};
}

Status OwnedServer::clear_up(Deadline deadline) {
  if (child_ != 0 && !alive(child_)) child_ = 0;  // reaped
  if (const int orphan = running_pid(); orphan != 0) {
    log_.warning("postgres.orphan_stopped", {{"pid", orphan}, {"directory", settings_.directory.string()}});
    if (!stop_hard(orphan, deadline, clock_)) {
      return fail(ErrorCode::kTimedOut, phrase("stop the orphaned PostgreSQL {} of {}: it still runs", orphan,
                                                    settings_.directory.string()));
    }
  }
  // Without their postmaster these share no memory with anything to come: nothing is lost by killing them.
  for (const int pid : processes_in(data_directory())) {
    log_.warning("postgres.orphaned_backend_killed", {{"pid", pid}});
    if (!os::signal_and_wait(pid, SIGKILL, deadline, clock_) && alive(pid)) {
      return fail(ErrorCode::kTimedOut, phrase("kill the orphaned PostgreSQL process {}: it still runs", pid));
    }
  }
  // PostgreSQL takes the pid in such a file for a living server if it belongs to anybody, be it a zombie.
  const std::string socket = fmt::format(".s.PGSQL.{}", settings_.port);
  for (const fs::path& stale : {data_directory() / "postmaster.pid", settings_.directory / "run" / (socket + ".lock"),
                                settings_.directory / "run" / socket}) {
    std::error_code error;
    if (fs::remove(stale, error)) log_.info("postgres.stale_file_removed", {{"file", stale.string()}});
    if (error) return fail(ErrorCode::kIo, phrase("remove the stale {}: {}", stale.string(), error.message()));
  }
  return {};
}

Status OwnedServer::start(Deadline deadline) {
  if (!initialised()) {
    return fail(ErrorCode::kNotFound, phrase("start PostgreSQL in {}: not initialised", settings_.directory.string()));
  }
  if (auto known = check_major(data_directory()); !known) return known;
  const std::string socket = fmt::format("{}/run/.s.PGSQL.{}", settings_.directory.string(), settings_.port);
  if (socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorCode::kServerSetting, phrase("start PostgreSQL: the socket's name {} is too long", socket),
                phrase("Use a directory with a shorter name (a socket's name has at most 107 bytes)."));
  }
  if (auto prepared = prepare_directories(); !prepared) return prepared;
  if (auto cleared = clear_up(deadline); !cleared) return cleared;
  if (auto written = write_settings(); !written) return written;
  if (auto written = settings_.follows ? write_password_file() : Status{}; !written) return written;
  auto binaries = find_binaries();
  if (!binaries) return pass(binaries);
  auto user = server_user();
  if (!user) return pass(user);
  os::Command command;
  command.argv = {(*binaries / "postgres").string(), "-D", data_directory().string()};
  command.directory = std::string{"/"};
  command.as_user = *user;
  const auto child = os::start(command, (log_directory() / "start.log").string());
  if (!child) return std::unexpected(child.error());
  child_ = child->pid;
  log_.info("postgres.started", {{"pid", child->pid}, {"directory", settings_.directory.string()}});
  return await(child->pid, deadline);
}

Status OwnedServer::await_ready(Deadline deadline) {
  const int pid = running_pid();
  if (pid == 0) return std::unexpected(died("it does not run"));
  return await(pid, deadline);
}

Status OwnedServer::await(int pid, Deadline deadline) {
  const std::string host = (settings_.directory / "run").string();
  const std::string port = std::to_string(settings_.port);
  const std::array<const char*, 6> keys = {"host", "port", "dbname", "user", "connect_timeout", nullptr};
  const std::array<const char*, 6> values = {host.c_str(), port.c_str(), "postgres", settings_.superuser.c_str(), "2", nullptr};
  for (;;) {
    if (!alive(pid)) return std::unexpected(died("it ended while it started"));
    if (PQpingParams(keys.data(), values.data(), 0) == PQPING_OK) return {};
    if (deadline.passed(clock_)) {
      return fail(ErrorCode::kTimedOut,
                  phrase("start PostgreSQL in {}: process {} does not take connections yet",
                              settings_.directory.string(), pid));
    }
    std::this_thread::sleep_for(kPollEvery);
  }
}

Status OwnedServer::stop(StopMode mode, Deadline deadline) {
  const int pid = running_pid();
  if (pid == 0) return {};
  const int signal = mode == StopMode::kFast ? SIGINT : SIGQUIT;
  if (!os::signal_and_wait(pid, signal, deadline, clock_) && alive(pid)) {
    return fail(ErrorCode::kTimedOut, phrase("stop PostgreSQL {} of {}: it still runs", pid,
                                                  settings_.directory.string()));
  }
  log_.info("postgres.stopped", {{"pid", pid}});
  return {};
}

}  // namespace verbund::postgres
