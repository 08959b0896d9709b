#include "node/office_backup.h"

#include <unistd.h>

#include "backup/office_swap.h"
#include "backup/services.h"
#include "base/messages.h"
#include "node/command_server.h"
#include "node/mirror/role.h"
#include "node/restored.h"
#include "node/version.h"

namespace verbund::node {
namespace {

Result<postgres::ConnectionSettings> superuser_of(const Installation& installation, const backup::Config& config) {
  if (!installation.owns_server() && !config.superuser.empty()) return postgres::parse_connection_string(config.superuser);
  return CommandServer::connection(installation, "postgres");
}

}  // namespace

std::string this_host() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  name.resize(name.find('\0'));
  return name;
}

Result<backup::Office> office_of(const Installation& installation) {
  backup::Office office;
  auto config = backup::load_config(installation.directory());
  if (!config) return pass(config);
  office.config = std::move(*config);
  office.directory = installation.directory();
  office.host = this_host();
  office.program_version = kVersion;
  const auto role = pair_role(installation.directory());
  if (!role) return std::unexpected(role.error());
  if (*role == PairRole::kMirror) office.role = "mirror";
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

Result<std::vector<Phrase>> settle_restore(const std::filesystem::path& directory, const Clock& clock) {
  auto unfinished = backup::unfinished_restore(directory);
  if (!unfinished) return pass(unfinished);
  if (!unfinished->office && !unfinished->folders) return std::vector<Phrase>{};
  auto lock = backup::lock_runs(directory, "recover", clock);
  if (!lock) return pass(lock);
  // Folders alone need no server; one that does not start would only be in the way.
  if (!unfinished->office || unfinished->office->databases.empty()) return backup::settle_restore(directory, {}, {});
  auto installation = Installation::load(directory);
  if (!installation) return pass(installation);
  auto office = office_of(*installation);
  if (!office) return pass(office);
  auto server = CommandServer::open(*installation, "verbund backup recover");
  if (!server) return pass(server);
  if (server->node_runs()) {
    return fail(ErrorCode::kInUse, phrase("end the interrupted restore: a node runs on {}", directory.string()), phrase("Stop it first (systemctl stop verbund)."));
  }
  backup::OfficeSwapHooks hooks;
  hooks.after_databases = [&](const backup::OfficeSwap& swap) { return begin_after_exchange(*installation, office->superuser, swap, clock.wall()); };
  return backup::settle_restore(directory, office->superuser, hooks);
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
