// Creating a private server's directory and its settings.
#include <signal.h>

#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/postgres/live_settings.h"
#include "platform/postgres/owned_files.h"
#include "platform/postgres/owned_server.h"
#include "platform/postgres/server_process.h"

namespace verbund::postgres {
namespace {

namespace fs = std::filesystem;

/// Also what a person finds who wonders why a server behaves so; DESIGN §4 names the reasons.
const std::map<std::string, std::string>& defaults() {
  static const std::map<std::string, std::string> values = {
      {"wal_level", "logical"},
      {"max_wal_senders", "10"},
      {"max_replication_slots", "10"},
      {"max_connections", "100"},
      {"max_slot_wal_keep_size", "4GB"},  // a slot nobody reads must not fill the disk
      {"wal_compression", "lz4"},  // a page first changed after a checkpoint is logged whole: most of a busy log
      {"shared_buffers", "128MB"},
      {"logical_decoding_work_mem", "64MB"},
      {"password_encryption", "scram-sha-256"},
      {"lc_messages", "C"},
      {"timezone", "UTC"},
      {"log_timezone", "UTC"},
      {"logging_collector", "on"},
      {"log_filename", "postgresql-%a.log"},
      {"log_truncate_on_rotation", "on"},
      {"log_rotation_age", "1d"},
      {"log_rotation_size", "0"},
      {"log_line_prefix", "%m [%p] %q%u@%d "},
      // Statements and details hold values of records, which have no place in a log.
      {"log_min_error_statement", "panic"},
      {"log_error_verbosity", "terse"},
  };
  return values;
}

constexpr std::string_view kHostAccess =
    "# Written by verbund once. Everybody needs a password, on the socket too.\n"
    "local all         all                scram-sha-256\n"
    "host  all         all  0.0.0.0/0     scram-sha-256\n"
    "host  all         all  ::/0          scram-sha-256\n"
    "local replication all                scram-sha-256\n"
    "host  replication all  0.0.0.0/0     scram-sha-256\n"
    "host  replication all  ::/0          scram-sha-256\n";

/// Takes what lies ready; without a word when there is nothing, which is how it is most of the time.
std::string restore_command(const fs::path& incoming) {
  std::string folder;
  for (const char c : incoming.string()) {
    if (c == '%') folder += c;  // PostgreSQL's own sign
    folder += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return fmt::format("test -f '{0}/%f' && cp '{0}/%f' '%p'", folder);
}

/// A node that was killed leaves its initdb running, which would fill the directory under our hands.
Status end_initdb(const fs::path& target, const Clock& clock) {
  std::vector<int> left = initdb_processes(target);
  for (const int pid : processes_in(target)) left.push_back(pid);
  for (const int pid : left) {
    if (!os::signal_and_wait(pid, SIGKILL, Deadline::in(clock, seconds{10}), clock)) {
      return fail(ErrorCode::kTimedOut, phrase("end the orphaned initdb process {}: it still runs", pid));
    }
  }
  return {};
}

/// Removes the password's file whatever happens.
class PasswordFile {
 public:
  explicit PasswordFile(fs::path path) : path_(std::move(path)) {}
  PasswordFile(const PasswordFile&) = delete;
  PasswordFile& operator=(const PasswordFile&) = delete;
  ~PasswordFile() {
    std::error_code ignored;  // nothing better to do than to try; initialise() starts by removing a left-over
    fs::remove(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

Status OwnedServer::prepare_directories() const {
  const fs::path& directory = settings_.directory;
  if (auto made = os::make_directories(directory, 0755); !made) return made;
  for (const char* name : {"run", "log"}) {
    const fs::path part = directory / name;
    if (auto made = os::make_directories(part, part.filename() == "run" ? 0755 : 0700); !made) return made;
    if (auto given = give_to_server(part); !given) return given;
  }
  const auto user = server_user();
  if (!user) return std::unexpected(user.error());
  return *user ? check_enterable(directory, **user, clock_) : Status{};
}

Status OwnedServer::write_owned(const fs::path& path, std::string_view content) const {
  if (auto written = os::write_file_atomically(path, content, 0600); !written) return written;
  return give_to_server(path);
}

Status OwnedServer::run_initdb(const fs::path& target) const {
  auto binaries = find_binaries();
  if (!binaries) return pass(binaries);
  const auto user = server_user();
  if (!user) return std::unexpected(user.error());
  const PasswordFile password(settings_.directory / "initdb.password");
  if (auto written = write_owned(password.path(), settings_.superuser_password + "\n"); !written) return written;
  os::Command command;
  command.argv = {(*binaries / "initdb").string(), "-D", target.string(), "-U", settings_.superuser,
                  "--auth=scram-sha-256", "--pwfile=" + password.path().string(), "--data-checksums",
                  "--encoding=UTF8", "--locale=C.UTF-8"};
  if (!settings_.sync_initdb) command.argv.emplace_back("--no-sync");
  command.directory = std::string{"/"};
  command.as_user = *user;
  const auto outcome = os::run(command, Deadline::in(clock_, std::chrono::minutes{5}), clock_);
  if (!outcome) return std::unexpected(outcome.error());
  if (outcome->exit_code == 0) return {};
  return fail(ErrorCode::kServerSetting,
              phrase("initdb {}: exit code {}: {}", target.string(), outcome->exit_code, outcome->errors));
}

Status OwnedServer::configure(const fs::path& target) const {
  if (auto written = write_owned(target / "pg_hba.conf", kHostAccess); !written) return written;
  auto conf = os::read_file(target / "postgresql.conf");
  if (!conf) return pass(conf);
  *conf += "\n# Last, so that it wins; verbund writes it anew at every start.\ninclude = 'verbund.conf'\n";
  if (auto written = write_owned(target / "postgresql.conf", *conf); !written) return written;
  return write_settings_into(target);
}

Status OwnedServer::fresh_target(const fs::path& target) const {
  if (auto ended = end_initdb(target, clock_); !ended) return ended;
  if (auto removed = remove_tree(target); !removed) return removed;
  if (auto made = os::make_directories(target, 0700); !made) return made;
  return give_to_server(target);
}

Status OwnedServer::publish(const fs::path& target) const {
  if (auto synced = sync_directory(target); !synced) return synced;
  if (std::rename(target.c_str(), data_directory().c_str()) != 0) return system_error(phrase("rename to {}", data_directory().string()));
  if (auto synced = sync_directory(settings_.directory); !synced) return synced;
  return {};
}

Status OwnedServer::initialise() {
  if (initialised()) return {};
  if (settings_.follows) {
    // An empty server in the place of a mirror would look like one that has lost everything.
    return fail(ErrorCode::kNotFound, phrase("start PostgreSQL in {}: a mirror without data", settings_.directory.string()));
  }
  if (auto prepared = prepare_directories(); !prepared) return prepared;
  const fs::path target = settings_.directory / "data.new";
  if (auto made = fresh_target(target); !made) return made;
  if (auto created = run_initdb(target); !created) return created;
  if (auto configured = configure(target); !configured) return configured;
  if (auto published = publish(target); !published) return published;
  log_.info("postgres.initialised", {{"directory", settings_.directory.string()}});
  return {};
}

Status OwnedServer::write_settings() { return write_settings_into(data_directory()); }

/// Mirrors come in by lines of our own before the installation's. Without [database] listen nobody else comes in over TCP.
Status OwnedServer::write_mirror_access(const fs::path& target, std::map<std::string, std::string>& values) const {
  const fs::path tls = settings_.directory / "tls";
  if (auto made = os::make_directories(tls, 0700); !made) return made;
  if (auto given = give_to_server(tls); !given) return given;
  if (auto written = write_owned(tls / "server.crt", settings_.mirrors->certificate_pem); !written) return written;
  if (auto written = write_owned(tls / "server.key", settings_.mirrors->key_pem); !written) return written;
  std::string access = "# Written by verbund at every start: mirrors first, then what stands in pg_hba.conf.\n";
  for (const auto& role : settings_.mirrors->roles) {
    access += fmt::format("hostssl replication,postgres  {0}  all  scram-sha-256\nhost all,replication  {0}  all  reject\n", role);
  }
  if (settings_.listen_addresses.empty()) access += "host all,replication  all  all  reject\n";
  auto own = os::read_file(target / "pg_hba.conf");
  if (!own) return pass(own);
  if (auto written = write_owned(target / "verbund_hba.conf", access + *own); !written) return written;
  values["hba_file"] = (data_directory() / "verbund_hba.conf").string();
  values["ssl"] = "on";
  values["ssl_cert_file"] = (tls / "server.crt").string();
  values["ssl_key_file"] = (tls / "server.key").string();
  values["listen_addresses"] = settings_.listen_addresses.empty() ? settings_.mirror_addresses
                                                                  : settings_.listen_addresses + "," + settings_.mirror_addresses;
  return {};
}

Status OwnedServer::write_settings_into(const fs::path& target) const {
  std::map<std::string, std::string> values = defaults();
  values["listen_addresses"] = settings_.listen_addresses;
  values["port"] = std::to_string(settings_.port);
  values["unix_socket_directories"] = (settings_.directory / "run").string();
  values["log_directory"] = log_directory().string();
  if (settings_.mirrors) {
    if (auto written = write_mirror_access(target, values); !written) return written;
  }
  for (const auto& [name, value] : settings_.settings) values[name] = value;
  if (settings_.follows) {
    // Both ends notice a dead link: production's would hold the slot for a minute and say that the mirror is connected.
    values["primary_conninfo"] = follow_conninfo() + " options='-c wal_sender_timeout=15s'";
    values["primary_slot_name"] = settings_.follows->slot;
    values["wal_retrieve_retry_interval"] = "500ms";  // production that is back is found again at once, not after 5 s
    values["wal_receiver_status_interval"] = "1s";
    values["wal_receiver_timeout"] = "10s";           // a link that is dead is noticed
    values["restore_command"] = restore_command(settings_.directory / "incoming");
    if (auto raised = raise_to_production(target, values); !raised) return raised;
  }
  std::string text = "# Written by verbund at every start: changes here are lost. Yours belong into config/verbund.toml.\n";
  for (const auto& [name, value] : values) text += setting_line(name, value);
  text += setting_line("include_if_exists", live_settings_file(settings_.directory).string());
  return write_owned(target / "verbund.conf", text);
}

}  // namespace verbund::postgres
