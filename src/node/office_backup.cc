#include "node/office_backup.h"

#include <unistd.h>

#include "backup/services.h"
#include "base/messages.h"
#include "node/command_server.h"
#include "node/version.h"

namespace verbund::node {
namespace {

Result<postgres::ConnectionSettings> superuser_of(const Installation& installation, const backup::Config& config) {
  if (!installation.owns_server() && !config.superuser.empty()) return postgres::parse_connection_string(config.superuser);
  return CommandServer::connection(installation, "postgres");
}

std::string this_host() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  name.resize(name.find('\0'));
  return name;
}

}  // namespace

Result<backup::Office> office_of(const Installation& installation) {
  backup::Office office;
  auto config = backup::load_config(installation.directory());
  if (!config) return pass(config);
  office.config = std::move(*config);
  office.directory = installation.directory();
  office.host = this_host();
  office.program_version = kVersion;
  auto superuser = superuser_of(installation, office.config);
  if (!superuser) return pass(superuser);
  office.superuser = *superuser;
  auto source = installation.connection();
  if (!source) return pass(source);
  const auto add = [&](bool wanted, backup::DatabaseKind kind, std::string name) {
    if (!wanted) return;
    auto settings = office.superuser;
    settings.database = std::move(name);
    office.databases.push_back({kind, std::move(settings)});
  };
  add(office.config.versions, backup::DatabaseKind::kVersions, Installation::kVersions);
  add(office.config.mid_tier, backup::DatabaseKind::kMidTier, Installation::kMidTier);
  for (const auto& name : office.config.other_databases) add(true, backup::DatabaseKind::kOther, name);
  add(office.config.source, backup::DatabaseKind::kSource, source->database);
  return office;
}

Result<std::vector<std::string>> recover_services(const std::filesystem::path& directory, const Clock& clock, Log& log) {
  const auto file = directory / "backup" / "stopped.jsonl";
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return std::vector<std::string>{};
  auto lock = backup::lock_runs(directory, "recover", clock);
  // It starts them itself.
  if (!lock && lock.error().code == ErrorCode::kInUse) return std::vector<std::string>{};
  if (!lock) return pass(lock);
  auto left = backup::Services(file, clock, log).recover();
  if (!left) return pass(left);
  std::vector<std::string> names;
  for (const auto& each : *left) names.push_back(each.application.name);
  return names;
}

}  // namespace verbund::node
