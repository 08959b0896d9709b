// A mirror's data: copied by pg_basebackup, verified by pg_verifybackup.
#include <algorithm>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/piped_child.h"
#include "platform/postgres/libpq.h"
#include "platform/postgres/owned_files.h"
#include "platform/postgres/owned_server.h"
#include "platform/postgres/server_process.h"

namespace verbund::postgres {
namespace {

namespace fs = std::filesystem;

/// Room for what is written while it is copied.
constexpr std::uint64_t kSpareBytes = 512ULL << 20U;
constexpr std::size_t kMostSaid = 400;  // of a list of damaged pages

/// libpq's key='value'.
std::string pair_of(std::string_view key, std::string_view value) {
  std::string text = fmt::format("{}='", key);
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "' ";
}

std::string password_line(const ConnectionSettings& server) {
  std::string escaped;
  for (const std::string_view text : {std::string_view(server.user), std::string_view(server.password)}) {
    escaped += ':';
    for (const char c : text) {
      if (c == ':' || c == '\\') escaped += '\\';
      escaped += c;
    }
  }
  return "*:*:*" + escaped + '\n';
}

Result<std::uint64_t> number(Connection& connection, std::string_view sql) {
  auto rows = connection.query(sql);
  if (!rows) return pass(rows);
  if (rows->size() == 0 || rows->null(0, 0)) return std::uint64_t{0};
  return parse_u64(rows->text(0, 0));
}

}  // namespace

Status OwnedServer::raise_to_production(const fs::path& target, std::map<std::string, std::string>& values) const {
  auto binaries = find_binaries();
  if (!binaries) return pass(binaries);
  os::Command command;
  command.argv = {(*binaries / "pg_controldata").string(), target.string()};
  command.environment = {{"LC_ALL", "C"}};
  const auto outcome = os::run(command, Deadline::in(clock_, seconds{30}), clock_);
  if (!outcome) return std::unexpected(outcome.error());
  if (outcome->exit_code != 0) {
    return fail(ErrorCode::kProgramFailed, phrase("{}: exit code {}: {}", "pg_controldata", outcome->exit_code, verbatim(trimmed(outcome->errors))));
  }
  for (const std::string name : {"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_xacts", "max_locks_per_xact"}) {
    const std::string label = name + " setting:";
    const auto at = outcome->output.find(label);
    if (at == std::string::npos) continue;
    const auto line = std::string_view(outcome->output).substr(at + label.size());
    const auto there = parse_u64(trimmed(line.substr(0, line.find('\n'))));
    std::string setting = name;
    if (name == "max_prepared_xacts") setting = "max_prepared_transactions";
    if (name == "max_locks_per_xact") setting = "max_locks_per_transaction";
    const auto own = values.contains(setting) ? parse_u64(values[setting]) : Result<std::uint64_t>{0};
    if (there && (!own || *own < *there)) values[setting] = std::to_string(*there);
  }
  return {};
}

std::string OwnedServer::follow_conninfo() const {
  const ConnectionSettings& server = settings_.follows->server;
  return pair_of("host", server.host) + pair_of("port", std::to_string(server.port)) + pair_of("user", server.user) +
         pair_of("passfile", password_file().string()) + pair_of("application_name", settings_.follows->slot) + server.options;
}

Status OwnedServer::write_password_file() const { return write_owned(password_file(), password_line(settings_.follows->server)); }

Status OwnedServer::run_program(std::vector<std::string> argv, const std::function<bool()>& go_on) const {
  const auto user = server_user();
  if (!user) return std::unexpected(user.error());
  const std::string name = fs::path(argv.front()).filename().string();
  os::Command command;
  command.argv = std::move(argv);
  command.directory = std::string{"/"};
  command.as_user = *user;
  command.environment = {{"LC_ALL", "C"}};
  auto child = os::PipedChild::start(command, {.cancelled = [&] { return !go_on(); }}, clock_);
  if (!child) return pass(child);
  const auto outcome = child->wait();
  if (!outcome) return std::unexpected(outcome.error());
  if (outcome->exit_code == 0) return {};
  return fail(ErrorCode::kProgramFailed, phrase("{}: exit code {}: {}", name, outcome->exit_code, verbatim(trimmed(outcome->errors))));
}

/// Before anything is made: is there room.
Result<std::uint64_t> OwnedServer::bytes_to_copy(Connection& production) const {
  const auto total = number(production, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database");
  if (!total) return total;
  const auto room = os::free_bytes(settings_.directory);
  if (!room) return room;
  if (*room >= *total + kSpareBytes) return total;
  return fail(ErrorCode::kDiskFull, phrase("copy PostgreSQL into {}: {} MB are needed, {} MB are free", settings_.directory.string(),
                                           (*total + kSpareBytes) >> 20U, *room >> 20U));
}

Status OwnedServer::room_to_copy() const {
  if (!settings_.follows) return fail(ErrorCode::kInternal, phrase("copy PostgreSQL: no server to follow"));
  auto production = Connection::open(settings_.follows->server);
  if (!production) return pass(production);
  const auto total = bytes_to_copy(*production);
  return total ? Status{} : std::unexpected(total.error());
}

Status OwnedServer::copy_from(const CopyProgress& step) {
  if (initialised()) {
    return fail(ErrorCode::kAlreadyExists, phrase("copy PostgreSQL into {}: it has data already", settings_.directory.string()));
  }
  if (!settings_.follows) return fail(ErrorCode::kInternal, phrase("copy PostgreSQL: no server to follow"));
  if (auto prepared = prepare_directories(); !prepared) return prepared;
  auto production = Connection::open(settings_.follows->server);
  if (!production) return pass(production);
  const auto total = bytes_to_copy(*production);
  if (!total) return std::unexpected(total.error());
  auto binaries = find_binaries();
  if (!binaries) return pass(binaries);
  if (auto written = write_password_file(); !written) return written;
  const fs::path target = settings_.directory / "data.new";
  if (auto made = fresh_target(target); !made) return made;

  const auto copied = [&] {
    // Only the bar stands still when production does not answer this; the copy has its own connection.
    const auto done = number(*production, "SELECT max(backup_streamed) FROM pg_stat_progress_basebackup");
    return step(CopyStep::kCopy, done ? std::min(*done, *total) : 0, *total);
  };
  const auto program = [&](const char* name) { return (*binaries / name).string(); };
  const std::string shown = settings_.follows->server.shown();
  Status outcome = run_program({program("pg_basebackup"), "-D", target.string(), "-X", "stream", "-S", settings_.follows->slot, "-c", "fast",
                                "--no-password", "-d", follow_conninfo()}, copied);
  if (!outcome) return pass(outcome, phrase("copy {}", shown));
  outcome = run_program({program("pg_verifybackup"), "-e", "-q", target.string()},
                        [&] { return step(CopyStep::kVerify, *total, *total); });
  if (!outcome) return pass(outcome, phrase("verify the copy of {}", shown));
  if (auto written = write_settings_into(target); !written) return written;
  if (auto written = write_owned(target / "standby.signal", ""); !written) return written;
  if (auto published = publish(target); !published) return published;
  log_.info("postgres.copied", {{"directory", settings_.directory.string()}, {"bytes", *total}});
  return {};
}

/// pg_rewind copies what differs by the log and looks at nothing else: a page that the disk has spoiled would go on as a mirror's, unnoticed
/// until that mirror is needed.
Status OwnedServer::check_pages(const std::function<bool()>& go_on) {
  if (auto cleared = clear_up(Deadline::in(clock_, seconds{30})); !cleared) return cleared;
  auto binaries = find_binaries();
  if (!binaries) return pass(binaries);
  const auto stopped = stopped_at();
  if (!stopped) return std::unexpected(stopped.error());
  const std::string data = data_directory().string();
  if (!stopped->clean) {
    // As pg_rewind does it; the end of its input ends it.
    if (auto recovered = run_program({(*binaries / "postgres").string(), "--single", "-D", data, "template1"}, go_on); !recovered) return recovered;
  }
  auto checked = run_program({(*binaries / "pg_checksums").string(), "--check", "-D", data}, go_on);
  if (checked || checked.error().code != ErrorCode::kProgramFailed || checked.error().message.find("checksum verification failed") == std::string::npos) return checked;
  return fail(ErrorCode::kDamaged, phrase("check the pages of {}: {}", data, verbatim(checked.error().message.substr(0, kMostSaid))));
}

Status OwnedServer::rewind(const std::function<bool()>& go_on) {
  if (!settings_.follows) return fail(ErrorCode::kInternal, phrase("rewind: no server to follow"));
  if (auto cleared = clear_up(Deadline::in(clock_, seconds{30})); !cleared) return cleared;
  auto binaries = find_binaries();
  if (!binaries) return pass(binaries);
  if (auto written = write_settings(); !written) return written;
  if (auto written = write_password_file(); !written) return written;
  // Not yet marked as a mirror: data that were not shut down are recovered by pg_rewind, which a mirror's mark would forbid.
  auto done = run_program({(*binaries / "pg_rewind").string(), "-D", data_directory().string(), "--source-server", follow_conninfo() + "dbname='postgres'"}, go_on);
  if (!done) return pass(done, phrase("rewind to the history of {}", settings_.follows->server.shown()));
  if (auto synced = sync_directory(data_directory()); !synced) return synced;
  if (auto written = write_settings(); !written) return written;
  return write_owned(data_directory() / "standby.signal", "");
}

}  // namespace verbund::postgres
