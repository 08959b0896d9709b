#include "node/mirror/machine_look.h"

#include <sys/statvfs.h>

#include "backup/night/outlook.h"
#include "base/messages.h"
#include "node/command_server.h"
#include "node/office_backup.h"
#include "node/version.h"
#include "platform/os/clock.h"
#include "platform/os/config_texts.h"
#include "platform/os/file.h"
#include "platform/os/random.h"
#include "platform/postgres/arrays.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
using mirror::MachineFacts;
using mirror::ServerLook;
using postgres::Connection;

constexpr seconds kPatience{3}, kLookLimit{10};
constexpr std::chrono::minutes kBackupEvery{5};
constexpr std::size_t kMaxConfigBytes = 1024 * 1024;
constexpr std::size_t kDigestDigits = 16;

/// Reset values: what a new session has; ours has settings of its own.
constexpr std::string_view kSettings =
    "SELECT name, CASE unit WHEN '8kB' THEN (reset_val::bigint * 8)::text || ' kB' ELSE coalesce(reset_val, '') || coalesce(' ' || unit, '') END FROM pg_settings "
    "WHERE name = ANY($1::text[]) OR (source IN ('configuration file', 'command line', 'environment variable') AND context <> 'internal')";
constexpr std::string_view kDatabases =
    "SELECT datname, coalesce(datcollversion, ''), coalesce(pg_database_collation_actual_version(oid), '') FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1";
constexpr std::string_view kExtensions =
    "SELECT e.extname, e.extversion, coalesce(a.default_version, '') FROM pg_extension e LEFT JOIN pg_available_extensions a ON a.name = e.extname ORDER BY 1";
/// Of indexes: there a sort order that has changed finds wrong rows.
constexpr std::string_view kCollations =
    "SELECT n.nspname || '.' || c.collname, c.collversion, coalesce(pg_collation_actual_version(c.oid), '') FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace "
    "WHERE c.collversion IS NOT NULL AND c.oid IN (SELECT unnest(indcollation::oid[]) FROM pg_index) ORDER BY 1 LIMIT 200";

Result<Connection> connect(const Installation& installation, const std::string& database) {
  auto settings = CommandServer::connection(installation, database);
  if (!settings) return pass(settings);
  auto opened = Connection::open(*settings, kPatience);
  if (!opened) return pass(opened);
  if (auto bounded = opened->execute("SET statement_timeout = '3s'; SET lock_timeout = '1s'"); !bounded) return pass(bounded);
  return opened;
}

Status look_into(const Installation& installation, const std::string& database, ServerLook& look) {
  auto connection = connect(installation, database);
  // Renamed or dropped meanwhile: a restore.
  if (!connection && connection.error().code == ErrorCode::kNotFound) return {};
  if (!connection) return pass(connection);
  auto extensions = connection->query(kExtensions);
  if (!extensions) return pass(extensions);
  for (int row = 0; row < extensions->size(); ++row) {
    look.extensions.push_back({database, std::string(extensions->text(row, 0)), std::string(extensions->text(row, 1)), std::string(extensions->text(row, 2))});
  }
  auto collations = connection->query(kCollations);
  if (!collations) return pass(collations);
  for (int row = 0; row < collations->size(); ++row) {
    look.collations.push_back({database, std::string(collations->text(row, 0)), std::string(collations->text(row, 1)), std::string(collations->text(row, 2))});
  }
  return {};
}

/// Of no disk that is looked at later: nobody can say how full it is.
std::optional<mirror::Disk> look_at_disk(const fs::path& directory) {
  struct statvfs status{};
  if (::statvfs(directory.c_str(), &status) != 0) return std::nullopt;
  const std::uint64_t block = status.f_frsize;
  return mirror::Disk{status.f_bavail * block, status.f_blocks * block, {}};
}

Result<std::optional<mirror::BackupLook>> look_at_backup(const fs::path& directory, WallTime now) {
  auto installation = Installation::load(directory);
  if (!installation) return pass(installation);
  auto office = office_of(*installation);
  if (!office) return pass(office);
  const auto local = os::local_time(now);
  auto outlook = backup::outlook_of(*office, local);
  if (!outlook) return pass(outlook);
  // Where no run was ever made and none is awaited nothing is due.
  if (!outlook->configured || (!outlook->last_run && !outlook->last_good && outlook->next > local)) return std::optional<mirror::BackupLook>();
  mirror::BackupLook look{.last_good = {}, .due = now + (outlook->next - local)};
  if (outlook->last_good) look.last_good = now - (local - outlook->last_good->at);
  return std::optional(look);
}

std::string digest(const std::string& text) {
  return text.empty() ? text : "#" + os::blake2b_hex(text).substr(0, kDigestDigits);
}

/// Short and without meaning to anybody else.
bool plain(const std::string& value) {
  return value == "true" || value == "false" || (!value.empty() && value.size() <= 12 && std::ranges::all_of(value, [](char c) { return (c >= '0' && c <= '9') || c == '.' || c == '-'; }));
}

}  // namespace

Result<ServerLook> look_at_server(const Installation& installation, Deadline deadline, const Clock& clock) {
  auto connection = connect(installation, "postgres");
  if (!connection) return pass(connection);
  ServerLook look;
  const auto version = connection->server_version();
  look.version = fmt::format("{}.{}", version / 10000, version % 10000);
  auto settings = connection->query(kSettings, {postgres::array_literal(mirror::settings_that_matter())});
  if (!settings) return pass(settings);
  for (int row = 0; row < settings->size(); ++row) {
    const std::string name(settings->text(row, 0));
    if (!mirror::setting_is_of_one_machine(name)) look.settings.emplace(name, settings->text(row, 1));
  }
  auto databases = connection->query(kDatabases);
  if (!databases) return pass(databases);
  for (int row = 0; row < databases->size(); ++row) {
    const std::string name(databases->text(row, 0));
    if (deadline.passed(clock)) return fail(ErrorCode::kTimedOut, phrase("look at PostgreSQL's databases: it takes too long, at {} of {}", row + 1, databases->size()));
    look.collations.push_back({name, "", std::string(databases->text(row, 1)), std::string(databases->text(row, 2))});
    if (auto seen = look_into(installation, name, look); !seen) return pass(seen);
  }
  return look;
}

Result<std::map<std::string, std::string>> look_at_options(const fs::path& directory) {
  std::map<std::string, std::string> options;
  for (const char* file : {"verbund.toml", "backup.toml", "P2P.properties"}) {
    auto text = os::read_file(directory / "config" / file, kMaxConfigBytes);
    if (!text && text.error().code == ErrorCode::kNotFound) continue;
    if (!text) return pass(text);
    auto texts = std::string_view(file).ends_with(".toml") ? os::toml_texts(*text, file) : os::properties_texts(*text, file);
    if (!texts) return pass(texts);
    for (const auto& [key, value] : *texts) {
      const auto name = fmt::format("{} {}", file, key);
      if (!mirror::option_is_of_one_machine(name)) options.emplace(name, plain(value) ? value : digest(value));
    }
  }
  return options;
}

/// Told once, not twice a minute.
void MachineLook::note(std::string& before, const Error* now, std::string_view what) {
  const std::string message = now != nullptr ? now->message : std::string();
  if (message == before) return;
  before = message;
  if (now != nullptr) log_.warning("mirror.not_looked_at", {{"what", what}, {"error", message}});
}

MachineFacts MachineLook::look() {
  MachineFacts facts;
  facts.name = installation_.settings().name;
  facts.program = kVersion;
  facts.disk = look_at_disk(installation_.directory() / "postgres");
  if (facts.disk) {
    trend_.seen(facts.disk->free_bytes, clock_.now());
    facts.disk->lasts = trend_.lasts();
  }
  auto options = look_at_options(installation_.directory());
  note(options_error_, options ? nullptr : &options.error(), "config");
  if (options) facts.options = std::move(*options);
  auto server = look_at_server(installation_, Deadline::in(clock_, kLookLimit), clock_);
  note(server_error_, server ? nullptr : &server.error(), "postgres");
  if (server) facts.server = std::move(*server);
  std::error_code none;
  const auto ledger = fs::last_write_time(installation_.directory() / "backup" / "ledger.jsonl", none);
  if (!backup_seen_ || ledger != ledger_seen_ || clock_.now() - *backup_seen_ >= kBackupEvery) {
    ledger_seen_ = ledger;
    auto backup = look_at_backup(installation_.directory(), clock_.wall());
    note(backup_error_, backup ? nullptr : &backup.error(), "backup");
    backup_ = backup ? *backup : std::nullopt;
    backup_seen_ = clock_.now();
  }
  facts.backup = backup_;
  return facts;
}

}  // namespace verbund::node
