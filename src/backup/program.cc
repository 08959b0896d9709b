#include "backup/program.h"

#include <unistd.h>

#include <cstdlib>

#include "base/ids.h"
#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/postgres/owned_server.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr seconds kQuickly{30};

std::string conninfo_value(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// What libpq of our own connections obeys too, so that both reach the same server; and what programs need to run at all.
std::map<std::string, std::string> inherited() {
  std::map<std::string, std::string> kept;
  for (const char* name : {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "KRB5CCNAME", "PGHOST", "PGPORT", "PGUSER", "PGPASSFILE",
                           "PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLMODE", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT", "PGSSLCRL",
                           "PGREQUIRESSL", "PGREQUIREPEER", "PGCHANNELBINDING", "PGGSSENCMODE", "PGKRBSRVNAME", "PGCONNECT_TIMEOUT"}) {
    if (const char* value = std::getenv(name)) kept[name] = value;
  }
  return kept;
}

/// Wholly harmless, and said in everyday life: foreign keys in a circle (they are restored after the rows), an operating system
/// whose sorting rules are newer than the database.
bool harmless(std::string_view line) {
  for (const std::string_view known : {
           "pg_dump: warning: there are circular foreign-key constraints", "pg_dump: detail: ",
           "pg_dump: hint: You might not be able to restore the dump without using --disable-triggers",
           "pg_dump: hint: Consider using a full dump instead of a --data-only dump", "DETAIL:  The database was created using collation version",
           "HINT:  Rebuild all objects in this database that use the default collation"}) {
    if (line.starts_with(known)) return true;
  }
  return line.starts_with("WARNING:  database \"") && line.ends_with("\" has a collation version mismatch");
}

ErrorCode code_of(std::string_view words, ErrorCode otherwise) {
  const auto says = [&](std::string_view what) { return words.find(what) != std::string_view::npos; };
  if (says("No space left on device") || says("Disk quota exceeded")) return ErrorCode::kDiskFull;
  if (says("server version mismatch") || says("unsupported version (")) return ErrorCode::kUnsupported;
  if (says("canceling statement due to lock timeout")) return ErrorCode::kTimedOut;
  if (says("connection to server") || says("server closed the connection") || says("terminating connection") || says("no connection to the server")) {
    return ErrorCode::kDatabaseDown;
  }
  return otherwise;
}

Result<fs::path> directory_of_programs(const std::optional<fs::path>& directory) {
  if (directory) return *directory;
  if (auto found = postgres::OwnedServer::find_binaries()) return *found;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin";
  while (!rest.empty()) {
    const auto part = rest.substr(0, rest.find(':'));
    if (!part.empty() && ::access((fs::path(part) / "pg_dump").c_str(), X_OK) == 0) return fs::path(part);
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  }
  return fail(ErrorCode::kNotFound, phrase("find pg_dump: neither in /usr/lib/postgresql/*/bin nor in PATH"),
              phrase("apt-get install postgresql-client, or name its directory with -d"));
}

}  // namespace

const Clock& clock() {
  static const os::SystemClock system;
  return system;
}

Result<Programs> Programs::find(const std::optional<fs::path>& directory) {
  auto found = directory_of_programs(directory);
  if (!found) return pass(found);
  Programs programs{*found / "pg_dump", *found / "pg_restore", *found / "pg_dumpall", *found / "psql"};
  for (const auto* program : {&programs.pg_dump, &programs.pg_restore}) {
    if (::access(program->c_str(), X_OK) == 0) continue;
    return fail(ErrorCode::kNotFound, phrase("find {}: it is not in {}", program->filename().string(), found->string()),
                phrase("-d names the directory that holds it, for example /usr/lib/postgresql/15/bin"));
  }
  return programs;
}

Result<Access> access_of(const postgres::ConnectionSettings& settings) {
  if (settings.options.find("sslpassword=") != std::string::npos) {
    return fail(ErrorCode::kUnsupported, phrase("connect to {}: sslpassword would stand in the process list", settings.shown()),
                phrase("use a key file without a password that only this user can read"));
  }
  Access access;
  access.conninfo = settings.options;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) access.conninfo += fmt::format("{}{}={}", access.conninfo.empty() ? "" : " ", key, conninfo_value(value));
  };
  add("host", settings.host);
  // Several ports, one for each host, stand in the options.
  if (access.conninfo.find("port='") == std::string::npos) add("port", std::to_string(settings.port));
  add("dbname", settings.database);
  add("user", settings.user);
  add("application_name", settings.application_name);
  if (settings.password.empty()) return access;
  std::string line = "*:*:*:*:";
  for (const char c : settings.password) {
    if (c == ':' || c == '\\') line += '\\';
    line += c;
  }
  auto file = os::SecretFile::make(line + "\n");
  if (!file) return pass(file);
  access.password = std::move(*file);
  return access;
}

os::Command program_command(const fs::path& program, std::vector<std::string> arguments, const Access* access) {
  os::Command command;
  command.argv = {program.string()};
  command.argv.insert(command.argv.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  command.inherit_environment = false;
  command.environment = inherited();
  command.environment["LC_ALL"] = "C.UTF-8";
  if (access != nullptr) {
    command.argv.insert(command.argv.end(), {"--no-password", "--dbname=" + access->conninfo});
    if (access->password) command.environment["PGPASSFILE"] = access->password->path();
  }
  return command;
}

int version_number(std::string_view text) {
  if (const auto name = text.find("(PostgreSQL) "); name != std::string_view::npos) text.remove_prefix(name + std::string_view("(PostgreSQL) ").size());
  const auto digits = [&] {
    const auto end = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_u64(text.substr(0, end)).value_or(0);
    text.remove_prefix(end);
    return static_cast<int>(std::min<std::uint64_t>(number, 9999));
  };
  const int major = digits();
  if (major == 0 || !text.starts_with('.')) return major * 10000;  // "17beta1"
  text.remove_prefix(1);
  return major * 10000 + digits();
}

Result<int> program_version(const fs::path& program) {
  auto command = program_command(program, {"--version"});
  command.max_output_bytes = 1000;
  const auto outcome = os::run(command, Deadline::in(clock(), kQuickly), clock());
  if (!outcome) return std::unexpected(outcome.error());
  const int version = outcome->exit_code == 0 ? version_number(outcome->output) : 0;
  if (version > 0) return version;
  return fail(ErrorCode::kProgramFailed, phrase("ask {} for its version: exit code {}, \"{}\"", program.string(), outcome->exit_code,
                                                outcome->output.substr(0, outcome->output.find('\n'))));
}

std::vector<std::string> complaints(std::string_view errors) {
  std::vector<std::string> found;
  while (!errors.empty()) {
    const auto line = errors.substr(0, errors.find('\n'));
    errors.remove_prefix(std::min(errors.size(), line.size() + 1));
    if (!line.empty() && !harmless(line)) found.emplace_back(line);
  }
  return found;
}

Status judge(const fs::path& program, const os::Outcome& outcome, ErrorCode otherwise) {
  const auto said = complaints(outcome.errors);
  if (outcome.exit_code == 0 && said.empty()) return {};
  // The first lines name the cause; what follows is its consequence.
  constexpr std::size_t kShownLines = 3;
  const auto shown = fmt::format("{}", fmt::join(std::span(said).first(std::min(said.size(), kShownLines)), " | "));
  const auto code = code_of(outcome.errors, otherwise);
  if (outcome.exit_code > 128) return fail(code, phrase("{}: ended by signal {}: {}", program.filename().string(), outcome.exit_code - 128, shown));
  return fail(code, phrase("{}: exit code {}: {}", program.filename().string(), outcome.exit_code, shown));
}

Result<std::string> output_of(const os::Command& command, std::size_t max_bytes, ErrorCode otherwise) {
  auto child = os::PipedChild::start(command, {.output = true}, clock());
  if (!child) return pass(child);
  std::string text;
  std::vector<char> buffer(256 * 1024);
  while (true) {
    auto got = child->read(buffer);
    if (!got) return pass(got);
    if (*got == 0) break;
    if (text.size() + *got > max_bytes) {
      return fail(ErrorCode::kTooLarge, phrase("{}: it says more than {} bytes", command.argv[0], max_bytes));
    }
    text.append(buffer.data(), *got);
  }
  const auto outcome = child->wait();
  if (!outcome) return std::unexpected(outcome.error());
  if (auto good = judge(command.argv[0], *outcome, otherwise); !good) return pass(good);
  return text;
}

os::PipedOptions piped(Progress& progress) {
  return {.cancelled = [&progress] { return progress.cancelled(); }};
}

}  // namespace verbund::backup
