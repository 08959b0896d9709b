#include "testing/scratch_postgres.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "platform/os/file.h"
#include "platform/os/log_sink.h"
#include "platform/os/process.h"
#include "testing/scratch_directory.h"

namespace verbund::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kServerPrefix = "verbund-pg-";
constexpr seconds kPatience{60};

template <typename T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::string identity(int pid) { return fmt::format("{} {}", pid, os::process_start_time(pid).value_or(0)); }

postgres::OwnedServerSettings settings_for(const fs::path& directory) {
  postgres::OwnedServerSettings settings;
  settings.directory = directory / "pg";
  settings.superuser_password = "scratch";
  settings.sync_initdb = false;
  settings.settings = {{"fsync", "off"},          {"full_page_writes", "off"}, {"shared_buffers", "64MB"},
                       {"max_wal_senders", "20"}, {"max_replication_slots", "20"}};
  return settings;
}

void remove_server(const fs::path& directory, const Clock& clock) {
  postgres::OwnedServer server(settings_for(directory), os::null_log(), clock);
  if (!server.stop(postgres::StopMode::kImmediate, Deadline::in(clock, seconds{10}))) {
    std::fprintf(stderr, "scratch PostgreSQL in %s did not stop; it is killed\n", directory.c_str());
  }
  if (auto cleared = server.clear_up(Deadline::in(clock, seconds{10})); !cleared) {
    std::fprintf(stderr, "%s\n", cleared.error().message.c_str());
    return;
  }
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) std::fprintf(stderr, "remove %s: %s\n", directory.c_str(), error.message().c_str());
}

/// Servers of test processes that were killed.
void sweep(const fs::path& directory, const Clock& clock) {
  std::error_code error;
  for (fs::directory_iterator at(directory.parent_path(), error), end; !error && at != end; at.increment(error)) {
    if (!at->path().filename().string().starts_with(kServerPrefix)) continue;
    const auto owner = os::read_file(at->path() / "owner", 100);
    if (!owner) continue;  // being made right now
    const int pid = std::atoi(owner->c_str());
    if (pid > 0 && *owner != identity(pid)) remove_server(at->path(), clock);
  }
}

fs::path make_server_directory() {
  fs::path directory = make_scratch_directory(kServerPrefix);
  need(os::write_file_atomically(directory / "owner", identity(::getpid())));
  return directory;
}

}  // namespace

ScratchPostgres& ScratchPostgres::shared() {
  static ScratchPostgres server;
  return server;
}

ScratchPostgres::ScratchPostgres()
    : directory_(make_server_directory()), server_(settings_for(directory_), os::null_log(), clock_) {
  sweep(directory_, clock_);
  try {
    need(server_.initialise());
    start();
  } catch (...) {
    remove_server(directory_, clock_);
    throw;
  }
}

ScratchPostgres::~ScratchPostgres() { remove_server(directory_, clock_); }

void ScratchPostgres::start() { need(server_.start(Deadline::in(clock_, kPatience))); }

postgres::ConnectionSettings ScratchPostgres::superuser() const { return server_.connection("postgres"); }

postgres::ConnectionSettings ScratchPostgres::database(std::string_view name) {
  const std::lock_guard lock(mutex_);
  std::string unique = fmt::format("{}_{}", name, next_database_++);
  auto connection = need(postgres::Connection::open(superuser()));
  need(connection.execute("CREATE DATABASE " + postgres::Connection::quote_identifier(unique)));
  return server_.connection(std::move(unique));
}

void ScratchPostgres::restart() {
  const std::lock_guard lock(mutex_);
  need(server_.stop(postgres::StopMode::kFast, Deadline::in(clock_, kPatience)));
  start();
}

void ScratchPostgres::kill_immediate() {
  const std::lock_guard lock(mutex_);
  const int pid = server_.running_pid();
  if (pid == 0) throw std::runtime_error("kill_immediate: the scratch server does not run");
  if (!os::signal_and_wait(pid, SIGKILL, Deadline::in(clock_, kPatience), clock_)) {
    throw std::runtime_error("kill_immediate: the scratch server lives on");
  }
}

}  // namespace verbund::testing
